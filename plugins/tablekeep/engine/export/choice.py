"""Which engine exports a table, and whether a verified set is there already."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.catalog import newest, verified_sets
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.begin import Ready
from tablekeep.engine.export.report import ExportReport, report_of

ENGINES = ("scan", "pitr", "auto")


def exported_by_service(ready: Ready, engine: str, scan_only: dict[str, Any] | None = None) -> bool:
    """Whether the service's own export is used.

    :param scan_only: options that have no effect on it.
    :raises BadInputError: for such an option with `pitr`, and when `auto` would fall from pitr to scan by itself.
    """
    what = f"exporting the table {ready.settings.table}"
    if engine not in ENGINES:
        raise BadInputError(what, f"there is no engine {engine!r}", f"choose one of {', '.join(ENGINES)}")
    if engine == "scan":
        return False
    if engine == "auto" and not ready.settings.point_in_time_recovery:
        before = newest(ready.store, ready.shelf, table_id=ready.settings.table_id)
        if before is not None and before.engine == "pitr":
            raise BadInputError(
                what,
                "point-in-time recovery was turned off since its last backup, which was made by it",
                "turn it on again, or choose the engine scan",
            )
        return False
    given = sorted(name for name, value in (scan_only or {}).items() if value not in (None, 1))
    if given and engine == "pitr":
        raise BadInputError(
            what, f"{given[0]} is given, and the service's own export reads nothing from the table", "leave it out"
        )
    return True


def verified_as_of(ready: Ready, as_of: datetime) -> ExportReport | None:
    """The newest verified set of exactly that nominal time, made of the table that has the name now; None when there is none."""
    for manifest in verified_sets(ready.store, ready.shelf):
        if manifest.as_of == as_of and manifest.table_id == ready.settings.table_id:
            return replace(report_of(manifest), reused=True, verified=True)
    return None
