"""What the programs of Python share: commands are read, answers and events written, as ../Program.ts has them."""
import asyncio
import sys
import threading
from importlib.metadata import version

host = "127.0.0.1"
_lock = threading.Lock()


def say(*words, **named):
    said = [*words, *(f"{name}={value}" for name, value in named.items() if value is not None)]
    with _lock:
        sys.stdout.write(" ".join(map(str, said)) + "\n")
        sys.stdout.flush()


def _command_of(line):
    """ID, verb and words of a line."""
    id, verb, *words = line.rstrip("\n").split(" ")
    return id, verb, dict(word.split("=", 1) for word in words)


def serve(library, make_connection):
    """Tells that the program is ready, and carries out the commands on standard input, none of which waits for the one before it.

    `make_connection(words)` gives what a client's commands are carried out by: `connect`, `subscribe`, `publish` and `disconnect`
    are coroutines of it, each done with its command when it returns, and failed when it raises.
    """
    asyncio.run(_serve(library, make_connection))


async def _serve(library, make_connection):
    connections = {}
    tasks = set()

    async def carry_out(id, verb, words):
        try:
            if verb == "connect":
                connections[words["client"]] = make_connection(words)
            await getattr(connections[words["client"]], verb)(words)
            say(id, "ok")
        except Exception as failure:
            say(id, "failed", repr(failure))

    say("ready", library=library, release=version(library))
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(carry_out(*_command_of(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


class OutgoingAliases:
    """An alias for each topic: with it the first time, in its stead later."""

    def __init__(self):
        self._of = {}

    def name(self, topic):
        """What to send as topic, and the alias."""
        alias = self._of.get(topic)
        if alias is not None:
            return "", alias
        self._of[topic] = len(self._of) + 1
        return topic, self._of[topic]


class IncomingAliases:
    """The topics of a library that hands messages on without them."""

    def __init__(self):
        self._topics = {}

    def topic(self, topic, alias):
        if alias is not None and topic:
            self._topics[alias] = topic
        return topic or self._topics[alias]
