"""A table at one moment, and new tables made of it: what backups, recovery and AWS Backup have in common.

A restored table has the items, keys, indexes, billing and encryption of the moment, and nothing else: no tags, no stream, no expiry, no
recovery, no protection, and the standard class (Developer Guide, "Restoring a table").
"""

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from local_aws.dynamodb.history import Write, log_of, state_at
from local_aws.dynamodb.patches import all_items
from local_aws.dynamodb.tables import CREATING, RESTORED, TableRules
from local_aws.dynamodb.values import invalid

NOT_KNOWN = ("LocalSecondaryIndexOverride", "OnDemandThroughputOverride")
"""Overrides that have no effect here, and are refused rather than ignored."""


@dataclass(frozen=True)
class Snapshot:
    """What CreateTable was told and what was in the table.

    :ivar made: the arguments of moto's `create_table`. :ivar items: wire JSON.
    """

    table: str
    table_id: str
    arn: str
    created: float
    made: dict[str, Any]
    on_demand: dict[str, Any] | None
    items: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.items))


def snapshot_of(table: Table, moment: datetime | None = None) -> Snapshot:
    """The table as it is, or its items as they were."""
    indexes = [one.describe() for one in table.global_indexes]
    for one in indexes:
        for name in ("IndexStatus", "WarmThroughput"):
            one.pop(name, None)
    return Snapshot(
        table.name, table.table_id, table.table_arn, table.created_at.replace(tzinfo=UTC).timestamp(),  # type: ignore[attr-defined]
        copy.deepcopy(
            {
                "schema": table.schema, "throughput": table.throughput, "attr": table.attr, "global_indexes": indexes,
                "indexes": [one.describe() for one in table.indexes], "billing_mode": table.billing_mode,
                "sse_specification": table.sse_specification,
            }
        ),
        copy.deepcopy(table.on_demand_throughput),  # type: ignore[attr-defined]
        [item.raw for item in all_items(table)] if moment is None else state_at(table, moment),
    )  # fmt: skip


def table_of(
    taken: Snapshot, name: str, *, account: str, region: str, now: datetime, overrides: dict[str, Any], summary: dict[str, Any], polls: int
) -> Table:  # fmt: skip
    """Makes a table.

    :param overrides: of a restore's request. :param summary: `RestoreSummary` of DescribeTable's answer, but for RestoreInProgress.
    :param polls: how often DescribeTable says that it is being made.
    """
    made = copy.deepcopy(taken.made)
    made |= {
        member: copy.deepcopy(overrides[given])
        for given, member in (
            ("BillingModeOverride", "billing_mode"), ("ProvisionedThroughputOverride", "throughput"),
            ("SSESpecificationOverride", "sse_specification"),
        )
        if given in overrides
    }  # fmt: skip
    if "GlobalSecondaryIndexOverride" in overrides:
        kept = {one["IndexName"] for one in overrides["GlobalSecondaryIndexOverride"]}
        made["global_indexes"] = [one for one in made["global_indexes"] if one["IndexName"] in kept]
        used = {
            key["AttributeName"]
            for schema in (made["schema"], *(one["KeySchema"] for one in (*made["global_indexes"], *made["indexes"])))
            for key in schema
        }
        made["attr"] = [one for one in made["attr"] if one["AttributeName"] in used]
    if made["billing_mode"] == "PAY_PER_REQUEST":
        made["throughput"] = None
    table = dynamodb_backends[account][region].create_table(
        name, **made, streams=None, tags=[], deletion_protection_enabled=False, warm_throughput=None
    )
    rules = TableRules.of(table)
    for raw in taken.items:
        put(rules, raw, now, checked=False)
    table.created_at = now.replace(tzinfo=None)
    table.on_demand_throughput = copy.deepcopy(taken.on_demand)  # type: ignore[attr-defined]
    table.__dict__[RESTORED] = summary
    table.__dict__[CREATING] = polls
    return table


def put(rules: TableRules, raw: bytes, now: datetime, *, checked: bool = True) -> None:
    """One item, and the table's memory of it.

    :param checked: refuse what does not fit an index's key. A restore does not: its items were there with the index.
    :raises ServiceError: for one that the service refuses.
    """
    item = msgspec.json.decode(raw)
    stored = rules.item(item, indexed=checked)
    old = rules.put(stored)
    key = {name: item[name] for name in rules.key_names}
    log_of(rules.table).append(
        Write(now, msgspec.json.encode(key, order="sorted"), old.raw if old else None, stored.raw)
    )


def check_overrides(body: dict[str, Any]) -> None:
    """:raises ServiceError: for one that has no effect here."""
    for name in NOT_KNOWN:
        if name in body:
            raise invalid(f"The stand-in does not know {name}")
