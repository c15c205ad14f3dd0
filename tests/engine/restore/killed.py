"""What a process does that will be killed: a restore that ends itself with SIGKILL at its n-th changing call."""

import os
import signal
import threading
from typing import Any

import boto3

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import load
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table

CHANGING = ("s3.PutObject", "dynamodb.CreateTable", "dynamodb.UpdateTable", "dynamodb.TagResource")


def counting(at: int, after: bool) -> tuple[boto3.session.Session, list[str]]:
    """A session that kills this process before or after its changing call number `at`, batches of items included."""
    session = boto3.session.Session(region_name="us-east-1")
    called: list[str] = []
    lock = threading.Lock()

    def count(operation: str) -> None:
        with lock:
            called.append(operation)
            if len(called) == at:
                os.kill(os.getpid(), signal.SIGKILL)

    for operation in CHANGING:
        moment = "after-call" if after else "before-send"
        session.events.register(f"{moment}.{operation}", lambda operation=operation, **_: count(operation))
    real = WireClient.batch_write

    def batch_write(self: WireClient, table: str, items: Any) -> Any:
        if not after:
            count("BatchWriteItem")
        answer = real(self, table, items)
        if after:
            count("BatchWriteItem")
        return answer

    WireClient.batch_write = batch_write  # type: ignore[method-assign]
    return session, called


def restore(environment: dict[str, str], at: int, after: bool, backup: str, to_table: str, width: int = 2) -> list[str]:
    """Restores in waves of `width` parts."""
    os.environ.update(environment)
    load.WIDTH = width
    load.waves.__defaults__ = (width,)
    session, called = counting(at, after)
    restore_table(
        RestoreRequest(to_table, backup), clients=SessionClients(session), clock=SystemClock(), progress=NoProgress(), actor="t",
        run="t",
    )  # fmt: skip
    return called
