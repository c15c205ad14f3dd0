"""Several processes of this machine read one export: Python uses one core a process.

They share nothing but the segments still to be given out, the read budget and the way in which progress is told; what they finish
stands in the segments' states. A worker that dies takes nothing of the others with it, and a later try goes on.
"""

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import ClientSource, SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.errors import BadInputError, TablekeepError, TransientError
from tablekeep.engine.export.plan import ExportPlan
from tablekeep.engine.export.read import read_segments
from tablekeep.engine.progress import Progress

MOST_PROCESSES = 64
PATIENCE_SECONDS = 10.0


def read_in_processes(
    clients: SessionClients,
    plan: ExportPlan,
    segments: Sequence[int],
    workers: int,
    *,
    owner: str | None,
    encryption: str | None,
    progress: Progress,
    rcu: float | None,
) -> None:
    """Reads segments in `workers` processes; see `read_segments` for what is so afterwards.

    :raises BadInputError: when the clients cannot be made again in another process.
    :raises TransientError: when a worker was killed. Else the first failure of a worker.
    """
    source = clients.source
    if source is None:
        raise BadInputError(
            f"exporting the table {plan.table['name']}",
            "these credentials cannot be handed to other processes",
            "export with one worker, or give credentials that boto3 finds by itself",
        )
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
    at = context.Value(ctypes.c_longlong, 0)
    cell = context.Array("d", (0.0, time.monotonic())) if rcu else None  # nothing to begin with: the sample had it
    messages = context.Queue()
    job = (source, plan, list(segments), owner, encryption, rcu)
    processes = [
        context.Process(target=_work, args=(job, at, cell, messages), name=f"export-{number}", daemon=True)
        for number in range(workers)
    ]
    failures: list[TablekeepError] = []
    teller = threading.Thread(target=_tell, args=(messages, progress, failures), name="progress", daemon=True)
    try:
        for process in processes:
            process.start()
        teller.start()
        _wait(processes)
    finally:
        _end(processes)
        messages.put(None)
        # a worker that was killed may have died with the queue's lock in its hands: then nothing comes any more
        messages.cancel_join_thread()
        if teller.is_alive():
            teller.join(PATIENCE_SECONDS)
    if failures:
        raise failures[0]
    for process in sorted(processes, key=lambda one: one.exitcode == -signal.SIGTERM or one.exitcode == 143):
        if process.exitcode:
            raise TransientError(
                f"exporting the table {plan.table['name']}",
                f"the worker {process.name} ended with {process.exitcode}",
                "run it again: it goes on where the workers' last parts ended; a worker that is killed may lack memory",
            )


def _wait(processes: Sequence[Any]) -> None:
    """Until all have ended, or one has ended badly: it may have died with a lock in its hands, for which the others wait for ever."""
    left = {process.sentinel: process for process in processes}
    while left:
        for sentinel in multiprocessing.connection.wait(list(left)):
            process = left.pop(sentinel)
            process.join()
            if process.exitcode:
                return


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


def _tell(messages: Any, progress: Progress, failures: list[TablekeepError]) -> None:
    """Passes the workers' progress on, until None comes."""
    while (message := messages.get()) is not None:
        kind, content = message
        if kind == "advance":
            progress.advance(*content)
        elif kind == "note":
            progress.note(content)
        else:
            failures.append(content)


class _Messages:
    """The progress of a worker, told to the process that started it."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        return None

    def advance(self, count: int, byte_count: int = 0) -> None:
        self._queue.put(("advance", (count, byte_count)))

    def note(self, text: str) -> None:
        self._queue.put(("note", text))


def _work(job: tuple[ClientSource, ExportPlan, list[int], Any, Any, Any], at: Any, cell: Any, messages: Any) -> None:
    """One worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process ends this one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that uploads are given up
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    source, plan, segments, owner, encryption, rcu = job

    def take() -> int | None:
        with at.get_lock():
            number = at.value
            at.value += 1
        return segments[number] if number < len(segments) else None

    clock = SystemClock()
    try:
        clients = SessionClients.of(source)
        store = S3Store(clients, plan.location.shelf.bucket, owner=owner, encryption=encryption)
        budget = TokenBucket(rcu, clock, cell) if rcu else None
        read_segments(clients, store, plan, take, clock=clock, progress=_Messages(messages), budget=budget)
    except TablekeepError as error:
        messages.put(("failure", error))
        sys.exit(1)


def _end_with_parent() -> None:
    """When the first process is killed, nobody waits for this one any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
