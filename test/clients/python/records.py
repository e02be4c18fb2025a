"""Records as lines of text, for programs that another process starts: base64, "-" for null."""

import base64
import sys


def text_of(data):
    return "-" if data is None else base64.b64encode(data).decode()


def bytes_of(text):
    return None if text == "-" else base64.b64decode(text)


def written():
    """Keys and values from standard input, a line each."""
    for line in sys.stdin:
        key, value = line.rstrip("\n").split(" ")
        yield bytes_of(key), bytes_of(value)


def tell(topic, partition, offset, timestamp, key, value):
    print(topic, partition, offset, timestamp, text_of(key), text_of(value))


def run(commands):
    """The first argument names a command; the others are its own."""
    commands[sys.argv[1]](*sys.argv[2:])
