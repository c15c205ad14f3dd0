"""Compares two sides, each a table or a backup, by content hash; and where they differ, finds the keys in bounded memory."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.spool import KeySpool, differences
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.hashing import key_hash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.sides import BackupSide, Side, TableSide


@dataclass
class Comparison:
    """What a comparison found.

    :ivar keys: up to `limit` differing keys, each `{"key": SHA-256 or the key itself, "state": …}`.
    """

    left: str
    right: str
    left_hash: str
    right_hash: str
    equal: bool
    left_only: int = 0
    right_only: int = 0
    different: int = 0
    keys: list[dict[str, str]] = field(default_factory=list)
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
    limit: int = 100,
) -> Comparison:
    """Compares two sides: a table's name, or a backup's manifest URI.

    :param show_keys: the keys themselves instead of their hashes; for a person's terminal only.
    :raises BadInputError: when a side does not exist or their keys have other names.
    """
    began = clock.monotonic()
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
        _find(one, two, result, show_keys, limit)
    result.seconds = round(clock.monotonic() - began, 3)
    return result


def _side(clients: SessionClients, clock: Clock, progress: Progress, name: str) -> Side:
    if name.startswith("s3://"):
        return BackupSide(open_backup(clients, name), progress)
    return TableSide(clients, clock, progress, name)


def _find(one: Side, two: Side, result: Comparison, show_keys: bool, limit: int) -> None:
    expected = max(one.expected(), two.expected())
    with KeySpool(expected) as left, KeySpool(expected) as right:
        one.spool(left)
        two.spool(right)
        for key, state in differences(left, right):
            if state == "left only":
                result.left_only += 1
            elif state == "right only":
                result.right_only += 1
            else:
                result.different += 1
            if len(result.keys) < limit:
                result.keys.append({"key": key.decode() if show_keys else key_hash(key), "state": state})
