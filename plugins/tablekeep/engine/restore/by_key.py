"""Items of a backup looked up in a table by their keys: what should be there is found or missed; what should not be there is not looked
for. The proof where a table holds more than what was restored, and of samples."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.keys import KeyReader
from tablekeep.engine.dynamodb.wire import BATCH_GET_KEYS, WireClient
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import canonical_key, parse_item
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.differences import DIFFERENT, LEFT, MOST_KEYS
from tablekeep.engine.restore.existing import by_canonical_key


@dataclass
class ReadBack:
    """What a table holds of items that should be in it.

    :ivar content: of the items that were looked up. :ivar counts: of them are not there (`LEFT`), or are `DIFFERENT`.
    """

    content: ContentHash = field(default_factory=ContentHash)
    counts: dict[str, int] = field(default_factory=lambda: {LEFT: 0, DIFFERENT: 0})
    _keys: dict[str, list[bytes]] = field(default_factory=lambda: {LEFT: [], DIFFERENT: []})

    @property
    def keys(self) -> list[tuple[bytes, str]]:
        """The first keys, with their states; those that are not there come first."""
        return [(key, state) for state, keys in self._keys.items() for key in keys][:MOST_KEYS]

    def miss(self, key: bytes, state: str) -> None:
        """An item that is not there as it should be."""
        self.counts[state] += 1
        if len(self._keys[state]) < MOST_KEYS:
            self._keys[state].append(key)


@dataclass
class Looked:
    """What several workers have found, each in its own parts of a backup.

    :ivar absent, different: items. :ivar differing: of them, up to 100, see `ItemDifference.told`.
    """

    absent: int = 0
    different: int = 0
    differing: list[dict[str, Any]] = field(default_factory=list)

    def add(self, absent: int, different: int, differing: Iterable[dict[str, Any]]) -> None:
        """What one of them has."""
        self.absent += absent
        self.different += different
        self.differing = [*self.differing, *differing][:MOST_KEYS]


def read_back(
    wire: WireClient,
    table: str,
    key_names: list[str],
    pages: Iterable[list[bytes]],
    progress: Progress,
    *,
    clock: Clock,
    budget: TokenBucket | None = None,
) -> ReadBack:
    """Asks the table for the key of every item, and compares item by item in canonical form.

    :param pages: canonical items. :param budget: read capacity units a second.
    :raises IntegrityError: when a key is twice among the items.
    """
    result, asked = ReadBack(), deque[dict[bytes, bytes]]()

    def batches() -> Iterator[list[bytes]]:
        for page in pages:
            for start in range(0, len(page), BATCH_GET_KEYS):
                some = page[start : start + BATCH_GET_KEYS]
                asked.append({canonical_key(parse_item(item), key_names): item for item in some})
                if len(asked[-1]) != len(some):
                    raise IntegrityError(
                        f"reading back table {table}", "the backup has a key twice", "verify it with level full"
                    )
                yield list(asked[-1])

    reader = KeyReader(wire, table, clock=clock, budget=budget, note=progress.note)
    for _keys, raw in reader.each(batches()):
        wanted, there = asked.popleft(), by_canonical_key(raw, key_names)
        result.content += ContentHash.of(wanted.values())
        for key, item in wanted.items():
            if key not in there:
                result.miss(key, LEFT)
            elif there[key] != item:
                result.miss(key, DIFFERENT)
        progress.advance(len(wanted))
    return result
