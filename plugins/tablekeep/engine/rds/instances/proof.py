"""A restored database against the record of its snapshot: the marker, every table, and how long the first full read took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tablekeep.engine.clock import Clock
from tablekeep.engine.progress import Progress
from tablekeep.engine.rds.instances.contents import Contents, Reading, has_marker, read_contents
from tablekeep.engine.rds.instances.record import SnapshotReport
from tablekeep.engine.rds.instances.verdicts import Verdict, judge


@dataclass
class Proof:
    """What was found.

    :ivar verdicts: by database. :ivar problems: what contradicts the record. :ivar marker: whether the row that was left before the
        snapshot is there; None where none was left. :ivar slowest: the tables that took longest, with their seconds.
    """

    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    marker: bool | None = None
    tables: int = 0
    rows: int = 0
    bytes: int = 0
    scan_seconds: float = 0.0
    slowest: list[dict[str, Any]] = field(default_factory=list)

    def count(self, state: str) -> int:
        """Tables of a state."""
        return sum(1 for found in self.verdicts.values() for one in found if one.state == state)

    @property
    def equal(self) -> int:
        return self.count("equal")

    @property
    def proved(self) -> bool:
        """Some table came back exactly, and nothing contradicts the record."""
        return bool(self.equal) and not self.problems

    def told(self) -> list[dict[str, Any]]:
        """Verdicts that are more than "equal", for records."""
        return [
            {"database": name, **one.as_dict()}
            for name, found in self.verdicts.items() for one in found if one.state != "equal"
        ]  # fmt: skip


def read_first(
    record: SnapshotReport | None, reading: Reading, endpoint: Mapping[str, Any], *, clock: Clock, progress: Progress
) -> tuple[dict[str, Contents], Proof]:
    """Reads every table of every database whole: the first full scan, which brings each block from S3.

    :param record: of the snapshot; its horizon tells old rows from new ones.
    """
    looks = record.looks() if record is not None else {}
    names = tuple(looks) or reading.names
    proof, found = Proof(), dict[str, Contents]()
    began = clock.monotonic()
    for name in names:
        horizon = looks[name][0].horizon if name in looks else None
        found[name] = read_contents(
            reading.login.in_database(name), endpoint, progress=progress, horizon=horizon, exclude=reading.left_out,
            monotonic=clock.monotonic,
        )  # fmt: skip
    proof.scan_seconds = round(clock.monotonic() - began, 3)
    proof.tables = sum(len(one.tables) for one in found.values())
    proof.rows, proof.bytes = sum(one.rows for one in found.values()), sum(one.bytes for one in found.values())
    each: list[dict[str, Any]] = [
        {"table": f"{name}: {table}" if len(found) > 1 else table, "seconds": seconds}
        for name, one in found.items() for table, seconds in one.seconds.items()
    ]  # fmt: skip
    proof.slowest = sorted(each, key=lambda one: -one["seconds"])[:5]
    return found, proof


def compare_with_record(
    proof: Proof, found: Mapping[str, Contents], record: SnapshotReport, reading: Reading, endpoint: Mapping[str, Any]
) -> None:
    """Adds verdicts and problems to the proof."""
    for name, (before, after) in record.looks().items():
        now = found[name]
        if before.system and now.system and before.system != now.system:
            proof.problems.append(f"database {name}: it is no physical copy of the database of which the record tells")
        proof.verdicts[name] = judge(before, after, now)
        proof.problems += [f"table {one.table}: {one.why}" for one in proof.verdicts[name] if one.bad]
    if record.marker is not None:
        proof.marker = has_marker(reading.login, endpoint, record.marker["table"], record.marker["token"])
        if not proof.marker:
            proof.problems.append(
                f"the marker that was left in {record.marker['table']} before the snapshot is not there: the state is older, or another's"
            )
