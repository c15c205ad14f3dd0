"""What `list --service` shows beside our sets: what AWS keeps of the same tables, in one catalogue, each with its age."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tablekeep.cli.command import Context
from tablekeep.cli.times import age_text
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.dynamodb.native import NativeBackup, native_backups
from tablekeep.engine.restore.kept import table_arn_of

OURS, AWS = "backup sets", "AWS"
"""What an objective is judged by: our newest verified set; the newest state that AWS could restore by itself."""


def kept_by_aws(context: Context, shelves: Iterable[Shelf], limit: float | None) -> list[dict[str, Any]]:
    """Entries of what AWS keeps of the DynamoDB tables of these shelves, see `NativeBackup.as_dict`, with `age_seconds` and `within`
    (None where there is no objective, or where it is no restorable state)."""
    now, account = context.clock.now(), context.clients.account()
    found = []
    for shelf in shelves:
        if shelf.service != "dynamodb":
            continue
        if shelf.account != account:
            refused = f"these credentials are of account {account}, the table of {shelf.account}"
            listed = [NativeBackup(shelf.name, "what AWS keeps", restorable=False, refused=refused)]
        else:
            listed = native_backups(context.clients, table_arn_of(shelf))
        found += [one.as_dict() | _age(one, now, limit) for one in listed]
    return found


def _age(one: NativeBackup, now: datetime, limit: float | None) -> dict[str, Any]:
    if one.to is None:
        return {"age_seconds": None, "within": None}
    age = (now - one.to).total_seconds()
    judged = limit is not None and one.restorable
    return {"age_seconds": round(age), "within": age <= limit if judged and limit is not None else None}


def objectives_of_aws(
    entries: list[dict[str, Any]], tables: Iterable[str], limit: float | None
) -> list[dict[str, Any]]:
    """For each table the newest state that AWS could restore by itself, of whatever kind, and whether that is over the objective.

    Exports do not count: somebody has to import them. Where there is nothing, or AWS does not tell, the objective is missed.
    """
    found = []
    for table in tables:
        ages = [
            one for one in entries if one["table"] == table and one["restorable"] and one["age_seconds"] is not None
        ]
        newest = min(ages, key=lambda one: one["age_seconds"], default=None)
        age = newest["age_seconds"] if newest else None
        found.append(
            {
                "table": table, "of": AWS, "newest": newest["kind"] if newest else None, "age_seconds": age,
                "missed": limit is not None and (age is None or age > limit),
            }
        )  # fmt: skip
    return found


def rows(backups: list[dict[str, Any]], service: list[dict[str, Any]]) -> list[list[str]]:
    """The catalogue's lines: of each table ours and AWS's, the newest first."""
    found: list[tuple[str, float, list[str]]] = []
    for one in backups:
        proof = one["verified"]
        state = (
            "never"
            if not proof
            else f"{proof['level'] if proof['ok'] else 'FAILED'}, {age_text(proof['age_seconds'])} ago"
        )
        line = [one["table"], f"backup set, {one['kind']}", one["as_of"][:19] + "Z", _aged(one), state, one["backup"]]
        found.append((one["table"], one["age_seconds"], line))
    for one in service:
        if one["refused"]:
            line = [one["table"], one["kind"], "", "", f"NOT KNOWN: {one['refused']}", ""]
        else:
            since = f"{one['from'][:19]}Z – " if one["from"] else ""
            line = [one["table"], one["kind"], f"{since}{one['to'][:19]}Z", _aged(one), "by nobody", one["name"]]
        found.append((one["table"], one["age_seconds"] if one["age_seconds"] is not None else float("inf"), line))
    return [line for _table, _age, line in sorted(found, key=lambda one: one[:2])]


def _aged(one: dict[str, Any]) -> str:
    if one["age_seconds"] is None:
        return ""
    return age_text(one["age_seconds"]) + ("" if one["within"] is not False else " OVER")
