"""Compares two sides, each a table or a backup, by content hash; and where they differ, finds the items in bounded memory."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.differences import DIFFERENT, LEFT, MOST_KEYS, RIGHT, explain, find
from tablekeep.engine.restore.sides import Side, TableSide, backup_side


@dataclass
class Comparison:
    """What a comparison found.

    :ivar differing: up to `limit` differing items, see `ItemDifference.told`. All are counted.
    """

    left: str
    right: str
    left_hash: str
    right_hash: str
    equal: bool
    left_only: int = 0
    right_only: int = 0
    different: int = 0
    differing: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    left: str,
    right: str,
    show_keys: bool = False,
    show_values: bool = False,
    limit: int = MOST_KEYS,
) -> Comparison:
    """Compares two sides: a table's name, or a backup's manifest URI.

    :param show_keys: the keys themselves instead of their hashes; for a person's terminal only. :param show_values: the values, too.
    :param limit: so many differing items are named.
    :raises BadInputError: when a side does not exist or their keys have other names.
    """
    began = clock.monotonic()
    if limit < 0:
        raise BadInputError(f"comparing {left} and {right}", f"the limit is {limit}", "give 0 or more, for example 100")
    one, two = (_side(clients, clock, progress, side) for side in (left, right))
    if one.key_names != two.key_names:
        raise BadInputError(
            f"comparing {left} and {right}",
            f"their keys are {one.key_names} and {two.key_names}",
            "compare tables with one key",
        )
    mine, other = one.hasher(), two.hasher()
    result = Comparison(left, right, str(mine.whole), str(other.whole), mine.whole == other.whole)
    if not result.equal:
        found = find(one, two, limit)
        result.left_only, result.right_only, result.different = (
            found.counts[state] for state in (LEFT, RIGHT, DIFFERENT)
        )
        named = explain(one, two, found.keys, whole=show_values)
        result.differing = [item.told(keys=show_keys or show_values, values=show_values) for item in named]
    result.seconds = round(clock.monotonic() - began, 3)
    return result


def _side(clients: SessionClients, clock: Clock, progress: Progress, name: str) -> Side:
    if name.startswith("s3://"):
        return backup_side(open_backup(clients, name), progress)
    return TableSide(clients, clock, progress, name)
