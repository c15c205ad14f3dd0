"""What a restore would make, and whether it may: looked at before anything is made."""

import fnmatch
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.catalog import newest_verified
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.clock import utc_text
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.names import check_table_name
from tablekeep.engine.prices import Prices

WRITE_UNIT = 1024
"""One write capacity unit is one write a second of an item of up to 1 KB (DynamoDB, "Read and write capacity")."""


@dataclass(frozen=True)
class RestorePlan:
    """A restore that may be done.

    :ivar raw_bytes: of the items' canonical text, about what DynamoDB will store.
    :ivar write_units: at least so many write request units, before indexes; an estimate from the mean item.
    :ivar indexes: global secondary indexes, made one after the other when the items are there.
    :ivar usd: for the write units, on demand; a new table has the source's billing, and provisioned capacity is paid by the hour.
    """

    backup: str
    source_table: str
    to_table: str
    account: str
    region: str
    as_of: str
    items: int
    raw_bytes: int
    write_units: int
    key: list[str]
    indexes: list[str]
    usd: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def write_units(manifest: Manifest) -> int:
    """About how many write request units loading a set takes, before indexes."""
    mean = manifest.raw_bytes / manifest.items if manifest.items else 0
    return int(manifest.items * max(1, -(-mean // WRITE_UNIT)))


def plan_restore(
    *,
    clients: SessionClients,
    to_table: str,
    backup: str | None = None,
    newest_of: Shelf | None = None,
    patterns_refused: Sequence[str] = (),
    backup_clients: SessionClients | None = None,
    prices: Prices,
    max_usd: float | None = None,
) -> RestorePlan:
    """Looks, and changes nothing.

    :param backup: the manifest's URI; else the newest verified set of `newest_of`.
    :param patterns_refused: names, with `*` and `?`, to which nothing is restored.
    :param max_usd: the money allowed.
    :raises BadInputError: when the name is refused or a table has it already, or there is no such backup, or it costs too much.
    """
    check_table_name(to_table)
    what = f"restoring to the table {to_table}"
    for pattern in patterns_refused:
        if fnmatch.fnmatchcase(to_table, pattern):
            raise BadInputError(what, f"the pipeline refuses names like {pattern}", "name another new table")
    source = backup_clients or clients
    if not backup:
        if newest_of is None:
            raise BadInputError(what, "no backup is named", "give the manifest's URI")
        manifest = newest_verified(S3Store(source, newest_of.bucket), newest_of)
        if manifest is None:
            raise BadInputError(
                what, f"no backup of {newest_of.name} is verified", "name one, or verify one with level full"
            )
        backup = manifest.uri
    opened = open_backup(source, backup)
    manifest = opened.manifest
    try:
        clients.client("dynamodb").describe_table(TableName=to_table)
    except botocore.exceptions.ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise translate(error, what) from error
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, what) from error
    else:
        raise BadInputError(
            what, "a table of this name exists", "name another one: an existing table is never written to"
        )
    settings = TableSettings.from_document(opened.document("table"))
    units = write_units(manifest)
    usd = round(units / 1e6 * prices.write_request_units_million, 6)
    if over := prices.over_limit(usd, max_usd):
        raise BadInputError(what, over, "raise the limit, or restore a smaller backup")
    return RestorePlan(
        manifest.uri, str(manifest.table["name"]), to_table, clients.account(), clients.region, utc_text(manifest.as_of), manifest.items,
        manifest.raw_bytes, units, list(manifest.key_names),
        [str(index["IndexName"]) for index in settings.description.get("GlobalSecondaryIndexes", [])],
        usd,
    )  # fmt: skip
