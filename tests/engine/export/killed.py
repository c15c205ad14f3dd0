"""What a process does that will be killed: an export that ends itself with SIGKILL at its n-th changing call."""

import os
import signal
from typing import Any

import boto3

from tablekeep.engine.backups import parts
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.export import segments
from tablekeep.engine.export.table import export_table
from tablekeep.engine.progress import NoProgress

CHANGING = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "DeleteObject")


def counting(at: int, after: bool) -> tuple[boto3.session.Session, list[str]]:
    """A session that kills this process before or after the call number `at` to S3 that changes something; what was called."""
    session = boto3.session.Session(region_name="us-east-1")
    called: list[str] = []

    def count(operation: str) -> Any:
        def on_call(**_: Any) -> None:
            called.append(operation)
            if len(called) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        return on_call

    for operation in CHANGING:
        session.events.register(f"{'after-call' if after else 'before-send'}.s3.{operation}", count(operation))
    return session, called


def export(environment: dict[str, str], at: int, after: bool, **more: Any) -> list[str]:
    """Exports `big` with a part for each page."""
    os.environ.update(environment)
    parts.ROW_GROUP_BYTES = segments.PART_BYTES = 1
    session, called = counting(at, after)
    export_table(
        clients=SessionClients(session), clock=SystemClock(), progress=NoProgress(), table="big", actor="test", **more
    )
    return called
