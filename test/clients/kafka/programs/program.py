"""What the programs of Python share: commands are read and answered, as ../scenarios.ts has them."""

import sys
import traceback
from importlib.metadata import version
from threading import Event, Thread

brokers = sys.argv[1]


def records(words):
    """Keys and values that a command asks for."""
    return [(f"k{i}".encode(), f"{words['prefix']}{i}".encode()) for i in range(int(words["count"]))]


headers = [("source", b"matrix")]


def told(key, value, headers):
    return f"{key.decode()}/{value.decode()}/{dict(headers)['source'].decode()}"


class Member:
    """Reads in a thread of its own. `poll()` gives what came as it is told, which `commit()` commits."""

    def __init__(self, poll, commit, close):
        self.seen = []
        self._ending = Event()
        self._thread = Thread(target=self._run, args=(poll, commit, close), daemon=True)
        self._thread.start()

    def _run(self, poll, commit, close):
        while not self._ending.is_set():
            found = poll()
            if found:
                self.seen.extend(found)
                commit()
        close()

    def leave(self):
        self._ending.set()
        self._thread.join()


def _carry_out(verbs, members, line):
    """The answer to a line. `join` of `verbs` makes a Member; the other verbs of members are the same for all."""
    id, verb, *said = line.rstrip("\n").split(" ")
    words = dict(word.split("=", 1) for word in said)
    try:
        answer = {}
        if verb == "join":
            members[words["member"]] = verbs.join(words)
        elif verb == "seen":
            answer = {"records": ",".join(members[words["member"]].seen)}
        elif verb == "leave":
            members[words["member"]].leave()
        else:
            answer = getattr(verbs, verb)(words) or {}
        return " ".join([id, "ok", *(f"{name}={value}" for name, value in answer.items())])
    except Exception:
        return f"{id} failed {traceback.format_exc()!r}"


def serve(library, verbs):
    """Tells that the program is ready, and carries out the commands on standard input, one after another."""
    members = {}
    print(f"ready release={version(library)}", flush=True)
    for line in sys.stdin:
        print(_carry_out(verbs, members, line), flush=True)
