"""Which global secondary indexes a table may be made with, and which have to wait until its items are there.

A table that has an index refuses items whose value for the index's key has another type, is NULL, is empty, or is too long; the same
index made afterwards takes such a table and leaves those items out (seen on DynamoDB Local). The census says whether there are any.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.items.census import Census
from tablekeep.engine.restore.source import Source

LONGEST = {"HASH": 2048, "RANGE": 1024}
"""Bytes of a key's value (Developer Guide, "Service, account, and table quotas")."""


@dataclass(frozen=True)
class IndexPlan:
    """When the indexes of a new table are made.

    :ivar at_once: with the table; the others one after the other, when the items are there. :ivar why: in words, by index.
    """

    at_once: tuple[str, ...] = ()
    why: dict[str, str] = field(default_factory=dict)


def plan_indexes(settings: TableSettings, source: Source, path: str) -> IndexPlan:
    """When the global secondary indexes of the settings are made, by the path on which the items come.

    Of a chain the censuses of all its sets count: they know at least every value that its last state may hold.
    """
    indexes = settings.description.get("GlobalSecondaryIndexes") or []
    if path in ("pitr", "backup"):
        return IndexPlan(settings.global_indexes, dict.fromkeys(settings.global_indexes, "the service restores it"))
    if path != "import-table" or not indexes:
        return IndexPlan((), dict.fromkeys(settings.global_indexes, "a table without it takes every item"))
    censuses = [Census.from_json(BackupSet(source.store, one).document("census")) for one in source.sets]
    types = {one["AttributeName"]: one["AttributeType"] for one in settings.description["AttributeDefinitions"]}
    found = {str(one["IndexName"]): _obstacle(one["KeySchema"], types, censuses) for one in indexes}
    fits = "its key fits every item of the backup, and ImportTable fills it without write capacity"
    return IndexPlan(
        tuple(name for name, why in found.items() if not why), {name: why or fits for name, why in found.items()}
    )


def _obstacle(keys: Iterable[dict[str, Any]], types: dict[str, str], censuses: list[Census]) -> str:
    for key in keys:
        name = key["AttributeName"]
        for census in censuses:
            if why := _of_attribute(name, types[name], LONGEST[key["KeyType"]], census):
                return why
    return ""


def _of_attribute(name: str, wanted: str, longest: int, census: Census) -> str:
    if not census.empties:
        return "the backup's census, of an earlier version, does not tell empty values"
    found = census.attributes.get(name)
    if found is None:
        return f"its key attribute {name} is beyond those that the census tells one by one" if census.others else ""
    for kind, count in found.items():
        if kind != wanted:
            return f"its key attribute {name} is {kind} instead of {wanted} in {count.count:,} items"
        if count.empty:
            return f"its key attribute {name} is empty in {count.empty:,} items"
        size = count.max_bytes if kind == "S" else count.max_bytes // 4 * 3  # of base64 text; or two less
        if kind != "N" and size > longest:
            return f"its key attribute {name} has values of up to {size:,} bytes, and {longest:,} are allowed"
    return ""
