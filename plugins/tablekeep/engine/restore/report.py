"""What a restore made, as records and `--json` have it."""

from dataclasses import asdict, dataclass, field
from typing import Any

BY_SCAN, BY_KEY = "scan", "keys"
"""How a table was compared: read whole, so that nothing more and nothing less is in it; or asked for the keys of what should be there
(BatchGetItem), so that what should not be there stays unseen."""


@dataclass
class RestoreReport:
    """What a restore made.

    :ivar backup: the full set. :ivar plan: hash of the plan that was carried out.
    :ivar path: how the table got its items. :ivar source_backup: what AWS restored, see `RestorePlan.source_backup`.
    :ivar items: that were wanted of it. :ivar written, equal, kept: of them were written; were there already; were not written, as
        another item has their key.
    :ivar replaced: items that stood where others were put; they lie in the objects that begin with `replaced_at`.
    :ivar proved: the table was read back with consistent reads and has the backup's content hash; in a table that held items before,
        every item that was written was read back and is equal.
    :ivar compared: how: `scan` or `keys`, see above; empty when nothing was.
    :ivar unverified: with which set it was compared and what differs, where that proves nothing: the set is of another moment.
    :ivar bulk: of StartBulkPutItems: items `processed` and `failed`, objects in which it has `reported`.
    :ivar workers: processes, or tasks at a time, that loaded it. :ivar phases: seconds by phase.
    :ivar not_restored: settings that the new table does not have, with the command for each.
    :ivar settings: facts that differ from the backup's, see `SettingDifference`. :ivar resumed: units that an earlier try had loaded.
    :ivar differing: items that differ, up to 100: the key's hash, the state, and which attributes, see `ItemDifference.told`.
    :ivar imports: of a new table, what Terraform can import, see `terraform.Import`.
    """

    backup: str
    table: str
    table_id: str
    plan: str = ""
    mode: str = "new"
    as_of: str = ""
    selection: dict[str, Any] | None = None
    items: int = 0
    written: int = 0
    equal: int = 0
    kept: int = 0
    replaced: int = 0
    replaced_at: str = ""
    workers: int = 1
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    content_hash: str = ""
    proved: bool = False
    indexes: list[str] = field(default_factory=list)
    not_restored: list[dict[str, str]] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)
    resumed: int = 0
    differing: list[dict[str, Any]] = field(default_factory=list)
    table_arn: str = ""
    imports: list[dict[str, Any]] = field(default_factory=list)
    path: str = ""
    source_backup: dict[str, Any] | None = None
    unverified: str = ""
    bulk: dict[str, int] | None = None
    compared: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def settings_differ(self) -> list[str]:
        """Facts that differ though nothing announced it."""
        return [one["name"] for one in self.settings if not one["told"]]
