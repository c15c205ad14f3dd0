"""What a process does that will be killed: a copy that ends itself with SIGKILL at its n-th call that changes something."""

import os
import signal
from collections.abc import Callable
from typing import Any

import botocore.client

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.athena import AthenaTarget, register_backup
from tablekeep.engine.copies.copy import copy_backup
from tablekeep.engine.copies.modes import parse_mode
from tablekeep.engine.copies.redshift import RedshiftTarget
from tablekeep.engine.progress import NoProgress
from tests.processes import exit_code
from tests.tables import clients

CHANGING = ("Put", "Delete", "Execute", "BatchExecute", "Create", "Update")
ROLE = "arn:aws:iam::123456789012:role/copy"


def kill_at(at: int, after: bool) -> None:
    """This process dies at the call number `at` that changes something; after it, once a statement that it began has ended."""
    real, calls = botocore.client.BaseClient._make_api_call, [0]

    def call(self: Any, operation: str, arguments: Any) -> Any:
        changes = operation.startswith(CHANGING)
        calls[0] += changes
        if changes and calls[0] == at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(self, operation, arguments)
        if changes and calls[0] == at:
            if "Execute" in operation:
                self.describe_statement(Id=answer["Id"], WaitTimeSeconds=20)
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    botocore.client.BaseClient._make_api_call = call


def redshift(environment: dict[str, str], at: int, after: bool, backup: str, mode: str) -> None:
    """Copies to public.orders."""
    os.environ.update(environment)
    kill_at(at, after)
    target = RedshiftTarget(clients(), "public.orders", database="dev", iam_role=ROLE, workgroup="dwh")
    common: dict[str, Any] = {
        "clients": clients(),
        "clock": SystemClock(),
        "progress": NoProgress(),
        "actor": "t",
        "run": "t",
    }
    copy_backup(backup=backup, target=target, mode=parse_mode(mode), **common)


def athena(environment: dict[str, str], at: int, after: bool, backup: str) -> None:
    """Points analytics.orders at a backup."""
    os.environ.update(environment)
    kill_at(at, after)
    common: dict[str, Any] = {
        "clients": clients(),
        "clock": SystemClock(),
        "progress": NoProgress(),
        "actor": "t",
        "run": "t",
    }
    register_backup(backup=backup, target=AthenaTarget(clients(), "analytics", "orders"), **common)


def in_a_process(what: Callable[..., None], at: int, after: bool, *more: str) -> bool:
    """Runs one of the above in a process of its own; whether it was killed."""
    code = exit_code(what, at, after, *more)
    assert code in (0, -signal.SIGKILL)
    return code != 0
