"""Where a restore stands, kept beside the backups: a worker that dies is followed by one that goes on.

`<name>/_restores/<account>-<region>-<table>.json`, with a lease beside it: two restores never write to one table.
"""

from dataclasses import dataclass, field
from typing import Any

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.checkpoints import Checkpoint
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.leases import Lease
from tablekeep.engine.restore.plan import RestorePlan

FOLDER = "_restores"
VERSION = 1


@dataclass
class Loaded:
    """What the finished units gave: counts, and the sum of the items' hashes.

    :ivar content: of the items that were wanted. :ivar written, equal, kept: of a conditional restore, see `existing.ConditionalWriter`.
    """

    content: ContentHash = field(default_factory=ContentHash)
    written: int = 0
    equal: int = 0
    kept: int = 0

    @property
    def items(self) -> int:
        """Wanted."""
        return self.content.count

    def add(self, other: "Loaded") -> None:
        self.content += other.content
        self.written += other.written
        self.equal += other.equal
        self.kept += other.kept

    def as_json(self) -> list[Any]:
        return [self.items, self.written, self.equal, self.kept, f"{self.content.total:064x}"]


@dataclass
class Progressing:
    """The document.

    :ivar request: digest of the request. :ivar token: of the table's creation. :ivar units: those that are done.
    :ivar job: what the service was told to do, as it calls it: ARN of an import or a bulk put, id of a restore job or of a restored table.
    :ivar report: of a finished restore that was proved.
    """

    request: str
    plan: dict[str, Any]
    token: str
    run: str
    units: list[str] = field(default_factory=list)
    loaded: Loaded = field(default_factory=Loaded)
    finished: bool = False
    report: dict[str, Any] | None = None
    job: str = ""


class RestoreState:
    """Reads and writes the document; see `Checkpoint` for what happens when another worker writes, too."""

    def __init__(self, store: Store, shelf: Shelf, account: str, region: str, table: str) -> None:
        self._store, self._base = store, f"{shelf.prefix}/{FOLDER}/{account}-{region}-{table}"
        self._checkpoint = Checkpoint(store, f"{self._base}.json", AlreadyExistsError)

    def lease(self, *, actor: str, run: str, clock: Clock) -> Lease:
        """Guards the table against another restore."""
        return Lease(
            self._store, f"{self._base}-lease.json", holder=actor, run=run, clock=clock, conflict=AlreadyExistsError
        )

    def load(self) -> Progressing | None:
        """The restore that was begun last; None when there is none.

        :raises IntegrityError: for a document of another version.
        """
        document = self._checkpoint.load()
        if document is None:
            return None
        try:
            if document["version"] != VERSION:
                raise ValueError
            items, written, equal, kept, total = document["loaded"]
            return Progressing(
                document["request"], document["plan"], document["token"], document["run"], list(document["units"]),
                Loaded(ContentHash(items, int(total, 16)), written, equal, kept), bool(document["finished"]),
                document["report"], str(document.get("job", "")),
            )  # fmt: skip
        except (KeyError, ValueError, TypeError):
            raise IntegrityError(
                f"reading {self._checkpoint.key}", "it is no state of a restore that this version knows",
                "remove it if no restore is under way; the restore then begins anew",
            ) from None  # fmt: skip

    def save(self, state: Progressing) -> None:
        """Keeps it."""
        self._checkpoint.save(
            {
                "version": VERSION, "request": state.request, "plan": state.plan, "token": state.token, "run": state.run,
                "units": state.units, "loaded": state.loaded.as_json(), "finished": state.finished, "report": state.report,
                "job": state.job,
            }
        )  # fmt: skip


def resumable(state: Progressing | None, request: str) -> RestorePlan | None:
    """The plan with which an unfinished restore of the same request goes on."""
    if state is None or state.finished or state.request != request:
        return None
    return RestorePlan.from_dict(state.plan)
