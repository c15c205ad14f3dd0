"""Which items two sides hold otherwise: found and counted in bounded memory, and some of them looked at attribute by attribute.

Serves the proof of restores, drills, and `compare`. What is told of an item is decided where it is told: reports and logs get the
key's hash, names of attributes and their types; keys and values go to a person's terminal only, and only when asked for.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.spool import KeySpool, differences
from tablekeep.engine.items.difference import places
from tablekeep.engine.items.hashing import key_hash
from tablekeep.engine.restore.sides import Keyed

MOST_KEYS = 100
"""Differing keys that a report names."""
LEFT, RIGHT, DIFFERENT = "left only", "right only", "different"
EQUAL_NOW = "equal when looked at again"
"""What is said of an item that differed and then did not: somebody writes, or has just written."""
IN_MEMORY = 8 * 1024 * 1024


@dataclass(frozen=True)
class ItemDifference:
    """An item that two sides hold otherwise.

    :ivar key: canonical. :ivar state: one of the three above. :ivar left, right: the canonical items, where they were looked up.
    """

    key: bytes
    state: str
    left: bytes | None
    right: bytes | None

    def told(self, states: dict[str, str] | None = None, *, keys: bool = False, values: bool = False) -> dict[str, Any]:
        """`{"key", "state", "attributes": [{"path", "left", "right"}, …]}`, and `more`, the number of attributes beyond these.

        :param states: other words for the states. :param keys, values: for a person's terminal only; see `items.difference.Place`.
        """
        found, more = places(self.left, self.right, values=values)
        told: dict[str, Any] = {
            "key": self.key.decode() if keys else key_hash(self.key),
            "state": (states or {}).get(self.state, self.state),
            "attributes": [
                asdict(one) if values else {"path": one.path, "left": one.left, "right": one.right} for one in found
            ],
        }
        if more:
            told["more"] = more
        if self.state == DIFFERENT and self.left == self.right:
            told["now"] = EQUAL_NOW
        return told


See = Callable[[ItemDifference], None]
"""Is shown every difference that is named, with all that is known of it: for a person's terminal only."""


@dataclass
class Found:
    """How many items differ, by state, and the first of their keys."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((LEFT, RIGHT, DIFFERENT), 0))
    keys: list[tuple[bytes, str]] = field(default_factory=list)


def find(left: Keyed, right: Keyed, most: int = MOST_KEYS) -> Found:
    """Reads both sides; memory is that of a file of keys at a time, and of the `most` keys that are named."""
    found, expected = Found(), max(left.expected(), right.expected())
    with KeySpool(expected) as mine, KeySpool(expected) as theirs:
        left.spool(mine)
        right.spool(theirs)
        for key, state in differences(mine, theirs):
            found.counts[state] += 1
            if len(found.keys) < most:
                found.keys.append((key, state))
    return found


def explain(
    left: Keyed, right: Keyed, keys: Sequence[tuple[bytes, str]], *, whole: bool = False
) -> Iterator[ItemDifference]:
    """The items of these keys, looked up on both sides; they wait on the disk.

    :param whole: also those that one side alone has.
    """
    wanted = {key for key, state in keys if whole or state == DIFFERENT}
    with _Kept() as mine, _Kept() as theirs:
        if wanted:
            for side, kept in ((left, mine), (right, theirs)):
                for key, item in side.pick(wanted):
                    kept.add(key, item)
        for key, state in keys:
            yield ItemDifference(key, state, mine.get(key), theirs.get(key))


class _Kept:
    """Items by key: in memory as long as they are few, then in a file that has no name."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed on leaving
        self._where: dict[bytes, tuple[int, int]] = {}

    def __enter__(self) -> "_Kept":
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def add(self, key: bytes, item: bytes) -> None:
        self._where[key] = (self._file.seek(0, 2), len(item))
        self._file.write(item)

    def get(self, key: bytes) -> bytes | None:
        if key not in self._where:
            return None
        start, size = self._where[key]
        self._file.seek(start)
        return self._file.read(size)
