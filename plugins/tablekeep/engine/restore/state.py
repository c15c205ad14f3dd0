"""Where a restore stands, kept beside the backups: whoever follows a worker that died goes on, alone or with others.

`<name>/_restores/<account>-<region>-<table>/state.json`, a lease beside it (two restores never write to one table), and for each unit
that is loaded a document of its own, so that no two workers write the same one.
"""

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.checkpoints import MAX_BYTES, Checkpoint
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.leases import Lease
from tablekeep.engine.restore.plan import RestorePlan

FOLDER = "_restores"
VERSION = 2
READERS = 16
"""Documents of units that are read at a time."""


@dataclass
class Loaded:
    """What finished units gave: counts, and the sum of the items' hashes.

    :ivar content: of the items that were wanted. :ivar written, equal, kept: of a conditional restore, see `existing.ConditionalWriter`.
    :ivar memo: of one unit, see `Source.memo`.
    """

    content: ContentHash = field(default_factory=ContentHash)
    written: int = 0
    equal: int = 0
    kept: int = 0
    memo: bytes = b""

    @property
    def items(self) -> int:
        """Wanted."""
        return self.content.count

    def add(self, other: "Loaded") -> None:
        self.content += other.content
        self.written += other.written
        self.equal += other.equal
        self.kept += other.kept

    def as_json(self) -> dict[str, Any]:
        return {
            "content": str(self.content), "written": self.written, "equal": self.equal, "kept": self.kept,
            "memo": base64.b64encode(self.memo).decode(),
        }  # fmt: skip

    @staticmethod
    def from_json(document: dict[str, Any]) -> "Loaded":
        """:raises KeyError, ValueError, TypeError: for another document."""
        content, memo = ContentHash.parse(document["content"]), base64.b64decode(document["memo"])
        return Loaded(content, int(document["written"]), int(document["equal"]), int(document["kept"]), memo)


@dataclass
class Progressing:
    """The document.

    :ivar request: digest of the request. :ivar token: of the table's creation. :ivar run: that began it, or ended it.
    :ivar began: when it was begun; `lapped`: when the last of its `phases` (seconds) ended.
    :ivar table_id, table_arn: of the new table, once it is known.
    :ivar job: what the service was told to do, as it calls it: ARN of an import or a bulk put, id of a restore job or of a restored table.
    :ivar replaced, replaced_at: items that stood where others are put, and where they lie; see `existing.keep_present`.
    :ivar report: of a finished restore that was proved.
    """

    request: str
    plan: dict[str, Any]
    token: str
    run: str
    began: str
    lapped: str
    phases: dict[str, float] = field(default_factory=dict)
    table_id: str = ""
    table_arn: str = ""
    job: str = ""
    replaced: int = 0
    replaced_at: str = ""
    finished: bool = False
    report: dict[str, Any] | None = None


class RestoreState:
    """Reads and writes the documents; see `Checkpoint` for what happens when another worker writes the first, too."""

    def __init__(self, store: Store, shelf: Shelf, account: str, region: str, table: str) -> None:
        self._store, self._base = store, f"{shelf.prefix}/{FOLDER}/{account}-{region}-{table}"
        self._checkpoint = Checkpoint(store, f"{self._base}/state.json", AlreadyExistsError)

    def lease(self, *, actor: str, run: str, clock: Clock, shared: bool = False) -> Lease:
        """Guards the table against another restore.

        :param shared: by the tasks of one run.
        """
        return Lease(
            self._store, f"{self._base}/lease.json", holder=actor, run=run, clock=clock, conflict=AlreadyExistsError, shared=shared
        )  # fmt: skip

    def load(self) -> Progressing | None:
        """The restore that was begun last; None when there is none.

        :raises IntegrityError: for a document of another version.
        """
        document = self._checkpoint.load()
        if document is None:
            return None
        try:
            if document.pop("version") != VERSION:
                raise ValueError
            return Progressing(**document)
        except (KeyError, ValueError, TypeError):
            raise self._unknown(self._checkpoint.key) from None

    def save(self, state: Progressing) -> None:
        """Keeps it.

        :raises PermanentError: when another worker has gone on meanwhile.
        """
        self._checkpoint.save({"version": VERSION} | vars(state))

    def keep(self, token: str, unit: str, loaded: Loaded) -> None:
        """A unit is loaded. Where another worker has said so already, that stays: both have loaded the same.

        :param token: of the restore.
        """
        try:
            document = {"unit": unit} | loaded.as_json()
            self._store.put(self._key(token, unit), msgspec.json.encode(document, order="sorted"), if_absent=True)
        except AlreadyExistsError:
            return

    def units(self, token: str) -> dict[str, Loaded]:
        """The units that are loaded, whoever did it."""
        with ThreadPoolExecutor(READERS) as pool:
            return dict(pool.map(self._unit, [info.key for info in self._store.list(self._folder(token))]))

    def _unit(self, key: str) -> tuple[str, Loaded]:
        try:
            document = msgspec.json.decode(self._store.get(key, max_bytes=MAX_BYTES))
            return str(document["unit"]), Loaded.from_json(document)
        except (msgspec.DecodeError, KeyError, ValueError, TypeError):
            raise self._unknown(key) from None

    def _folder(self, token: str) -> str:
        return f"{self._base}/units-{token}/"

    def _key(self, token: str, unit: str) -> str:
        return f"{self._folder(token)}{unit.replace('/', '-').replace(' ', '-')}.json"

    def _unknown(self, key: str) -> IntegrityError:
        return IntegrityError(
            f"reading {key}", "it is no state of a restore that this version knows",
            f"remove {self._base}/ if no restore is under way; the restore then begins anew",
        )  # fmt: skip


def resumable(state: Progressing | None, request: str) -> RestorePlan | None:
    """The plan with which an unfinished restore of the same request goes on."""
    if state is None or state.finished or state.request != request:
        return None
    return RestorePlan.from_dict(state.plan)
