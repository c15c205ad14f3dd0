"""Several processes of this machine do one piece of work: Python uses one core a process.

They share nothing but the numbers still to be given out, two numbers for a budget, the time until which they may work, and the way in
which they tell the first process what they have done. A worker that dies takes nothing of the others with it.
"""

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, SystemClock
from tablekeep.engine.errors import BadInputError, TablekeepError, TransientError
from tablekeep.engine.progress import Progress

MOST_PROCESSES = 64
PATIENCE_SECONDS = 10.0
BEAT_SECONDS = 1.0
NO_END = float("inf")


def check_workers(what: str, workers: int) -> None:
    """:raises BadInputError: for a number of processes that nobody wants."""
    if not 1 <= workers <= MOST_PROCESSES:
        raise BadInputError(what, f"{workers} workers", f"give 1 to {MOST_PROCESSES}")


class Worker:
    """What the work gets in its process.

    :ivar clients: as the first process has them, made again. :ivar cell: shared by all, for a `TokenBucket`.
    """

    def __init__(self, sources: Sequence[Any], count: int, at: Any, cell: Any, until: Any, messages: Any) -> None:
        self.clients = tuple(SessionClients.of(source) for source in sources)
        self.clock: Clock = SystemClock()
        self.progress: Progress = _Told(messages)
        self.cell = cell
        self._count, self._at, self._until, self._messages = count, at, until, messages

    def take(self) -> int | None:
        """The next number that no worker has; None when there is none left."""
        with self._at.get_lock():
            number = int(self._at.value)
            self._at.value += 1
        return number if number < self._count else None

    def tell(self, content: Any) -> None:
        """Tells the first process, which has it before the work ends."""
        self._messages.put(("told", content))

    def guard(self) -> None:
        """:raises TransientError: when the first process has not said for long that the work is still ours."""
        given_up = time.monotonic() + PATIENCE_SECONDS  # it may have slept as long as this one
        while time.monotonic() > self._until.value:
            if time.monotonic() > given_up:
                raise TransientError("going on with the work", "its lease was not renewed in time", "run it again")
            time.sleep(BEAT_SECONDS / 10)


def in_processes(
    work: Callable[[Worker, Any], None],
    job: Any,
    *,
    clients: Sequence[SessionClients],
    count: int,
    workers: int,
    name: str,
    what: str,
    progress: Progress,
    told: Callable[[Any], None] = lambda content: None,
    until: Callable[[], float] | None = None,
) -> None:
    """Runs `work(worker, job)` in `workers` processes, until all have ended.

    :param work: a function of a module. :param job: what it is told; both travel to the processes.
    :param count: numbers 0 … count-1 are given out, each once. :param name: of the processes. :param what: they do, for errors.
    :param told: gets, in a thread of this process and one after the other, what workers tell; its failure ends them all.
    :param until: asked every second: until when (monotonic) the work may go on.
    :raises BadInputError: when the clients cannot be made again in another process.
    :raises TransientError: when a worker was killed. Else the first failure of a worker, or of `told`.
    """
    sources = [one.source for one in clients]
    if None in sources:
        raise BadInputError(
            what,
            "these credentials cannot be handed to other processes",
            "take one worker, or give credentials that boto3 finds by itself",
        )
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
    at = context.Value(ctypes.c_longlong, 0)
    cell = context.Array("d", (0.0, time.monotonic()))  # nothing to begin with: what went before had it
    end = context.Value("d", until() if until else NO_END)
    messages = context.Queue()
    shared = (sources, count, at, cell, end, messages)
    processes = [
        context.Process(target=_run, args=(work, job, *shared), name=f"{name}-{number}", daemon=True)
        for number in range(workers)
    ]
    heard = _Heard(progress, told)
    teller = threading.Thread(target=heard.listen, args=(messages,), name="progress", daemon=True)
    try:
        for process in processes:
            process.start()
        teller.start()
        if _wait(processes, heard.failed, end, until):
            messages.put(None)
            teller.join()  # what workers told before they ended lies before it
    finally:
        _end(processes)
        messages.put(None)
        # a worker that was killed may have died with the queue's lock in its hands: then nothing comes any more
        messages.cancel_join_thread()
        if teller.is_alive():
            teller.join(PATIENCE_SECONDS)
    if heard.failures:
        raise heard.failures[0]
    for process in sorted(processes, key=lambda one: one.exitcode == -signal.SIGTERM or one.exitcode == 143):
        if process.exitcode:
            raise TransientError(
                what,
                f"the worker {process.name} ended with {process.exitcode}",
                "run it again: it goes on where the workers stood; a worker that is killed may lack memory",
            )


def _wait(processes: Sequence[Any], failed: threading.Event, end: Any, until: Callable[[], float] | None) -> bool:
    """Until all have ended well (True), or one badly: it may have died with a lock in its hands, for which the others wait for ever."""
    left = {process.sentinel: process for process in processes}
    while left:
        for sentinel in multiprocessing.connection.wait(list(left), timeout=BEAT_SECONDS):
            process = left.pop(sentinel)
            process.join()
            if process.exitcode:
                return False
        if failed.is_set():
            return False
        if until is not None:
            end.value = until()
    return True


def _end(processes: Sequence[Any]) -> None:
    """Ends those that run: asked first, so that uploads are given up, then by force."""
    running = [process for process in processes if process.pid is not None and process.is_alive()]
    for process in running:
        process.terminate()
    for process in running:
        process.join(PATIENCE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


class _Heard:
    """What the workers have told."""

    def __init__(self, progress: Progress, told: Callable[[Any], None]) -> None:
        self._progress, self._told = progress, told
        self.failures: list[BaseException] = []
        self.failed = threading.Event()

    def listen(self, messages: Any) -> None:
        """Passes on what comes, until None does. After a failure it only listens, so that no worker waits for a full pipe."""
        while (message := messages.get()) is not None:
            kind, content = message
            try:
                if kind == "failure":
                    self.failures.append(content)
                elif kind == "advance":
                    self._progress.advance(*content)
                elif kind == "note":
                    self._progress.note(content)
                elif not self.failures:
                    self._told(content)
            except BaseException as error:
                self.failures.append(error)
                self.failed.set()


class _Told:
    """The progress of a worker, told to the first process."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        return None

    def advance(self, count: int, byte_count: int = 0) -> None:
        self._queue.put(("advance", (count, byte_count)))

    def note(self, text: str) -> None:
        self._queue.put(("note", text))


def _run(work: Callable[[Worker, Any], None], job: Any, *shared: Any) -> None:
    """One worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process ends this one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that uploads are given up
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        work(Worker(*shared), job)
    except TablekeepError as error:
        shared[-1].put(("failure", error))
        sys.exit(1)


def _end_with_parent() -> None:
    """When the first process is killed, nobody waits for this one any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
