"""Every write to a table with its time and both images, so that a past state can be told exactly.

Watched at the requests: PutItem, UpdateItem, DeleteItem, BatchWriteItem and TransactWriteItems. PartiQL writes are not seen.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from moto.dynamodb.models.table import Table

from local_aws.dynamodb.tables import TableRules, find_table
from local_aws.responses import ServiceError

LOG = "_local_aws_log"


@dataclass(frozen=True, slots=True)
class Write:
    """One change of one item.

    :ivar at: when. :ivar key: wire JSON of the key. :ivar old, new: wire JSON of the item; None: there was or is none.
    """

    at: datetime
    key: bytes
    old: bytes | None
    new: bytes | None


def log_of(table: Table) -> list[Write]:
    """The table's writes in their order. A table made anew has a log of its own."""
    log: list[Write] = table.__dict__.setdefault(LOG, [])
    return log


def state_at(table: Table, moment: datetime) -> list[bytes]:
    """The items as they were at a time, as wire JSON; a write at that very time counts."""
    items: dict[bytes, bytes] = {}
    for write in log_of(table):
        if write.at > moment:
            break
        if write.new is None:
            items.pop(write.key, None)
        else:
            items[write.key] = write.new
    return list(items.values())


def changes_between(table: Table, since: datetime, to: datetime) -> list[Write]:
    """The last write of each key that was written in a window, with what the item was before it: the service compacts so.

    An item that was neither there before nor after is left out.
    """
    found: dict[bytes, Write] = {}
    for write in log_of(table):
        if since <= write.at < to:
            before = found[write.key].old if write.key in found else write.old
            found[write.key] = Write(write.at, write.key, before, write.new)
    return [one for one in found.values() if one.old is not None or one.new is not None]


@contextlib.contextmanager
def watching(operation: str, environ: dict[str, Any], body: dict[str, Any], now: datetime) -> Iterator[None]:
    """Logs what a request changes."""
    try:
        touched = list(_touched(operation, environ, body)) if operation in _WRITES else []
    except (ServiceError, AttributeError, TypeError, KeyError):  # a request that will be refused
        touched = []
    before = [rules.items.find(*rules.key(key)) for rules, key in touched]
    olds = [item.raw if item is not None else None for item in before]
    yield
    for (rules, key), old in zip(touched, olds, strict=True):
        item = rules.items.find(*rules.key(key))
        new = item.raw if item is not None else None
        if old != new:
            log = log_of(rules.table)
            at = max(now, log[-1].at) if log else now  # the clock may be set back; the order of writes stays
            log.append(Write(at, msgspec.json.encode(key, order="sorted"), old, new))


_WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}


def _touched(
    operation: str, environ: dict[str, Any], body: dict[str, Any]
) -> Iterator[tuple[TableRules, dict[str, Any]]]:
    """The tables and keys that a request may change."""
    if operation == "BatchWriteItem":
        for name, listed in body["RequestItems"].items():
            for request in listed:
                ((kind, content),) = request.items()
                yield _key(environ, name, content.get("Key") if kind == "DeleteRequest" else content["Item"])
    elif operation == "TransactWriteItems":
        for action in body["TransactItems"]:
            for kind, content in action.items():
                if kind != "ConditionCheck":
                    yield _key(environ, content["TableName"], content["Item"] if kind == "Put" else content["Key"])
    else:
        yield _key(environ, body["TableName"], body["Item"] if operation == "PutItem" else body["Key"])


def _key(environ: dict[str, Any], table: str, item: dict[str, Any]) -> tuple[TableRules, dict[str, Any]]:
    rules = TableRules.of(find_table(environ, table))
    key = {name: item[name] for name in rules.key_names}
    rules.key(key)
    return rules, key


def parse_now(text: str) -> datetime:
    """The stand-in's clock: what a test has set, else the machine's."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else datetime.now(UTC)
