"""Tables built from settings, and taken away again: only those that the same run created."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translate, translated
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.progress import NoProgress, Progress

CREATION_TAG = "tablekeep:creation"
"""A random token of each creation: tells our own table from another's when the answer to CreateTable was lost."""

POLL_SECONDS = (1.0, 5.0)
NOTE_SECONDS = 60.0

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CreatedTable:
    """A table that a run of ours created; `table_id` is what DeleteTable is decided by."""

    name: str
    table_id: str
    arn: str
    region: str
    run: str


def creation_request(
    settings: TableSettings, name: str, *, region: str | None = None, indexes: Collection[str] = ()
) -> Request:
    """CreateTable's parameters for a table like the described one.

    Only listed fields are taken over: DescribeTable's answer is no valid request. Other global secondary indexes, the stream and the
    limits of on-demand capacity come after the load (`add_indexes`, `reapply_settings`); deletion protection is off.

    :param region: where the table is to be; another Region than the source's cannot use its customer managed key.
    :param indexes: global secondary indexes with which it is made; it refuses items then that do not fit their keys.
    """
    table = settings.description
    local = [
        {"IndexName": index["IndexName"], "KeySchema": index["KeySchema"], "Projection": projection(index)}
        for index in table.get("LocalSecondaryIndexes") or []
    ]
    global_ = [_index(settings, name, index) for index in indexes]
    schemas = [table["KeySchema"], *(index["KeySchema"] for index in (*local, *global_))]
    request: Request = {
        "TableName": name,
        "KeySchema": table["KeySchema"],
        "AttributeDefinitions": definitions(settings, schemas),
        "BillingMode": settings.billing_mode,
        "DeletionProtectionEnabled": False,
    }
    if local:
        request["LocalSecondaryIndexes"] = local
    if global_:
        request["GlobalSecondaryIndexes"] = global_
    if settings.capacity is not None:
        request["ProvisionedThroughput"] = throughput(table["ProvisionedThroughput"])
    table_class = (table.get("TableClassSummary") or {}).get("TableClass", "STANDARD")
    if table_class != "STANDARD":
        request["TableClass"] = table_class
    encryption = _encryption(settings, region or settings.region)
    if encryption is not None:
        request["SSESpecification"] = encryption
    return request


def index_request(settings: TableSettings, name: str, index: str) -> Request:
    """UpdateTable's parameters that add the global secondary index `index`."""
    create = _index(settings, name, index)
    return {
        "TableName": name,
        "AttributeDefinitions": definitions(settings, [settings.description["KeySchema"], create["KeySchema"]]),
        "GlobalSecondaryIndexUpdates": [{"Create": create}],
    }


def _index(settings: TableSettings, name: str, index: str) -> Request:
    """A global secondary index as a request takes it.

    :param name: of the new table, for the error.
    """
    found = next(
        (entry for entry in settings.description.get("GlobalSecondaryIndexes") or [] if entry["IndexName"] == index),
        None,
    )
    if found is None:
        raise BadInputError(
            f"adding index {index} to table {name}", f"table {settings.table} has no such global secondary index"
        )
    made: Request = {"IndexName": index, "KeySchema": found["KeySchema"], "Projection": projection(found)}
    if settings.capacity is not None:
        made["ProvisionedThroughput"] = throughput(found["ProvisionedThroughput"])
    elif limits := on_demand_limits(found):
        made["OnDemandThroughput"] = limits
    return made


def definitions(settings: TableSettings, schemas: list[list[Request]]) -> list[Request]:
    """The attribute definitions that these key schemas need; the service refuses one that no key uses."""
    used = {key["AttributeName"] for schema in schemas for key in schema}
    return [entry for entry in settings.description["AttributeDefinitions"] if entry["AttributeName"] in used]


def projection(index: Request) -> Request:
    """An index's projection as a request takes it."""
    given = index["Projection"]
    kept: Request = {"ProjectionType": given["ProjectionType"]}
    if given["ProjectionType"] == "INCLUDE":
        kept["NonKeyAttributes"] = given["NonKeyAttributes"]
    return kept


def throughput(described: Request) -> Request:
    """Provisioned capacity as a request takes it."""
    return {"ReadCapacityUnits": described["ReadCapacityUnits"], "WriteCapacityUnits": described["WriteCapacityUnits"]}


def on_demand_limits(described: Request) -> Request:
    """The maxima of on-demand capacity that are set; -1 stands for none."""
    limits = described.get("OnDemandThroughput") or {}
    return {name: limits[name] for name in ("MaxReadRequestUnits", "MaxWriteRequestUnits") if limits.get(name, -1) > 0}


def customer_key(settings: TableSettings) -> str | None:
    """The ARN of the customer managed key, also where KMS did not say whose it is; None for a key of AWS."""
    arn = (settings.description.get("SSEDescription") or {}).get("KMSMasterKeyArn")
    owner = ((settings.answer("kms:DescribeKey") or {}).get("KeyMetadata") or {}).get("KeyManager")
    return str(arn) if arn and owner != "AWS" else None


def _encryption(settings: TableSettings, region: str) -> Request | None:
    described = settings.description.get("SSEDescription") or {}
    if described.get("Status") not in {"ENABLED", "ENABLING", "UPDATING"}:
        return None
    request: Request = {"Enabled": True, "SSEType": described.get("SSEType", "KMS")}
    key = customer_key(settings)
    if key is not None and key.split(":")[3:4] == [region]:
        request["KMSMasterKeyId"] = key
    return request


def create_table(
    clients: SessionClients,
    settings: TableSettings,
    name: str,
    *,
    run: str,
    clock: Clock,
    region: str | None = None,
    tags: dict[str, str] | None = None,
    progress: Progress | None = None,
    timeout_seconds: float = 1800.0,
    token: str | None = None,
) -> CreatedTable:
    """Creates a table like the described one, empty and without its global secondary indexes, and waits until it is ACTIVE.

    :param token: of this creation, kept in the tag `tablekeep:creation`: a table that carries it already is the one that an earlier
        try made, and is returned. Random when not given.
    :param run: kept in the table's tag `tablekeep:run`; without it nothing of ours deletes the table.
    :param tags: further tags, set at creation. The source's own come with `reapply_settings`.
    :raises BadInputError: when a table of that name exists.
    :raises TransientError: when it is not ACTIVE in time; the table stays.
    """
    database = clients.client("dynamodb", region)
    where = database.meta.region_name
    what = f"creating table {name} in Region {where}"
    token = token or clock.token(8)
    labels = {**(tags or {}), RUN_TAG: run, CREATION_TAG: token}
    request = creation_request(settings, name, region=where)
    request["Tags"] = [{"Key": key, "Value": value} for key, value in labels.items()]
    try:
        description = database.create_table(**request)["TableDescription"]
    except botocore.exceptions.ClientError as error:
        if error_code(error) != "ResourceInUseException":
            raise translate(error, what) from error
        # A first answer that was lost and tried again meets its own table: the token tells.
        found = _created_with(database, name, token)
        if found is None:
            raise BadInputError(
                what, f"table {name} exists", "name another one: an existing table is never written to or deleted"
            ) from None
        description = found
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, what) from error
    created = CreatedTable(name, str(description.get("TableId", "")), str(description["TableArn"]), where, run)
    await_active(clients, created, clock=clock, progress=progress, timeout_seconds=timeout_seconds)
    return created


def add_index(
    clients: SessionClients,
    settings: TableSettings,
    created: CreatedTable,
    index: str,
    *,
    clock: Clock,
    progress: Progress | None = None,
    timeout_seconds: float = 86400.0,
) -> bool:
    """Adds one global secondary index to a created table and waits until it is ACTIVE; False when it was there already."""
    what = f"adding index {index} to table {created.name}"
    database = clients.client("dynamodb", created.region)
    request = index_request(settings, created.name, index)
    description = _own(database, created, what)
    there = any(entry["IndexName"] == index for entry in description.get("GlobalSecondaryIndexes") or [])
    if not there:
        with translated(what):
            database.update_table(**request)
    await_active(clients, created, clock=clock, progress=progress, timeout_seconds=timeout_seconds, what=what)
    return not there


def add_indexes(
    clients: SessionClients,
    settings: TableSettings,
    created: CreatedTable,
    *,
    clock: Clock,
    progress: Progress | None = None,
    timeout_seconds: float = 86400.0,
) -> tuple[str, ...]:
    """Adds the global secondary indexes of the description, one at a time; returns the names of those added now.

    After the load, because a table may hold items that a table created with the index refuses.

    :param timeout_seconds: for each.
    """

    def added(index: str) -> bool:
        return add_index(
            clients, settings, created, index, clock=clock, progress=progress, timeout_seconds=timeout_seconds
        )

    return tuple(index for index in settings.global_indexes if added(index))


def find_created_table(
    clients: SessionClients, name: str, *, run: str, region: str | None = None
) -> CreatedTable | None:
    """The table of that name if it carries the tag of `run`; None when there is none, or another's."""
    database = clients.client("dynamodb", region)
    with translated(f"describing table {name}"):
        description = _description(database, name)
        if description is None or table_tags(database, description["TableArn"]).get(RUN_TAG) != run:
            return None
    return CreatedTable(
        name, str(description.get("TableId", "")), str(description["TableArn"]), database.meta.region_name, run
    )


def delete_table_created_by_run(
    clients: SessionClients,
    created: CreatedTable,
    *,
    run: str,
    name_prefix: str,
    clock: Clock,
    timeout_seconds: float = 1800.0,
) -> bool:
    """Deletes a table that `run` created, and waits until it is gone; False when it was gone before.

    :param created: as `create_table` returned it; its `table_id` must be the table's.
    :param name_prefix: what the name must begin with (`tablekeep-drill-`); not empty.
    :raises PermanentError: when name, tag or table id do not agree; nothing is deleted then.
    """
    what = f"deleting table {created.name}"
    database = clients.client("dynamodb", created.region)
    if not created.table_id:
        raise PermanentError(what, "its table id is not known", "nothing was deleted; look at it by hand")
    if not name_prefix or not created.name.startswith(name_prefix):
        raise PermanentError(
            what, f"its name does not begin with {name_prefix!r}", "only scratch tables of a run are deleted"
        )
    with translated(what):
        description = _description(database, created.name)
    if description is None:
        return False
    if description.get("TableStatus") != "DELETING":
        description = _own(database, created, what)
        with translated(what):
            tags = table_tags(database, description["TableArn"])
        if not run or tags.get(RUN_TAG) != run or created.run != run:
            raise PermanentError(
                what, f"its tag {RUN_TAG} does not name this run", "delete it by hand if it is not needed"
            )
        with translated(what):
            database.delete_table(TableName=created.name)

    def gone() -> bool:
        with translated(what):
            now = _description(database, created.name)
        return now is None or str(now.get("TableId", "")) != created.table_id

    _poll(gone, what, clock, NoProgress(), timeout_seconds)
    return True


def await_active(
    clients: SessionClients,
    created: CreatedTable,
    *,
    clock: Clock,
    progress: Progress | None = None,
    timeout_seconds: float = 1800.0,
    what: str = "",
) -> None:
    """Waits until the table and all its indexes are ACTIVE and none is being filled.

    :raises PermanentError: when the table is gone, or another one has its name.
    :raises TransientError: after `timeout_seconds`.
    """
    action = what or f"waiting for table {created.name}"
    database = clients.client("dynamodb", created.region)

    def ready() -> bool:
        description = _own(database, created, action)
        indexes = description.get("GlobalSecondaryIndexes") or []
        return description["TableStatus"] == "ACTIVE" and all(
            index.get("IndexStatus", "ACTIVE") == "ACTIVE" and not index.get("Backfilling") for index in indexes
        )

    _poll(ready, action, clock, progress or NoProgress(), timeout_seconds)


def _poll(done: Callable[[], bool], what: str, clock: Clock, progress: Progress, timeout_seconds: float) -> None:
    started = noted = clock.monotonic()
    pause, longest = POLL_SECONDS
    while not done():
        now = clock.monotonic()
        if now - started >= timeout_seconds:
            raise TransientError(
                what,
                f"it is not done after {now - started:.0f} seconds",
                "look at the table in the console, then run it again",
            )
        if now - noted >= NOTE_SECONDS:
            noted = now
            progress.note(f"{what}: {now - started:.0f} s so far")
        clock.sleep(pause)
        pause = min(longest, pause * 1.5)


def _created_with(database: Any, name: str, token: str) -> Request | None:
    """The table's description if it carries this creation's token; None, too, where its tags cannot be read."""
    try:
        description = _description(database, name)
        ours = description is not None and table_tags(database, description["TableArn"]).get(CREATION_TAG) == token
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        return None
    return description if ours else None


def _description(database: Any, name: str) -> Request | None:
    try:
        description: Request = database.describe_table(TableName=name)["Table"]
    except botocore.exceptions.ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return None
        raise
    return description


def _own(database: Any, created: CreatedTable, what: str) -> Request:
    """The table's description, if it still is the created one."""
    with translated(what):
        description = _description(database, created.name)
    if description is None:
        raise PermanentError(what, "the table is not there any more", "run it again under a new name")
    if str(description.get("TableId", "")) != created.table_id:
        raise PermanentError(
            what,
            "another table has its name by now (the table id differs)",
            "leave that table alone and use a new name",
        )
    return description


def table_tags(database: Any, arn: str) -> dict[str, str]:
    """All tags of a table."""
    found: dict[str, str] = {}
    token: Request = {}
    while True:
        answer = database.list_tags_of_resource(ResourceArn=arn, **token)
        found.update({tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])})
        if not answer.get("NextToken"):
            return found
        token = {"NextToken": answer["NextToken"]}
