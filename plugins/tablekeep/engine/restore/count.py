"""How many items a restore will write, and how many of them have expired: known, counted where that is quick or asked for, or estimated.

What one manifest says is exact. The state of a past time is not: increments replace, add and delete, and which of these they do is
known only when the full set's keys were read. A part of a backup is always counted, for nothing else tells its size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from tablekeep.engine.clock import Clock
from tablekeep.engine.items.canonical import parse_item
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.selection import Selection
from tablekeep.engine.restore.source import ChainSource, Source, every_page

PATIENCE_SECONDS = 60.0
"""Of a person who looks at a plan: what takes longer is counted only when asked for."""
ITEM_BYTES_A_SECOND = 50e6
"""Canonical text that is decoded and hashed, and in which the time of expiry is looked up (measured: 85,000 items of 600 bytes)."""
KEYS_A_SECOND = 500_000
"""That are decoded and looked up among the changed ones: measured, half of it for the looking up."""
CHANGES_A_SECOND = 10_000
STORED_BYTES_A_SECOND = 100e6
"""Of parts that come from S3 and are checked, whatever is decoded of them."""


@dataclass(frozen=True)
class Count:
    """What is wanted.

    :ivar exact: `items` is no estimate. :ivar content: its hash, where all of it was read. :ivar expired: None: not counted.
    :ivar how: in words, where these figures come from, and what a closer look would take.
    """

    items: int
    raw_bytes: int
    exact: bool
    content: str | None
    expired: int | None
    how: str


def count_items(
    source: Source,
    selection: Selection,
    ttl: str | None,
    clock: Clock,
    progress: Progress,
    wanted: bool | None,
    *,
    read: bool = False,
) -> Count:
    """Counts as closely as `wanted`.

    :param ttl: the attribute by which items expire. :param wanted: True: whatever it takes. False: nothing of a whole backup.
        None: what takes less than `PATIENCE_SECONDS` by the estimate. :param read: all of it is read in any case, for its hash.
    """
    parts = [one for one in source.full.parts if one.name in source.units]
    items, raw_bytes = sum(one.rows for one in parts), sum(one.raw_bytes for one in parts)
    changes = sum(one.items for one in source.sets[1:]) / CHANGES_A_SECOND
    fetching = sum(one.size for one in parts) / STORED_BYTES_A_SECOND
    reading = changes + fetching + raw_bytes / ITEM_BYTES_A_SECOND
    looking = changes + fetching + items / KEYS_A_SECOND
    if read or not selection.everything or (ttl and _is_wanted(wanted, reading)):
        with source:
            return _read(source, selection, ttl, clock, progress)
    unread = ""
    if ttl and wanted is None:
        unread = f"expired ones are not counted, for reading all takes {_about(reading)}; --count does it"
    if len(source.sets) == 1:
        return Count(items, raw_bytes, True, str(sum((one.content for one in parts), ContentHash())), None, unread)
    if isinstance(source, ChainSource) and _is_wanted(wanted, looking):
        progress.phase("count", items, "keys")
        with source:
            counted = source.count()
        return Count(counted, raw_bytes, True, None, None, "; ".join(filter(None, ("counted by the keys", unread))))
    how = f"not counted, for reading the keys takes {_about(looking)}; --count does it"
    return Count(items, raw_bytes, False, None, None, how if wanted is None else "not counted")


def _is_wanted(wanted: bool | None, seconds: float) -> bool:
    return seconds <= PATIENCE_SECONDS if wanted is None else wanted


def _about(seconds: float) -> str:
    if seconds < 5400:
        return f"about {max(1, round(seconds / 60))} min"
    return f"about {seconds / 3600:,.0f} h"


def _read(source: Source, selection: Selection, ttl: str | None, clock: Clock, progress: Progress) -> Count:
    """Reads it all."""
    progress.phase("count", source.full.items)
    now = int(clock.now().timestamp())
    oldest = now - int(timedelta(days=5 * 365).total_seconds())
    content, raw_bytes, expired = ContentHash(), 0, 0
    for page in _pages(source, progress):
        picked = selection.pick(page)
        content += ContentHash.of(picked)
        raw_bytes += sum(map(len, picked))
        if ttl is not None:
            expired += sum(1 for item in picked if _expired(item, ttl, now, oldest))
    told = expired if ttl is not None else None
    return Count(content.count, raw_bytes, True, str(content), told, "counted: every item was read")


def _pages(source: Source, progress: Progress) -> Iterator[list[bytes]]:
    for page in every_page(source):
        yield page
        progress.advance(len(page))


def _expired(item: bytes, ttl: str, now: int, oldest: int) -> bool:
    """As the service judges: a number of seconds since 1970 that has passed, though not by more than five years (Developer Guide,
    "Using time to live")."""
    value = parse_item(item).get(ttl)
    text = value.get("N") if isinstance(value, dict) else None
    if not isinstance(text, str):
        return False
    try:
        return oldest <= float(text) < now
    except ValueError:
        return False
