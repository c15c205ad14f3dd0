"""The ways in which a new table gets its items, and which one is best for a restore."""

from dataclasses import dataclass

from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.prices import Prices
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.source import Source
from tablekeep.engine.restore.targets import Target

IMPORT_FROM = 5 * 1024**3
"""Bytes from which on `auto` takes ImportTable: below, its start takes longer than writing, and writing costs little."""


@dataclass(frozen=True)
class Path:
    """A way. `why` it was taken, what it costs, and whether it takes write capacity."""

    name: str
    why: str
    usd: float
    writes: bool


def choose_path(
    request: RestoreRequest,
    source: Source,
    settings: TableSettings,
    target: Target,
    raw_bytes: int,
    units: int,
    prices: Prices,
) -> Path:
    """The way that was asked for, or the best one.

    :param raw_bytes, units: bytes and write request units of what is wanted.
    :raises BadInputError: for one that cannot be taken here.
    """
    written = round(units / 1e6 * prices.write_request_units_million, 6)
    imported = round(raw_bytes / 1024**3 * prices.import_gb, 6)
    what = f"restoring to the table {request.to_table}"
    if request.mode in ("missing-only", "overwrite-listed-keys"):
        _only_auto(request, what, "one conditional write an item tells what is there")
        return Path("conditional-put", "one write an item, which tells what is there", written, True)
    if request.mode == "empty":
        _only_auto(request, what, "ImportTable and point-in-time recovery make new tables")
        return Path("batch-write", "the table exists", written, True)
    obstacle = None
    if settings.local_indexes:
        obstacle = "ImportTable makes no local secondary indexes"
    if request.path == "import-table":
        if obstacle:
            raise BadInputError(what, obstacle, "leave the path to auto")
        return Path("import-table", "asked for", imported, False)
    if request.path == "pitr":
        _check_recovery(request, source, settings, target, what)
        size = round(settings.size_bytes / 1024**3 * prices.restore_gb, 6)
        return Path("pitr", "asked for: the service restores its own copy, and the backup proves it", size, False)
    if request.path == "auto" and not obstacle and raw_bytes >= IMPORT_FROM:
        why = f"{imported:,.2f} dollars instead of {written:,.2f} for write units, and no write capacity"
        return Path("import-table", why, imported, False)
    why = "works for every table and every item"
    if request.path == "auto":
        why = obstacle or f"less than {IMPORT_FROM // 1024**3} GiB: faster than ImportTable's start"
    return Path("batch-write", why, written, True)


def _only_auto(request: RestoreRequest, what: str, why: str) -> None:
    if request.path not in ("auto", "batch-write"):
        raise BadInputError(
            what, f"the path {request.path} does not go with the mode {request.mode}: {why}", "leave the path to auto"
        )


def _check_recovery(
    request: RestoreRequest, source: Source, settings: TableSettings, target: Target, what: str
) -> None:
    if request.partial or request.parts is not None:
        raise BadInputError(
            what, "point-in-time recovery restores whole tables", "leave the path to auto for some items"
        )
    if (settings.account, settings.region) != (target.account, target.region):
        why = f"the backed-up table is in {settings.account}/{settings.region}, the target in {target.account}/{target.region}"
        raise BadInputError(what, why, "leave the path to auto for another account or Region")
    if source.manifest.engine not in ("pitr", "merge"):
        why = "the backup is a scan, of no single moment: no moment of the table is known to equal it"
        raise BadInputError(what, why, "name a backup of the engine pitr, or leave the path to auto")
