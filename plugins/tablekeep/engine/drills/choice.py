"""Which backup a drill takes, how much of it, and how the table is compared with it.

The choice is random where it may be: what is never drilled is never proved.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from tablekeep.engine.backups.catalog import list_shelf
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import BadInputError

Choose = Literal["latest", "random", "oldest"]
CHOICES: tuple[str, ...] = get_args(Choose)


@dataclass(frozen=True)
class Chosen:
    """A backup, the words that say how it was chosen, and how many items the newest one has."""

    manifest: Manifest
    words: str
    newest_items: int


def choose(store: Store, shelf: Shelf, how: Choose, within: timedelta | None, clock: Clock) -> Chosen:
    """One of the table's full sets, verified or not: a drill is a test.

    :param within: no older than this, for `random` and `oldest`.
    :raises BadInputError: when there is none.
    """
    full = [one for one in list_shelf(store, shelf).backups if one.window is None]
    since = clock.now() - within if within else None
    fitting = [one for one in full if since is None or how == "latest" or one.as_of >= since]
    if not fitting:
        why = f"no full backup is so young as {utc_text(since)}" if since and full else "there is no full backup of it"
        raise BadInputError(f"drilling the table {shelf.name}", why, "make one with `tablekeep export`")
    if how == "latest":
        return Chosen(fitting[0], f"the latest of {len(full)}", full[0].items)
    window = f" of the last {within.days} days" if within else ""
    if how == "oldest":
        return Chosen(fitting[-1], f"the oldest of {len(fitting)}{window}", full[0].items)
    number = int(clock.token(4), 16) % len(fitting)
    return Chosen(fitting[number], f"at random, number {number + 1} of {len(fitting)}{window}", full[0].items)


def choose_parts(manifest: Manifest, percent: float | None, clock: Clock) -> tuple[str, ...] | None:
    """Names of random parts that hold at least `percent` of the items; None for all of them."""
    if percent is None or percent >= 100 or len(manifest.parts) < 2:
        return None
    left, chosen, rows = list(manifest.parts), list[str](), 0
    while rows < manifest.items * percent / 100:
        part = left.pop(int(clock.token(4), 16) % len(left))
        chosen.append(part.name)
        rows += part.rows
    return tuple(sorted(chosen)) if left else None


@dataclass(frozen=True)
class Scope:
    """How much of the backup a drill looks at.

    :ivar parts: names of random parts of it; None: all. :ivar whole: the scratch table holds everything, as AWS restores it: then the
        items of a sample are asked for by their keys. Else it holds the sample alone, and is read whole, which shows what should not be
        there, too.
    """

    parts: tuple[str, ...] | None
    whole: bool
    selection: str | None = None
    words: str = "all items"

    @property
    def loaded(self) -> tuple[str, ...] | None:
        """The parts of which the table is made; None: all."""
        return None if self.whole else self.parts

    @property
    def sample(self) -> tuple[str, ...] | None:
        """The parts whose items are asked for by their keys; None: the table is read whole."""
        return self.parts if self.whole else None


def choose_scope(manifest: Manifest, percent: float | None, clock: Clock, *, whole: bool) -> Scope:
    """All of the backup, or a sample; see `Scope`, and `choose_parts` for `percent`."""
    parts = choose_parts(manifest, percent, clock)
    if parts is None:
        return Scope(None, whole)
    selection = f"{len(parts)} of {len(manifest.parts)} parts, at random"
    how = "the scratch table holds these alone and is read whole, so items that do not belong there are found among these alone"
    if whole:
        how = (
            "their items are asked for by key (BatchGetItem) in a table that holds all: a sample cannot find extra items, only those "
            "that are missing or changed"
        )
    return Scope(parts, whole, selection, f"a sample of {selection}: {how}")
