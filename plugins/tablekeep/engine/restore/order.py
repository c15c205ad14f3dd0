"""In which order the units of a source are read: several side by side that lie far apart, and what increments added at last."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from tablekeep.engine.restore.source import REST, Source

T = TypeVar("T")

LANES = 4
"""Units that a worker reads side by side. A part holds one segment's items, whose keys lie in a few of the table's partitions; four
distant ones keep a new table's four partitions busy (Developer Guide, "On-demand capacity mode")."""


def distant(units: Sequence[str], at_once: int) -> list[str]:
    """The units in an order in which `at_once` that follow each other lie far apart; the one of new items at last."""
    parts = [unit for unit in units if unit != REST]
    stride = -(-len(parts) // at_once) if parts else 1
    return [unit for start in range(stride) for unit in parts[start::stride]] + [REST] * (REST in units)


def in_turn(many: Iterable[T]) -> Callable[[], T | None]:
    """Gives them out one by one, to several threads."""
    lock, left = threading.Lock(), iter(many)

    def take() -> T | None:
        with lock:
            return next(left, None)

    return take


def mixed_pages(source: Source) -> Iterator[list[bytes]]:
    """All pages, of several distant units in turn. Every part is checked whole before its first page."""
    coming = iter([unit for unit in distant(source.units, LANES) if unit != REST])
    reading = [source.items(unit) for _, unit in zip(range(LANES), coming, strict=False)]
    while reading:
        for one in list(reading):
            page = next(one, None)
            if page is not None:
                yield page
                continue
            reading.remove(one)
            if (unit := next(coming, None)) is not None:
                reading.append(source.items(unit))
    if REST in source.units:
        yield from source.items(REST)
