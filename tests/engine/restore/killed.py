"""What a process does that will be killed: a restore that ends itself with SIGKILL at its n-th changing call."""

import functools
import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import boto3
import botocore.loaders
import botocore.session

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import load
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table

CHANGING = ("s3.PutObject", "dynamodb.CreateTable", "dynamodb.UpdateTable", "dynamodb.TagResource")

# read once by the process that all others are forked from, not by each of them
botocore.session.create_loader = functools.cache(botocore.loaders.create_loader)
for _service in ("dynamodb", "s3", "sts", "backup", "application-autoscaling"):
    botocore.session.create_loader(None).load_service_model(_service, "service-2")
botocore.session.create_loader(None).load_data_with_path("endpoints")


def counting(
    at: int, after: bool, operations: Sequence[str] = CHANGING, of: Sequence[str] = ("",)
) -> tuple[boto3.session.Session, list[str]]:
    """A session that kills this process before or after its changing call number `at`, batches of items included.

    :param of: of S3's calls only those for objects whose name has one of these in it.
    """
    session = boto3.session.Session(region_name="us-east-1")
    called: list[str] = []
    lock = threading.Lock()

    def count(operation: str) -> None:
        with lock:
            called.append(operation)
            if len(called) == at:
                os.kill(os.getpid(), signal.SIGKILL)

    keys = threading.local()

    def about(operation: str) -> None:
        if not operation.startswith("s3.") or any(one in keys.of for one in of):
            count(operation)

    for operation in operations:
        moment = "after-call" if after else "before-send"
        if operation.startswith("s3."):  # the key is known before the request is put together
            session.events.register(
                f"before-parameter-build.{operation}", lambda params, **_: setattr(keys, "of", params.get("Key", ""))
            )
        session.events.register(f"{moment}.{operation}", lambda operation=operation, **_: about(operation))
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
    """Restores `width` parts side by side."""
    os.environ.update(environment)
    load.LANES = width
    session, called = counting(at, after)
    restore_table(
        RestoreRequest(to_table, backup), clients=SessionClients(session), clock=SystemClock(), progress=NoProgress(), actor="t",
        run="t",
    )  # fmt: skip
    return called


SERVICES = (
    "s3.PutObject", "dynamodb.ImportTable", "dynamodb.RestoreTableToPointInTime", "dynamodb.RestoreTableFromBackup",
    "backup.StartRestoreJob", "dynamodb.TagResource",
)  # fmt: skip


class Quick(SystemClock):
    """Waits for nothing: what the stand-in makes is there after so many questions."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds, 0.01))


def restore_by_service(environment: dict[str, str], at: int, after: bool, request: RestoreRequest) -> None:
    """Of S3's calls those around the restore's state and what is staged count."""
    os.environ.update(environment)
    session, _ = counting(at, after, SERVICES, of=("/_restores/",))
    restore_table(request, clients=SessionClients(session), clock=Quick(), progress=NoProgress(), actor="t", run="t")


def restore_by(environment: dict[str, str], workers: int, backup: str, to_table: str) -> None:
    """Restores by so many processes; whoever wants it killed does that from outside."""
    os.environ.update(environment)
    restore_table(
        RestoreRequest(to_table, backup), clients=SessionClients(region="us-east-1"), clock=SystemClock(), progress=NoProgress(), actor="t",
        run="t", workers=workers,
    )  # fmt: skip
