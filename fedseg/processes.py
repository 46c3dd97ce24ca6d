"""Python processes that call one function and never import the caller's script.

`multiprocessing` imports `__main__` again in each process that it spawns, so that a script without
`if __name__ == "__main__":` starts itself over and over.
"""

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from fedseg.errors import FedsegError

Item = TypeVar("Item")
Result = TypeVar("Result")

MAIN = "import sys; sys.path[:] = sys.argv[2:]; from fedseg.processes import serve; serve()"
"""Code of a process. Its arguments are a file descriptor and this process's import path."""
AHEAD = 2
"""Items that each process has been given and not answered."""


class ProcessKilled(FedsegError):
    """A process was ended by a signal."""


class ProcessFailed(RuntimeError):
    """A process ended with an error, which it printed."""


class Child:
    """A process that calls `work(connection, *arguments)`, until the block ends.

    Args:
        work: a function of a module that is not `__main__`.
        arguments: of `work`; they must be picklable.

    Attributes:
        connection: to the process; at its end once that is over.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._call = work, arguments

    def __enter__(self) -> "Child":
        self.connection, theirs = Pipe()
        command = [sys.executable, "-c", MAIN, str(theirs.fileno()), *sys.path]
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        # As bytes: `send` would put torch's tensors into /dev/shm, which is small in containers.
        self.connection.send_bytes(pickle.dumps(self._call))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self.connection.close()

    def wait(self) -> int:
        """Its exit status, once it has ended; of one that was killed, minus the signal."""
        return self._process.wait()

    def poll(self) -> int | None:
        """The same; None while it runs."""
        return self._process.poll()


def serve() -> None:
    """What a process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends this
    with Connection(int(sys.argv[1])) as connection:
        work, arguments = pickle.loads(connection.recv_bytes())
        work(connection, *arguments)


def messages(children: Sequence[Child]) -> Iterator[tuple[Child, Any]]:
    """What processes send, until all of them have ended well.

    Yields:
        The process, and what it sent.

    Raises:
        ProcessKilled: one was killed.
        ProcessFailed: one ended with an error.
    """
    running = {child.connection: child for child in children}
    while running:
        for ready in wait(list(running)):
            child = running[cast(Connection, ready)]
            try:
                yield child, child.connection.recv()
            except (EOFError, ConnectionResetError):
                del running[child.connection]
                if status := child.wait():
                    raise _failure(status, children) from None


def _failure(status: int, children: Sequence[Child]) -> Exception:
    """The error of processes of which one failed, perhaps because another one was killed."""
    killed = [code for child in children if (code := child.poll() or 0) < 0]
    if not killed:
        return ProcessFailed(f"a process ended with status {status}; its error is printed above")
    name = signal.Signals(-killed[0]).name
    return ProcessKilled(f"a process was ended ({name}), mostly because memory ran out")


def map_in_processes(
    work: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Iterator[Result]:
    """Call a function for each item, in processes.

    Args:
        work: picklable, and not of `__main__`.
        items: what it is called with.
        processes: how many.

    Yields:
        The results, in the order in which they are made.

    Raises:
        Exception: that `work` raised.
        ProcessKilled: a process was killed.
    """
    rest = iter(items)
    with ExitStack() as stack:
        children = [stack.enter_context(Child(_answer, work)) for _ in range(processes)]
        unanswered = 0
        for child, item in zip(children * AHEAD, rest, strict=False):
            child.connection.send(item)
            unanswered += 1
        if not unanswered:
            return
        for child, (result, error) in messages(children):
            if error:
                raise error
            unanswered -= 1
            for item in islice(rest, 1):
                child.connection.send(item)
                unanswered += 1
            yield result
            if not unanswered:
                return


def _answer(connection: Connection, work: Callable[[Any], Any]) -> None:
    """Call `work` for what comes, until the caller is gone."""
    with suppress(EOFError, ConnectionError):
        while True:
            item = connection.recv()
            answer: tuple[Any, Exception | None]
            try:
                answer = work(item), None
            except Exception as error:
                answer = None, error
            connection.send(answer)
