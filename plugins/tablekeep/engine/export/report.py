"""What an export says when it is done."""

from dataclasses import asdict, dataclass
from typing import Any

from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.clock import utc_text


@dataclass(frozen=True)
class ExportReport:
    """What an export made.

    :ivar backup: the manifest's URI. :ivar bytes: of the parts on S3. :ivar raw_bytes: of the canonical items.
    :ivar consumed_rcu: read capacity units, as the service counted them, for what became part of the set.
    :ivar reused: an earlier try with the same backup id had published it already; nothing was read now.
    :ivar resumed: an earlier try had begun it.
    :ivar engine: as the manifest says.
    :ivar kind: `full`, or `incremental`: then items are changes. :ivar boundary: of a merged set, see `ChangedKeys`.
    """

    backup: str
    backup_id: str
    table: str
    items: int
    bytes: int
    raw_bytes: int
    content_hash: str
    seconds: float
    segments: int
    parts: int
    as_of: str
    consistent_from: str
    consistent_to: str
    consumed_rcu: float
    verified: bool = False
    reused: bool = False
    resumed: bool = False
    kind: str = "full"
    boundary: int | None = None
    engine: str = "scan"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def report_of(made: Manifest) -> ExportReport:
    """What a published manifest says of itself."""
    return ExportReport(
        made.uri, made.backup_id, str(made.table["name"]), made.items, made.stored_bytes, made.raw_bytes, str(made.content),
        round((made.finished - made.started).total_seconds(), 3), len(made.segments), len(made.parts), utc_text(made.as_of),
        utc_text(made.consistent[0]), utc_text(made.consistent[1]), round(made.run.get("consumed_rcu", 0.0), 1),
        kind="incremental" if made.window else "full", boundary=made.run.get("boundary"), engine=made.engine,
    )  # fmt: skip
