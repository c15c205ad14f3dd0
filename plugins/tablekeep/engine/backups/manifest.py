"""The manifest: the one document that makes a backup of a folder of files. Written once, last; read before anything else."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from tablekeep.engine.backups.location import SetLocation, is_file_name, is_part_name
from tablekeep.engine.backups.sealed import seal, unseal
from tablekeep.engine.clock import parse_utc, utc_text
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.hashing import BUCKETS, ContentHash, buckets_as_json, buckets_from_json
from tablekeep.engine.items.layout import Layout
from tablekeep.engine.items.rows import ROW

FORMAT, CHANGES_FORMAT = "tablekeep-backup", "tablekeep-changes"
"""A set of changes has a name of its own, so that a program which knows full sets only refuses it."""
MAJOR, MINOR = 1, 2
"""A reader refuses another major version; of a later minor one it reads what it knows."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object of the set other than a part.

    :ivar role: `table` (the settings) or `census`.
    :ivar name: relative to the set's folder: `table.json`; `table-<attempt>.json` where an earlier attempt had left one.
    :ivar sha256: of its bytes, hexadecimal.
    """

    role: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of items.

    :ivar name: relative to the set's folder.
    :ivar size: bytes as stored. :ivar sha256: of these bytes, hexadecimal.
    :ivar checksum: the store's own, compared by `verify --level checksum`; None where the store keeps none.
    :ivar rows: items. :ivar raw_bytes: bytes of their canonical text. :ivar content: their content hash.
    :ivar first_key, last_key: SHA-256 of the canonical keys of the first and last row.
    """

    name: str
    segment: int
    size: int
    sha256: str
    checksum: str | None
    version_id: str | None
    rows: int
    raw_bytes: int
    content: ContentHash
    first_key: str
    last_key: str

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "segment": self.segment, "size": self.size, "sha256": self.sha256, "checksum": self.checksum,
            "version_id": self.version_id, "rows": self.rows, "raw_bytes": self.raw_bytes, "content_hash": str(self.content),
            "first_key": self.first_key, "last_key": self.last_key,
        }  # fmt: skip

    @staticmethod
    def from_json(one: dict[str, Any]) -> "Part":
        name = one["name"]
        if not is_part_name(name):
            raise ValueError(f"{name[:100]!r} is not the name of a part")
        return Part(
            name, int(one["segment"]), int(one["size"]), str(one["sha256"]), one["checksum"], one["version_id"], int(one["rows"]),
            int(one["raw_bytes"]), ContentHash.parse(one["content_hash"]), str(one["first_key"]), str(one["last_key"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of the scan, read to its end (no LastEvaluatedKey)."""

    number: int
    pages: int
    items: int
    from_: str
    to: str

    def as_json(self) -> dict[str, Any]:
        return {"number": self.number, "pages": self.pages, "items": self.items, "from": self.from_, "to": self.to}

    @staticmethod
    def from_json(one: dict[str, Any]) -> "Segment":
        return Segment(int(one["number"]), int(one["pages"]), int(one["items"]), str(one["from"]), str(one["to"]))


@dataclass(frozen=True, slots=True)
class ColumnFigures:
    """Of one column over the set: rows that are null in it, and values of its attribute that lie in `_rest` instead."""

    nulls: int
    misfits: int


@dataclass(frozen=True, slots=True)
class Window:
    """The time whose changes an incremental set holds: `since` belongs to it, `to` does not.

    :ivar old_images: it tells what the items were before.
    """

    since: datetime
    to: datetime
    old_images: bool = True

    def as_json(self) -> dict[str, Any]:
        return {"from": utc_text(self.since), "to": utc_text(self.to), "old_images": self.old_images}

    @staticmethod
    def from_json(one: dict[str, Any]) -> "Window":
        return Window(parse_utc(one["from"]), parse_utc(one["to"]), bool(one["old_images"]))


@dataclass(frozen=True, slots=True)
class Link:
    """Another set: its id and the seal of its manifest."""

    backup_id: str
    sha256: str

    def as_json(self) -> dict[str, Any]:
        return {"backup_id": self.backup_id, "sha256": self.sha256}

    @staticmethod
    def from_json(one: dict[str, Any]) -> "Link":
        return Link(str(one["backup_id"]), str(one["sha256"]))


@dataclass(frozen=True)
class Manifest:
    """A backup set. See docs/backup-format.md for the document; times are aware, in UTC.

    :ivar engine: `scan`, `pitr` or `merge`. :ivar as_of: the nominal time. :ivar consistent: first and last page of the scan.
    :ivar key: name and type of the key's attributes, partition key first.
    :ivar window: of an incremental set; None: the set is full.
    :ivar parents: of an incremental set the one it follows; of a merged set the full one and the increments that were folded.
    """

    location: SetLocation
    table: dict[str, str]
    key: tuple[tuple[str, str], ...]
    engine: str
    as_of: datetime
    consistent: tuple[datetime, datetime]
    started: datetime
    finished: datetime
    content: ContentHash
    buckets: tuple[ContentHash, ...]
    layout: Layout
    columns: dict[str, ColumnFigures]
    rest_rows: int
    segments: tuple[Segment, ...]
    parts: tuple[Part, ...]
    files: tuple[StoredFile, ...]
    run: dict[str, Any]
    seal: str = ""
    window: Window | None = None
    parents: tuple[Link, ...] = ()

    @property
    def link(self) -> Link:
        """How another set names this one."""
        return Link(self.backup_id, self.seal)

    @property
    def uri(self) -> str:
        return self.location.uri

    @property
    def backup_id(self) -> str:
        return self.location.backup_id

    @property
    def items(self) -> int:
        return self.content.count

    @property
    def stored_bytes(self) -> int:
        """Bytes of the parts on S3."""
        return sum(part.size for part in self.parts)

    @property
    def raw_bytes(self) -> int:
        """Bytes of the canonical items."""
        return sum(part.raw_bytes for part in self.parts)

    @property
    def one_moment(self) -> bool:
        """Whether it shows one moment, to within a minute (`consistent`). A scan shows none, however short it was."""
        return self.engine in ("pitr", "merge")

    @property
    def table_id(self) -> str:
        return self.table["id"]

    @property
    def key_names(self) -> list[str]:
        return [name for name, _ in self.key]

    @property
    def keyless(self) -> bool:
        """Whether the key only numbers the rows: those of a SQL table, or of a file, without one."""
        return self.location.shelf.service != "dynamodb" and self.key_names == [ROW]

    def file(self, role: str) -> StoredFile:
        """The file of a role; every manifest that was read has both."""
        return next(one for one in self.files if one.role == role)

    def text(self) -> bytes:
        """The sealed document."""
        document: dict[str, Any] = {"window": self.window.as_json()} if self.window else {}
        if self.parents:
            document["parents"] = [one.as_json() for one in self.parents]
        return seal(
            document
            | {
                "format": CHANGES_FORMAT if self.window else FORMAT,
                "version": {"major": MAJOR, "minor": MINOR},
                "backup_id": self.backup_id,
                "table": self.table,
                "key": [{"name": name, "type": kind} for name, kind in self.key],
                "engine": self.engine,
                "as_of": utc_text(self.as_of),
                "consistent": {"from": utc_text(self.consistent[0]), "to": utc_text(self.consistent[1])},
                "started": utc_text(self.started),
                "finished": utc_text(self.finished),
                "content_hash": str(self.content),
                "buckets": buckets_as_json(list(self.buckets)),
                "layout": self.layout.as_json(),
                "columns": {name: {"nulls": one.nulls, "misfits": one.misfits} for name, one in self.columns.items()},
                "rest_rows": self.rest_rows,
                "segments": [one.as_json() for one in self.segments],
                "parts": [part.as_json() for part in self.parts],
                "files": [
                    {"role": one.role, "name": one.name, "size": one.size, "sha256": one.sha256} for one in self.files
                ],
                "run": self.run,
            }
        )


def parse_manifest(text: bytes, location: SetLocation) -> Manifest:
    """The manifest that lies at `location`, with everything in it checked against everything else in it.

    :raises IntegrityError: for an edited, cut off, foreign, moved or contradictory one, with the reason.
    """
    what = f"the manifest {location.uri}"
    document = unseal(text, what)
    try:
        manifest = _parse(document, location, msgspec.json.decode(text)["sha256"])
        _check(manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"the member {error} is missing" if isinstance(error, KeyError) else str(error)
        raise IntegrityError(f"reading {what}", why, "it was written by another program or version") from None
    return manifest


def _parse(document: dict[str, Any], location: SetLocation, sealed: str) -> Manifest:
    if document["format"] not in (FORMAT, CHANGES_FORMAT):
        raise ValueError(f"its format is {document['format']!r}, not {FORMAT!r}")
    if (document["format"] == CHANGES_FORMAT) != ("window" in document):
        raise ValueError("a set of changes has a window, and no other set has one")
    if document["version"]["major"] != MAJOR:
        raise ValueError(f"its format version {document['version']['major']} is not {MAJOR}, which this release reads")
    if document["backup_id"] != location.backup_id:
        raise ValueError(f"it belongs to the backup {str(document['backup_id'])[:40]!r}, which lies elsewhere")
    return Manifest(
        location=location,
        table={name: str(value) for name, value in document["table"].items()},
        key=tuple((str(one["name"]), str(one["type"])) for one in document["key"]),
        engine=str(document["engine"]),
        as_of=parse_utc(document["as_of"]),
        consistent=(parse_utc(document["consistent"]["from"]), parse_utc(document["consistent"]["to"])),
        started=parse_utc(document["started"]),
        finished=parse_utc(document["finished"]),
        content=ContentHash.parse(document["content_hash"]),
        buckets=tuple(buckets_from_json(document["buckets"])),
        layout=Layout.from_json(document["layout"]),
        columns={
            name: ColumnFigures(int(one["nulls"]), int(one["misfits"])) for name, one in document["columns"].items()
        },
        rest_rows=int(document["rest_rows"]),
        segments=tuple(Segment.from_json(one) for one in document["segments"]),
        parts=tuple(Part.from_json(one) for one in document["parts"]),
        files=tuple(
            StoredFile(str(one["role"]), str(one["name"]), int(one["size"]), str(one["sha256"]))
            for one in document["files"]
        ),
        run=dict(document["run"]),
        seal=sealed,
        window=Window.from_json(document["window"]) if "window" in document else None,
        parents=tuple(Link.from_json(one) for one in document.get("parents", ())),
    )


def _check(manifest: Manifest) -> None:
    """What must agree within one manifest; a writer that broke one of these never publishes."""
    # a DynamoDB table's has two at most, a SQL table's any number
    if not manifest.key or len(set(manifest.key_names)) != len(manifest.key):
        raise ValueError("a key has one attribute or more, each once")
    if manifest.layout.changes != (manifest.window is not None):
        raise ValueError("a set of changes has their columns and a window")
    if manifest.window and manifest.window.since >= manifest.window.to:
        raise ValueError("its window ends before it begins")
    if len(manifest.buckets) != BUCKETS or sum(manifest.buckets, ContentHash()) != manifest.content:
        raise ValueError("the buckets do not add up to the content hash")
    if sum((part.content for part in manifest.parts), ContentHash()) != manifest.content:
        raise ValueError("the parts do not add up to the content hash")
    if any(part.rows != part.content.count for part in manifest.parts):
        raise ValueError("a part's rows differ from its content hash")
    names = [part.name for part in manifest.parts]
    if len(set(names)) != len(names):
        raise ValueError("a part is named twice")
    _check_segments(manifest)
    if sorted(one.role for one in manifest.files) != ["census", "table"]:
        raise ValueError("the settings or the census are not named")
    for file in manifest.files:
        if not is_file_name(file.role, file.name):
            raise ValueError(f"{file.name[:100]!r} is not the name of such a file")


def _check_segments(manifest: Manifest) -> None:
    """A scan's segments: all there, and each with as many rows in its parts as it read items."""
    if manifest.engine != "scan":
        return
    if [one.number for one in manifest.segments] != list(range(len(manifest.segments))) or not manifest.segments:
        raise ValueError("a segment of the scan is missing")
    for segment in manifest.segments:
        rows = sum(part.rows for part in manifest.parts if part.segment == segment.number)
        if rows != segment.items:
            raise ValueError(f"segment {segment.number} read {segment.items:,} items and its parts hold {rows:,}")


def checked(manifest: Manifest) -> Manifest:
    """The manifest, when it agrees with itself: the last guard before publishing.

    :raises IntegrityError: else; nothing was published.
    """
    try:
        _check(manifest)
    except ValueError as error:
        raise IntegrityError(
            f"publishing {manifest.uri}", str(error), "this is a fault of the export; nothing was published"
        ) from None
    return manifest
