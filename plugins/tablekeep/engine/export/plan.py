"""What an export has decided before it reads: written once into the set's `_state/`, so that every worker and every later try does
the same.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.location import STATE, SetLocation
from tablekeep.engine.backups.manifest import Link, StoredFile, Window
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.checkpoints import Checkpoint
from tablekeep.engine.clock import parse_utc, utc_text
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.layout import Layout

FORMAT = 1


@dataclass(frozen=True)
class ExportPlan:
    """One export of one table.

    :ivar options: what the caller asked for; a later try with other options is another export.
    :ivar table: name, arn and id. :ivar key: name and type of the key's attributes. :ivar segments: of the whole table.
    :ivar layout: the columns. :ivar revision: 1; 2 when the parts are rewritten with wider columns.
    :ivar previous_schema: number of the schema of the table's set before this one; 0: there is none.
    :ivar engine: `scan`; `pitr`: a segment is a data file; `merge`: a part of the full set. :ivar consistent: not known beforehand
        for `scan`. :ivar window, parents: see `Manifest`.
    :ivar settings: the file with the table's settings. :ivar not_known: the settings that were refused.
    :ivar rcu: read capacity units a second for all workers together; None: no limit. :ivar expected: items, as the service guesses.
    """

    location: SetLocation
    options: dict[str, Any]
    table: dict[str, str]
    key: tuple[tuple[str, str], ...]
    segments: int
    layout: Layout
    settings: StoredFile
    not_known: dict[str, str]
    as_of: datetime
    started: datetime
    rcu: float | None
    expected: int
    run: str
    previous_schema: int = 0
    revision: int = 1
    engine: str = "scan"
    consistent: tuple[datetime, datetime] | None = None
    window: Window | None = None
    parents: tuple[Link, ...] = ()

    @property
    def key_names(self) -> list[str]:
        return [name for name, _ in self.key]

    def with_layout(self, layout: Layout) -> "ExportPlan":
        """The plan of a rewriting."""
        return replace(self, layout=layout, revision=self.revision + 1)

    def as_json(self) -> dict[str, Any]:
        file = self.settings
        return {
            "format": FORMAT,
            "options": self.options,
            "table": self.table,
            "key": [list(one) for one in self.key],
            "segments": self.segments,
            "layout": self.layout.as_json(),
            "settings": {"role": file.role, "name": file.name, "size": file.size, "sha256": file.sha256},
            "not_known": self.not_known,
            "as_of": utc_text(self.as_of),
            "started": utc_text(self.started),
            "rcu": self.rcu,
            "expected": self.expected,
            "run": self.run,
            "previous_schema": self.previous_schema,
            "revision": self.revision,
            "engine": self.engine,
            "consistent": [utc_text(time) for time in self.consistent] if self.consistent else None,
            "window": self.window.as_json() if self.window else None,
            "parents": [one.as_json() for one in self.parents],
        }

    @staticmethod
    def from_json(document: dict[str, Any], location: SetLocation) -> "ExportPlan":
        """Reads what `as_json` gave.

        :raises IntegrityError: for another document.
        """
        try:
            if document["format"] != FORMAT:
                raise ValueError("its format is of another version")
            return ExportPlan(
                location, document["options"], document["table"], tuple((name, kind) for name, kind in document["key"]),
                document["segments"], Layout.from_json(document["layout"]), StoredFile(**document["settings"]), document["not_known"],
                parse_utc(document["as_of"]), parse_utc(document["started"]), document["rcu"], document["expected"], document["run"],
                document["previous_schema"], document["revision"], document["engine"],
                (parse_utc(document["consistent"][0]), parse_utc(document["consistent"][1])) if document["consistent"] else None,
                Window.from_json(document["window"]) if document["window"] else None,
                tuple(Link.from_json(one) for one in document["parents"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                f"reading the state of the unfinished export {location.prefix}", str(error), "begin a new export"
            ) from None


def _key(location: SetLocation, revision: int) -> str:
    return location.key(f"{STATE}/plan-{revision}.json")


def segment_key(plan: ExportPlan, segment: int) -> str:
    """Where a segment's state lies."""
    return plan.location.key(f"{STATE}/{plan.revision}/segment-{segment:07d}.json")


def load_plan(store: Store, location: SetLocation, revision: int = 1) -> ExportPlan | None:
    """The plan of an export that was begun, or None."""
    document = Checkpoint(store, _key(location, revision), AlreadyExistsError).load()
    return ExportPlan.from_json(document, location) if document is not None else None


def save_plan(store: Store, plan: ExportPlan) -> ExportPlan:
    """Keeps the plan, unless another worker kept one meanwhile: that one is returned then, and holds."""
    checkpoint = Checkpoint(store, _key(plan.location, plan.revision), AlreadyExistsError)
    document = checkpoint.load()
    if document is not None:
        return ExportPlan.from_json(document, plan.location)
    checkpoint.save(plan.as_json())
    return plan


def check_same(plan: ExportPlan, options: dict[str, Any], table_id: str) -> None:
    """That an unfinished export is the one that is asked for now.

    :raises BadInputError: when the table was made anew meanwhile, or an option differs.
    """
    what = f"going on with the export {plan.location.backup_id}"
    todo = "begin a new export; the unfinished one is no backup and harms nothing"
    if plan.table["id"] != table_id:
        raise BadInputError(what, "the table was deleted and made anew since it was begun (its table id differs)", todo)
    for name in sorted(set(plan.options) | set(options)):
        was, now = plan.options.get(name), options.get(name)
        if was != now:
            raise BadInputError(what, f"it was begun with {name} {was!r}, and now it is {now!r}", todo)
