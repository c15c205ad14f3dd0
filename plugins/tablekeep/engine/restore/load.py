"""Units of a source → a table, or → the objects that ImportTable reads. By one worker: others may do other units at the same time."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.lanes import Lane
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.dynamodb.write import BatchWriter
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.existing import ConditionalWriter
from tablekeep.engine.restore.order import LANES
from tablekeep.engine.restore.plan import Prepared, RestorePlan
from tablekeep.engine.restore.stage import stage_prefix, stage_units
from tablekeep.engine.restore.state import Loaded

IN_FLIGHT = 16

Take = Callable[[], str | None]
"""Gives the next unit; None when none is left."""
Done = Callable[[str, Loaded], None]
"""Told of each unit when all its items are written."""


def load_units(
    prepared: Prepared,
    token: str,
    take: Take,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    budget: TokenBucket | None,
    done: Done,
    guard: Callable[[], None],
) -> None:
    """Units as the plan's path wants them: to the table, or to the objects from which it will be imported. The source must be open.

    :param token: of the restore. :param take: gives them out, and should give neighbours that lie far apart (`distant`).
    :param budget: write capacity units a second. :param guard: called often; raises when this worker must not write any more.
    :raises IntegrityError: for a damaged part, of which nothing is written, and when not all items were taken.
    """
    if prepared.plan.path == "import-table":
        prefix = stage_prefix(prepared, token)
        stage_units(prepared, prefix, take, progress=progress, done=done, guard=guard)
        return
    wire = WireClient(clients)
    given: dict[str, Any] = {
        "clock": clock, "budget": budget, "progress": progress, "in_flight": IN_FLIGHT, "guard": guard
    }  # fmt: skip
    try:
        with _writer_for(prepared.plan)(wire, prepared.plan.to_table, **given) as writer:
            _write(prepared, writer, take, done)
    finally:
        wire.close()


def _write(prepared: Prepared, writer: BatchWriter, take: Take, done: Done) -> None:
    source, selection = prepared.source, prepared.selection
    contents: dict[str, ContentHash] = {}

    def pages(unit: str) -> Iterator[list[bytes]]:
        for page in source.items(unit):
            picked = selection.pick(page)
            contents[unit] += ContentHash.of(picked)
            yield picked

    def lanes() -> Iterator[Lane]:
        while (unit := take()) is not None:
            contents[unit] = ContentHash()
            yield Lane(pages(unit), unit)

    def finished(lane: Lane) -> None:
        content, memo = contents.pop(lane.name), source.memo(lane.name)
        done(lane.name, Loaded(content, lane.written, lane.equal, lane.kept, memo))

    writer.write(lanes(), LANES, finished)


def _writer_for(plan: RestorePlan) -> Callable[..., BatchWriter]:
    if plan.mode == "missing-only":
        return partial(ConditionalWriter, key_name=plan.key[0])
    if plan.mode == "overwrite-listed-keys":
        return partial(ConditionalWriter, key_name=None)
    return BatchWriter
