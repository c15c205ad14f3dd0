"""What has changed between two looks at a table's settings, without the figures that change by themselves."""

from typing import Any

from tablekeep.engine.dynamodb.settings import TableSettings

MOVING = {
    "ItemCount", "TableSizeBytes", "IndexSizeBytes", "EarliestRestorableDateTime", "LatestRestorableDateTime", "NumberOfDecreasesToday",
    "LastIncreaseDateTime", "LastDecreaseDateTime", "LastUpdateToPayPerRequestDateTime", "LastUpdateDateTime", "ReplicaStatus",
}  # fmt: skip
"""Members of answers that say nothing of how the table is set."""


def changed_settings(before: TableSettings, after: TableSettings) -> list[str]:
    """The calls whose answers differ, `DescribeTable: ProvisionedThroughput` where the member is known; `[]` when none does."""
    found = []
    one, other = (settings.document["answers"] for settings in (before, after))
    for call in sorted(set(one) | set(other)):
        mine, theirs = _still(one.get(call)), _still(other.get(call))
        if mine == theirs:
            continue
        members = [_inner(side) for side in (mine, theirs)]
        names = sorted(
            name for name in set(members[0]) | set(members[1]) if members[0].get(name) != members[1].get(name)
        )
        found += [f"{call}: {name}" for name in names] or [call]
    return found


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _still(one) for name, one in value.items() if name not in MOVING}
    return [_still(one) for one in value] if isinstance(value, list) else value


def _inner(answer: Any) -> dict[str, Any]:
    """The members that a person knows: those of the one object inside an answer, where there is one."""
    inner = (answer or {}).get("answer")
    if isinstance(inner, dict) and len(inner) == 1 and isinstance(next(iter(inner.values())), dict):
        inner = next(iter(inner.values()))
    return inner if isinstance(inner, dict) else {}
