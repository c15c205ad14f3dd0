"""A table's settings as plain facts, and two tables' facts compared, field by field."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tablekeep.engine.dynamodb.reapply import (
    SCALING,
    NotRestored,
    insights,
    kinesis_streams,
    raised_warm_throughput,
    warm_throughput,
)
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.tables import customer_key, on_demand_limits, projection, throughput

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A fact that differs.

    :ivar told: it was announced: the plan or the report lists it as not restored.
    """

    name: str
    expected: Any
    actual: Any
    told: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def profile(settings: TableSettings) -> Facts:
    """Name → value of every setting, without what differs from table to table by nature (name, ARN, id, times, sizes).

    A fact that the service did not tell (`TableSettings.not_known`) is not there.
    """
    table = settings.description
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in table["AttributeDefinitions"]}
    facts: Facts = {
        "key": _keys(table["KeySchema"], types),
        "billing mode": settings.billing_mode,
        "capacity": settings.capacity,
        "on-demand throughput limits": on_demand_limits(table) if settings.capacity is None else {},
        "table class": (table.get("TableClassSummary") or {}).get("TableClass", "STANDARD"),
        "encryption": _encryption(settings),
        "stream": settings.stream_view,
        "deletion protection": bool(table.get("DeletionProtectionEnabled")),
        "replicas": sorted(str(one["RegionName"]) for one in table.get("Replicas") or []),
    }
    for index in table.get("LocalSecondaryIndexes") or []:
        facts[f"local index {index['IndexName']}"] = {"key": _keys(index["KeySchema"], types), **_projected(index)}
    for index in table.get("GlobalSecondaryIndexes") or []:
        fact = {"key": _keys(index["KeySchema"], types), **_projected(index)}
        if settings.capacity is not None:
            fact["capacity"] = throughput(index["ProvisionedThroughput"])
        elif limits := on_demand_limits(index):
            fact["limits"] = limits
        facts[f"index {index['IndexName']}"] = fact
    if warm := warm_throughput(table):
        facts["warm throughput"] = warm
    _asked(settings, facts)
    return facts


def _asked(settings: TableSettings, facts: Facts) -> None:
    """The facts of further calls, as far as they were answered."""
    refused = {call for call, _ in settings.not_known}
    if "ListTagsOfResource" not in refused:
        facts["tags"] = {k: v for k, v in sorted(settings.tags.items()) if not k.startswith(("aws:", "tablekeep:"))}
    if "DescribeTimeToLive" not in refused:
        facts["expiry of items (TTL)"] = settings.ttl_attribute
    if settings.point_in_time_recovery is not None:
        facts["point-in-time recovery"] = settings.point_in_time_recovery
    if "GetResourcePolicy" not in refused:
        policy = (settings.answer("GetResourcePolicy") or {}).get("Policy")
        facts["resource policy"] = json.loads(str(policy).replace(settings.arn, "TABLE")) if policy else None
    if "DescribeKinesisStreamingDestination" not in refused:
        facts["Kinesis streaming destination"] = sorted(kinesis_streams(settings))
    for index in (None, *settings.global_indexes):
        if "DescribeContributorInsights" + (f"/index/{index}" if index else "") not in refused:
            facts["contributor insights" + (f" of index {index}" if index else "")] = index in insights(settings)
    for _, word, told, listed, members in SCALING:
        call = f"application-autoscaling:{told}"
        if call not in refused:
            for entry in (settings.answer(call) or {}).get(listed) or []:
                resource = str(entry["ResourceId"]).replace(f"table/{settings.table}", "table", 1)
                name = f"{word} of {entry['ScalableDimension']} of {resource}"
                facts[name] = {member: entry[member] for member in members if entry.get(member) is not None}


def _keys(schema: list[Facts], types: dict[str, str]) -> list[str]:
    return [f"{key['AttributeName']} ({types.get(key['AttributeName'], '?')}) {key['KeyType']}" for key in schema]


def _projected(index: Facts) -> Facts:
    kept = projection(index)
    return {"projection": kept["ProjectionType"], "attributes": sorted(kept.get("NonKeyAttributes", []))}


def _encryption(settings: TableSettings) -> str:
    described = settings.description.get("SSEDescription") or {}
    if described.get("Status") not in {"ENABLED", "ENABLING", "UPDATING"}:
        return "key owned by AWS"
    return customer_key(settings) or "key managed by AWS"


def compare_settings(
    expected: TableSettings, actual: TableSettings, *, told: Iterable[NotRestored] = ()
) -> list[SettingDifference]:
    """Every fact of `expected` that `actual` does not have, and every index that only `actual` has.

    :param told: what is known to be missing.
    """
    wanted, there = profile(expected), profile(actual)
    if not raised_warm_throughput(expected):  # what a new table has by itself, some do not tell at once
        wanted.pop("warm throughput", None)
    known = {one.name.replace(f"table/{actual.table}", "table", 1) for one in told}
    found = []
    for name in sorted(set(wanted) | {one for one in there if "index " in one}):
        if name not in wanted:
            found.append(SettingDifference(name, None, there[name], False))
        elif name not in there and wanted[name] is False:
            continue  # of an index that is missing, which is said by itself
        elif not _satisfied(name, wanted[name], there.get(name)):
            announced = name in known or (name == "replicas" and any(one.startswith("replica in") for one in known))
            announced = announced or (name == "encryption" and "customer managed key" in known)
            found.append(SettingDifference(name, wanted[name], there.get(name), announced))
    return found


def _satisfied(name: str, wanted: Any, there: Any) -> bool:
    if name == "warm throughput":  # it cannot be lowered, and grows with use
        return all((there or {}).get(unit, 0) >= value for unit, value in wanted.items())
    if name == "tags":
        return all((there or {}).get(key) == value for key, value in wanted.items())
    return bool(wanted == there)
