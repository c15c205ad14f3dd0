"""A drill's record, and beside it the page for people."""

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clock import Clock
from tablekeep.engine.drills.report import DrillReport, history
from tablekeep.engine.drills.table_page import drill_page


def keep_report(
    store: Store, shelf: Shelf, report: DrillReport, backup_id: str, *, actor: str, run: str, clock: Clock
) -> None:
    """Writes both; the page first, so that the record can name it."""
    name = f"{shelf.prefix}/_records/drill/{clock.now():%Y%m%dT%H%M%S%fZ}-{clock.token(4)}.html"
    report.page = f"s3://{shelf.bucket}/{name}"
    before = history(store, shelf)
    store.put(name, drill_page(report, before).encode(), if_absent=True)
    write_record(store, shelf, "drill", report.as_dict(), backup_id=backup_id, actor=actor, run=run, clock=clock)
