"""What a person asks of a restore."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec

from tablekeep.engine.backups.location import Shelf, parse_manifest_uri
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.reapply import SKIPPABLE
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.names import check_table_name
from tablekeep.engine.restore.selection import Key, Selection, select

Mode = Literal["new", "empty", "missing-only", "overwrite-listed-keys"]
"""new: the table must not exist · empty: it exists and holds nothing · missing-only: only items whose key is not there, each by a
conditional write · overwrite-listed-keys: the items whose keys are listed, whatever is there now; what was there is kept."""
MODES: tuple[str, ...] = get_args(Mode)
Path = Literal["auto", "batch-write", "import-table", "pitr", "backup", "bulk-put"]
"""How a table gets its items, see `paths`."""
PATHS: tuple[str, ...] = get_args(Path)
BY_SERVICE = ("import-table", "pitr", "backup")
"""The service makes the table."""


@dataclass(frozen=True)
class RestoreRequest:
    """What is to be restored, and where to.

    :ivar backup: the manifest's URI; else the newest verified set of `shelf`, or its state as of `as_of`.
    :ivar backup_arn: with the path `backup`: what AWS restores; the newest that it keeps of the table when not given. The backup set is
        then what proves it: the one of `backup`, else the one of `shelf` that lies nearest.
    :ivar backup_role: the role with which AWS Backup restores a recovery point; its default role when not given.
    :ivar keys, key_prefix, where: see `selection.select`; everything when none is given.
    :ivar parts: only the items of these parts of the backup: a drill's sample.
    :ivar max_wcu: write capacity units a second. :ivar ttl: switch the expiry of items on, at last.
    :ivar skip_settings: groups of settings that are left out (`reapply.SKIPPABLE`).
    :ivar patterns_refused: names, with `*` and `?`, to which nothing is restored. :ivar accounts: the only ones to which is restored.
    :ivar max_usd: the money allowed.
    """

    to_table: str
    backup: str | None = None
    shelf: Shelf | None = None
    as_of: datetime | None = None
    mode: Mode = "new"
    path: Path = "auto"
    backup_arn: str | None = None
    backup_role: str | None = None
    keys: tuple[str, ...] | None = None
    key_prefix: str | None = None
    where: tuple[str, ...] = ()
    parts: tuple[str, ...] | None = None
    max_wcu: float | None = None
    ttl: bool = False
    skip_settings: tuple[str, ...] = ()
    patterns_refused: Sequence[str] = field(default=())
    accounts: Sequence[str] = field(default=())
    max_usd: float | None = None

    @property
    def partial(self) -> bool:
        return self.keys is not None or self.key_prefix is not None or bool(self.where)

    def check(self) -> "RestoreRequest":
        """:raises BadInputError: for what contradicts itself."""
        check_table_name(self.to_table)
        what = f"restoring to the table {self.to_table}"
        if self.max_wcu is not None and not (self.max_wcu > 0 and math.isfinite(self.max_wcu)):
            raise BadInputError(
                what, f"the write budget is {self.max_wcu}", "give more than 0 WCU, for example --max-wcu 100"
            )
        if self.mode not in MODES:
            raise BadInputError(what, f"there is no mode {self.mode}", f"choose one of {', '.join(MODES)}")
        if self.path not in PATHS:
            raise BadInputError(what, f"there is no path {self.path}", f"choose one of {', '.join(PATHS)}")
        self._check_path(what)
        if self.mode == "overwrite-listed-keys" and self.keys is None:
            raise BadInputError(
                what, "the mode overwrite-listed-keys needs the keys", "list them with --key or --keys-file"
            )
        if self.mode != "new" and (self.ttl or self.skip_settings):
            raise BadInputError(
                what,
                "settings are restored to a new table only",
                "leave --ttl and --without out: the table keeps its own settings",
            )
        if unknown := sorted(set(self.skip_settings) - set(SKIPPABLE)):
            raise BadInputError(what, f"{unknown[0]} is no group of settings", f"name one of {', '.join(SKIPPABLE)}")
        if self.backup is None and self.shelf is None:
            raise BadInputError(what, "no backup is named", "give the manifest's URI")
        if self.backup is not None and self.as_of is not None:
            raise BadInputError(
                what, "a backup and a time are named", "give one of them: the backup, or the table with --as-of"
            )
        if self.as_of is not None and self.as_of.tzinfo is None:
            raise BadInputError(what, "the time has no zone", "write it in UTC, for example 2026-11-23T02:00:00Z")
        return self

    def _check_path(self, what: str) -> None:
        if self.path != "backup" and (self.backup_arn or self.backup_role):
            raise BadInputError(
                what, "a backup that AWS keeps is restored by the path backup alone", "give --path backup with it"
            )
        if self.path in ("pitr", "backup") and (self.partial or self.parts is not None):
            who = "point-in-time recovery" if self.path == "pitr" else "AWS"
            raise BadInputError(what, f"{who} restores whole tables", "leave the path to auto for some items")
        if self.path == "backup" and self.as_of is not None:
            raise BadInputError(
                what, "a backup that AWS keeps has a time of its own", "give --backup-arn, or --path pitr and a time"
            )

    @property
    def where_backups_lie(self) -> Shelf:
        """The shelf of the backup, for records and state."""
        if self.backup is not None:
            return parse_manifest_uri(self.backup).shelf
        assert self.shelf is not None
        return self.shelf

    def selection(self, key: Key) -> Selection:
        """Which items are wanted. :raises BadInputError: for what cannot be read.

        :param key: of the backup.
        """
        return select(key, keys=self.keys, key_prefix=self.key_prefix, where=self.where)

    def budget(self, clock: Clock, *, share: float = 1.0, cell: Any = None) -> TokenBucket | None:
        """Of the write capacity; None without a limit.

        :param share: when others write at the same time. :param cell: see `TokenBucket`.
        """
        return TokenBucket(self.max_wcu * share, clock, cell) if self.max_wcu else None

    def digest(self) -> str:
        """Equal for equal requests; limits and rules do not count."""
        fields: dict[str, Any] = asdict(self)
        for name in ("patterns_refused", "accounts", "max_usd", "max_wcu", "shelf"):
            del fields[name]
        fields["shelf"] = self.where_backups_lie.prefix
        return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()
