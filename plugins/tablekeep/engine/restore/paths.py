"""The ways in which a new table gets its items, and which one is best for a restore."""

from dataclasses import dataclass

from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.prices import Prices
from tablekeep.engine.restore.kept import KeptBackup
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
    kept: KeptBackup | None = None,
) -> Path:
    """The way that was asked for, or the best one.

    :param raw_bytes, units: bytes and write request units of what is wanted. :param kept: what AWS restores, with the path `backup`.
    :raises BadInputError: for one that cannot be taken here.
    """
    written = round(units / 1e6 * prices.write_request_units_million, 6)
    imported = round(raw_bytes / 1024**3 * prices.import_gb, 6)
    what = f"restoring to the table {request.to_table}"
    if request.mode != "new":
        return _to_existing(request, raw_bytes, written, prices, what)
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
    if request.path == "backup":
        assert kept is not None
        _check_kept(request, source, kept, what)
        size = round(kept.size / 1024**3 * prices.restore_gb, 6)
        who = "AWS Backup" if kept.by_aws_backup else "the service"
        return Path(
            "backup", f"asked for: {who} restores what it keeps, and the backup set is compared with it", size, False
        )
    if request.path == "auto" and not obstacle and raw_bytes >= IMPORT_FROM:
        why = f"{imported:,.2f} dollars instead of {written:,.2f} for write units, and no write capacity"
        return Path("import-table", why, imported, False)
    why = "works for every table and every item"
    if request.path == "auto":
        why = obstacle or f"less than {IMPORT_FROM // 1024**3} GiB: faster than ImportTable's start"
    return Path("batch-write", why, written, True)


def _to_existing(request: RestoreRequest, raw_bytes: int, written: float, prices: Prices, what: str) -> Path:
    if request.path == "bulk-put":
        usd = round(raw_bytes / 1024**3 * (prices.bulk_put_gb or 0.0), 6)
        return Path(
            "bulk-put", "asked for: the service writes what is staged; tried against its API model only", usd, False
        )
    why = "ImportTable, recovery and backups make new tables"
    if request.mode != "empty":
        why = "one conditional write an item tells what is there"
    if request.path not in ("auto", "batch-write"):
        raise BadInputError(
            what, f"the path {request.path} does not go with the mode {request.mode}: {why}", "leave the path to auto"
        )
    if request.mode == "empty":
        return Path("batch-write", "the table exists", written, True)
    return Path("conditional-put", "one write an item, which tells what is there", written, True)


def _check_recovery(
    request: RestoreRequest, source: Source, settings: TableSettings, target: Target, what: str
) -> None:
    if (settings.account, settings.region) != (target.account, target.region):
        why = f"the backed-up table is in {settings.account}/{settings.region}, the target in {target.account}/{target.region}"
        raise BadInputError(what, why, "leave the path to auto for another account or Region")
    if not source.manifest.one_moment:
        why = "the backup is a scan, of no single moment: no moment of the table is known to equal it"
        raise BadInputError(what, why, "name a backup of the engine pitr, or leave the path to auto")


def _check_kept(request: RestoreRequest, source: Source, kept: KeptBackup, what: str) -> None:
    table = source.manifest.table
    if kept.table != table["name"] or kept.table_id not in ("", table["id"]):
        another = (
            "a table that had this name before or after" if kept.table == table["name"] else f"the table {kept.table}"
        )
        raise BadInputError(
            what, f"the backup is of {another}, the backup set of {table['name']} with the table id {table['id']}",
            "name a backup and a backup set of one table",
        )  # fmt: skip
