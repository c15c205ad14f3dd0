"""The table to which is restored, looked at before anything is changed."""

import fnmatch
from dataclasses import dataclass

import botocore
import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.dynamodb.tables import CreatedTable
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.restore.request import RestoreRequest


@dataclass(frozen=True)
class Target:
    """Where the items will be.

    :ivar there: of an existing table; None for one to be made. :ivar notes: what a person should know before approving.
    """

    name: str
    account: str
    region: str
    there: TableSettings | None = None
    notes: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        """Of the table; of one to be made, what it will be."""
        return self.there.arn if self.there else f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.name}"

    def as_created(self, run: str = "") -> CreatedTable:
        """As the functions that work on a table take it."""
        return CreatedTable(self.name, self.there.table_id if self.there else "", self.arn, self.region, run)


def look_at_target(clients: SessionClients, request: RestoreRequest, source: TableSettings) -> Target:
    """Whether the request's table may be written to.

    :raises BadInputError: when its name or account is refused, or its state does not fit the mode.
    :raises TransientError: while it is being changed.
    """
    name, what = request.to_table, f"restoring to the table {request.to_table}"
    for pattern in request.patterns_refused:
        if fnmatch.fnmatchcase(name, pattern):
            raise BadInputError(what, f"the pipeline refuses names like {pattern}", "name another new table")
    account = clients.account()
    if request.accounts and account not in request.accounts:
        raise BadInputError(
            what, f"these credentials are of account {account}, and restore.accounts allows {', '.join(request.accounts)}",
            "use a connection of an allowed account",
        )  # fmt: skip
    if request.mode == "new":
        _refuse_existing(clients, name, what)
        return Target(name, account, clients.region)
    there = read_settings(clients, name)
    if there.status != "ACTIVE":
        raise TransientError(what, f"the table is {there.status}", "wait until it is ACTIVE")
    if there.key_schema != source.key_schema:
        mine, theirs = (
            ", ".join(f"{key.name} ({key.type}, {key.role})" for key in one.key_schema) for one in (source, there)
        )
        raise BadInputError(what, f"its key is {theirs}, the backup's {mine}", "name a table with the same key")
    if request.mode == "empty" and WireClient(clients).scan(name, consistent=True, limit=1).count:
        raise BadInputError(
            what, "it is not empty", "use --mode missing-only or overwrite-listed-keys, or restore to a new table"
        )
    return Target(name, account, clients.region, there, tuple(_warnings(there, source)))


def _warnings(there: TableSettings, source: TableSettings) -> list[str]:
    notes = []
    if there.arn == source.arn:
        notes.append("this is the table that the backup was made of")
    if there.stream_view:
        notes.append("the table has a stream: whoever reads it gets every restored item as a change")
    if there.description.get("Replicas"):
        notes.append("the table is global: every restored item is written to its replicas, too, and paid there")
    if there.ttl_attribute:
        notes.append(f"items expire there by {there.ttl_attribute}: restored items that have expired will vanish")
    if missing := sorted(set(source.global_indexes) - set(there.global_indexes)):
        notes.append(f"the table lacks indexes of the backup: {', '.join(missing)}")
    return notes


def _refuse_existing(clients: SessionClients, name: str, what: str) -> None:
    try:
        table = clients.client("dynamodb").describe_table(TableName=name)["Table"]
    except botocore.exceptions.ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise translate(error, what) from error
        return
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, what) from error
    raise BadInputError(
        what,
        f"a table of this name exists ({table['TableStatus']}, about {table.get('ItemCount', 0):,} items)",
        "name another one; an existing table is only written to with --mode empty, missing-only or overwrite-listed-keys",
    )


LEAST_BULK_WCU = 1024
"""StartBulkPutItems takes no lower limit (API Reference, "StartBulkPutItems")."""


def check_bulk(clients: SessionClients, request: RestoreRequest, target: Target, max_usd: bool) -> None:
    """Whether StartBulkPutItems may write to the target.

    :param max_usd: a limit was given, which a price that is not known cannot keep.
    :raises BadInputError: when it may not, or this botocore does not know it. :raises TransientError: while an index is being made.
    """
    what, there = f"restoring to the table {request.to_table}", target.there
    if there is None or request.mode not in ("empty", "overwrite-listed-keys"):
        why = (
            "it needs a condition for each item, and the API's model has none: no parameter of StartBulkPutItems takes it, and how one is "
            "written in the input is not said"
            if request.mode == "missing-only"
            else "StartBulkPutItems writes to a table that exists"
        )
        raise BadInputError(what, why, "take it with --mode empty or overwrite-listed-keys, or leave the path to auto")
    if not hasattr(clients.client("dynamodb"), "start_bulk_put_items"):
        raise BadInputError(
            what, f"botocore {botocore.__version__} does not know StartBulkPutItems", "install botocore 1.44, or leave the path to auto"
        )  # fmt: skip
    if there.description.get("Replicas"):
        raise BadInputError(
            what, "StartBulkPutItems does not write to a table that has replicas", "leave the path to auto"
        )
    indexes = there.description.get("GlobalSecondaryIndexes") or []
    if any(one.get("IndexStatus", "ACTIVE") != "ACTIVE" or one.get("Backfilling") for one in indexes):
        raise TransientError(what, "an index of the table is being made", "wait until all are ACTIVE")
    if request.max_wcu is not None and request.max_wcu < LEAST_BULK_WCU:
        raise BadInputError(
            what, f"StartBulkPutItems takes no limit below {LEAST_BULK_WCU:,} WCU a second", "give more, or leave the path to auto"
        )  # fmt: skip
    if max_usd:
        raise BadInputError(
            what, "it is paid by the bytes that are put, and the prices do not say how much", "add dynamodb.bulk_put_gb to the prices"
        )  # fmt: skip
