"""RestoreTableToPointInTime: a new table with the items of a past state, exactly. moto's own copies the present one, whatever is asked."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from local_aws.dynamodb.history import Write, log_of, state_at
from local_aws.dynamodb.store import OrderedItems
from local_aws.dynamodb.tables import TableRules, find_table, scope
from local_aws.dynamodb.values import invalid
from local_aws.responses import ServiceError

Window = tuple[datetime, datetime]
REFUSED = (
    "GlobalSecondaryIndexOverride", "LocalSecondaryIndexOverride", "ProvisionedThroughputOverride", "OnDemandThroughputOverride",
    "SSESpecificationOverride",
)  # fmt: skip
"""Members of the request that have no effect here, and are refused rather than ignored."""


def restore_table(
    environ: dict[str, Any], body: dict[str, Any], now: datetime, window_of: Callable[[Table], Window | None]
) -> bytes:
    """Answers the request.

    :param window_of: earliest and latest restorable time; None where recovery is off.
    """
    for name in REFUSED:
        if name in body:
            raise invalid(f"The stand-in does not know {name}")
    try:
        source = find_table(environ, body.get("SourceTableName") or body.get("SourceTableArn"))
    except ServiceError as error:
        raise ServiceError("TableNotFoundException", "Source table not found") from error
    account, region = scope(environ)
    backend, target = dynamodb_backends[account][region], str(body.get("TargetTableName"))
    if target in backend.tables:
        raise ServiceError("TableAlreadyExistsException", f"Table already exists: {target}")
    window = window_of(source)
    if window is None:
        raise ServiceError(
            "PointInTimeRecoveryUnavailableException",
            f"Point in time recovery is not enabled for table '{source.name}'",
        )
    moment = _moment(body, window)
    restored = backend.restore_table_to_point_in_time(target, source.name)
    restored.items = OrderedItems(restored.has_range_key)  # type: ignore[assignment]
    restored.billing_mode = body.get("BillingModeOverride", source.billing_mode)
    restored.restore_date_time = moment.timestamp()  # type: ignore[assignment]
    rules = TableRules.of(restored)
    for raw in state_at(source, moment):
        item = msgspec.json.decode(raw)
        rules.put(rules.item(item))
        key = {name: item[name] for name in rules.key_names}
        log_of(restored).append(Write(now, msgspec.json.encode(key, order="sorted"), None, raw))
    return msgspec.json.encode({"TableDescription": restored.describe("TableDescription")["TableDescription"]})


def _moment(body: dict[str, Any], window: Window) -> datetime:
    latest = bool(body.get("UseLatestRestorableTime"))
    if latest == ("RestoreDateTime" in body):
        raise invalid("Exactly one of RestoreDateTime and UseLatestRestorableTime must be given")
    moment = window[1] if latest else datetime.fromtimestamp(body["RestoreDateTime"], UTC)
    if not window[0] <= moment <= window[1]:
        raise ServiceError("InvalidRestoreTimeException", "RestoreDateTime is outside of the recovery window")
    return moment
