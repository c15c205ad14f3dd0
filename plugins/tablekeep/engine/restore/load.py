"""Items of a source → a table: in waves of distant units, so that many partitions are written at once, each wave kept when done."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.dynamodb.write import BatchWriter
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.selection import Selection
from tablekeep.engine.restore.source import REST, Source
from tablekeep.engine.restore.state import Loaded

WIDTH = 4
"""Units that are read side by side. A part holds one segment's items, whose keys lie in a few of the table's partitions; four
distant ones keep a new table's four partitions busy (Developer Guide, "On-demand capacity mode")."""
IN_FLIGHT = 16


def waves(units: Sequence[str], width: int = WIDTH) -> Iterator[list[str]]:
    """Groups of units that lie far apart; the one of new items by itself, at last."""
    parts = [unit for unit in units if unit != REST]
    stride = -(-len(parts) // width)
    for start in range(stride):
        yield parts[start::stride]
    if REST in units:
        yield [REST]


def pages(source: Source, units: Sequence[str]) -> Iterator[list[bytes]]:
    """Pages of the units in turn. Every part is checked whole before its first page."""
    reading = [source.items(unit) for unit in units]
    while reading:
        for one in list(reading):
            page = next(one, None)
            if page is None:
                reading.remove(one)
            else:
                yield page


def load_items(
    source: Source,
    selection: Selection,
    table: str,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    max_wcu: float | None,
    done: Sequence[str],
    kept: Callable[[list[str], Loaded], None],
    writer: Callable[..., BatchWriter] = BatchWriter,
) -> None:
    """Writes what is wanted of all units that are not done.

    :param max_wcu: write capacity units a second.
    :param kept: told after each wave, which units it held and what was loaded. :param writer: how items are written.
    :raises IntegrityError: for a damaged part, of which nothing is written, and when not all items were taken.
    """
    budget = TokenBucket(max_wcu, clock) if max_wcu else None
    with ExitStack() as stack:
        wire = WireClient(clients)
        stack.callback(wire.close)
        for wave in waves(source.units):
            left = [unit for unit in wave if unit not in done]
            for unit in wave:
                if unit in done:
                    source.skip(unit)
            if not left:
                continue
            loaded = Loaded()
            with writer(wire, table, clock=clock, budget=budget, progress=progress, in_flight=IN_FLIGHT) as writing:
                for page in pages(source, left):
                    picked = selection.pick(page)
                    writing.put_many(picked)
                    loaded.content += ContentHash.of(picked)
                report = writing.close()
            if report.items + report.equal + report.kept != loaded.items:
                raise IntegrityError(
                    f"loading the table {table}", f"{report.items:,} of {loaded.items:,} items were written"
                )
            loaded.written, loaded.equal, loaded.kept = report.items, report.equal, report.kept
            kept(left, loaded)
