"""A drill's record, and beside it the page for people."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clock import Clock
from tablekeep.engine.drills.report import history


class Report(Protocol):
    """Of whatever was drilled."""

    page: str

    def as_dict(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=Report)


def keep_report(
    store: Store,
    shelf: Shelf,
    report: R,
    page: Callable[[R, list[dict[str, Any]]], str],
    backup_id: str | None,
    *,
    actor: str,
    run: str,
    clock: Clock,
) -> None:
    """Writes both; the page first, so that the record can name it.

    :param page: makes it of the report and the drills before it. :param backup_id: the set, or the snapshot.
    """
    name = f"{shelf.prefix}/_records/drill/{clock.now():%Y%m%dT%H%M%S%fZ}-{clock.token(4)}.html"
    report.page = f"s3://{shelf.bucket}/{name}"
    before = history(store, shelf)
    store.put(name, page(report, before).encode(), if_absent=True)
    write_record(store, shelf, "drill", report.as_dict(), backup_id=backup_id, actor=actor, run=run, clock=clock)
