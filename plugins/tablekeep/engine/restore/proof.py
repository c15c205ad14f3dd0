"""Proves a restore by what the table holds, read with consistent reads: never by what a service says of itself."""

from collections.abc import Iterator
from typing import Any

from tablekeep.engine.backups.spool import KeySpool, differences
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import canonical_key, parse_item
from tablekeep.engine.items.hashing import item_hash, key_hash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.existing import get_items, read_back
from tablekeep.engine.restore.plan import Prepared
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.selection import Selection
from tablekeep.engine.restore.sides import TableSide
from tablekeep.engine.restore.source import Source, every_page

MOST_KEYS = 100
"""Differing keys that a report names."""
_STATES = {"left only": "missing in the table", "right only": "not in the backup", "different": "different"}


def prove(
    prepared: Prepared, report: RestoreReport, *, clients: SessionClients, clock: Clock, progress: Progress
) -> IntegrityError | None:
    """Fills in what the report says of the proof; returns the failure, None when it is proved."""
    if prepared.plan.mode in ("missing-only", "overwrite-listed-keys"):
        failure = _prove_items(prepared, report, clients, progress)
    else:
        failure = _prove_table(prepared, report, clients, clock, progress)
    report.proved = failure is None
    return failure


def _prove_table(
    prepared: Prepared, report: RestoreReport, clients: SessionClients, clock: Clock, progress: Progress
) -> IntegrityError | None:
    """The whole table's content hash; where it differs, by which keys."""
    plan, expected = prepared.plan, report.content_hash
    side = TableSide(clients, clock, progress, plan.to_table)
    actual = str(side.hasher().whole)
    if actual == expected:
        return None
    counts, some = dict.fromkeys(_STATES, 0), list[tuple[bytes, str]]()
    with prepared.source as source, KeySpool(plan.items) as mine, KeySpool(plan.items) as theirs:
        for page in _wanted(source, prepared.selection):
            for item in page:
                mine.add(canonical_key(parse_item(item), plan.key), item_hash(item).to_bytes(32, "big"))
        side.spool(theirs)
        for key, where in differences(mine, theirs):
            counts[where] += 1
            if len(some) < MOST_KEYS:
                some.append((key, _STATES[where]))
    report.differing = _named(prepared, some, clients)
    report.content_hash = actual
    found = ", ".join(f"{count:,} {_STATES[where]}" for where, count in counts.items() if count)
    return IntegrityError(
        f"proving the restore of {plan.backup} to {plan.to_table}",
        f"the table's content hash is {actual} and should be {expected}; items: {found or 'equal now, so somebody writes to it'}",
        "run `tablekeep compare` on both, with --show-keys, to see which; do not use the table",
    )


def _prove_items(
    prepared: Prepared, report: RestoreReport, clients: SessionClients, progress: Progress
) -> IntegrityError | None:
    plan = prepared.plan
    progress.phase("proof", plan.items)
    wire = WireClient(clients)
    with prepared.source as source:
        found = read_back(wire, plan.to_table, list(plan.key), _wanted(source, prepared.selection), progress)
    wire.close()
    allowed = report.kept if plan.mode == "missing-only" else 0
    some = [(key, _STATES["left only"]) for key in found.absent] + [(key, "different") for key in found.different]
    report.differing = _named(prepared, some[:MOST_KEYS], clients)
    if not found.absent and len(found.different) <= allowed:
        return None
    return IntegrityError(
        f"proving the restore of {plan.backup} to {plan.to_table}",
        f"{len(found.absent):,} items are not there and {len(found.different):,} differ, where {allowed:,} were kept",
        "somebody may write to the table meanwhile: look at the keys in the report, then run it again",
    )


def _named(prepared: Prepared, keys: list[tuple[bytes, str]], clients: SessionClients) -> list[dict[str, Any]]:
    """The keys as hashes, and of items that are different the names of the attributes that are."""
    names, wanted = list(prepared.plan.key), {key for key, state in keys if state == "different"}
    mine: dict[bytes, bytes] = {}
    theirs: dict[bytes, bytes] = {}
    if wanted:
        with prepared.source as source:
            for page in _wanted(source, prepared.selection):
                mine |= {key: item for item in page if (key := canonical_key(parse_item(item), names)) in wanted}
        theirs = get_items(WireClient(clients), prepared.plan.to_table, names, sorted(wanted))
    named = []
    for key, state in keys:
        attributes = _differing(mine[key], theirs[key]) if key in mine and key in theirs else []
        named.append({"key": key_hash(key), "state": state, "attributes": attributes})
    return named


def _differing(one: bytes, other: bytes) -> list[str]:
    left, right = parse_item(one), parse_item(other)
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def _wanted(source: Source, selection: Selection) -> Iterator[list[bytes]]:
    return (selection.pick(page) for page in every_page(source))
