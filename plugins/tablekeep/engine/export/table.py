"""Exports a table by parallel scan to a backup set."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.catalog import newest
from tablekeep.engine.backups.location import SetLocation, Shelf, new_backup_id
from tablekeep.engine.backups.manifest import ColumnFigures, Manifest, Part, Segment
from tablekeep.engine.backups.parts import part_items
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup, probe_conditional_writes, publish, put_file
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.budget import read_budget as parse_budget
from tablekeep.engine.dynamodb.scan import ParallelScan, ScanReport
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.dynamodb.wire import Page, WireClient
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.export.segments import SegmentWriter
from tablekeep.engine.items.canonical import canonical_attributes, parse_item
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.leases import Lease
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.progress import Progress

MAX_SEGMENTS = 1_000_000
SAMPLED_SEGMENTS = 4
SEGMENT_BYTES = 256 * 1024 * 1024
"""Table bytes a segment when nobody says how many; DynamoDB's own advice is one segment for 2 GB."""


@dataclass(frozen=True)
class ExportReport:
    """What an export made.

    :ivar backup: the manifest's URI. :ivar bytes: of the parts on S3. :ivar raw_bytes: of the canonical items.
    :ivar consumed_rcu: read capacity units, as the service counted them.
    :ivar reused: an earlier try with the same backup id had published it already; nothing was read now.
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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def export_table(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    table: str,
    to: str,
    segments: int | None = None,
    read_budget: str | float | None = None,
    as_of: datetime | None = None,
    backup_id: str | None = None,
    encryption: str | None = None,
    owner: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """Backs a table up to `to` (`s3://bucket/prefix`).

    :param segments: 1 … 1,000,000; chosen by the table's size when None.
    :param read_budget: read capacity units a second over all segments, or a share of the table's capacity such as `"25%"`.
    :param backup_id: given by a caller that must not make a second set when it is tried again: a set of that id is the result.
    :raises BadInputError: before anything was written: unknown table, missing bucket, impossible options.
    :raises TransientError: while another export of the table runs; names its holder.
    :raises IntegrityError: when what was read, written and read back differ; no backup exists then.
    """
    check_table_name(table)
    bucket, root = parse_s3(to)
    if segments is not None and not 1 <= segments <= MAX_SEGMENTS:
        raise BadInputError(f"exporting the table {table}", f"{segments} segments are asked for", "give 1 to 1,000,000")
    began, started = clock.monotonic(), clock.now()
    settings = read_settings(clients, table, clock=clock)
    allowed = None if read_budget is None else parse_budget(settings, read_budget)
    store = S3Store(clients, bucket, owner=owner, encryption=encryption)
    store.check()
    probe_conditional_writes(store, root)
    shelf = Shelf(bucket, root, settings.account, settings.region, "dynamodb", table)
    location = shelf.set(backup_id or new_backup_id(as_of or started, clock))
    if backup_id and store.head(location.manifest_key) is not None:
        return replace(_report(open_backup(clients, location.uri, owner=owner).manifest), reused=True)
    with Lease(store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError) as lease:
        before = newest(store, shelf, table_id=settings.table_id)
        count = segments or max(1, min(1000, settings.size_bytes // SEGMENT_BYTES + 1))
        if allowed:
            progress.note(f"reading at most {allowed.explanation}")
        budget = TokenBucket(allowed.rcu, clock) if allowed else None
        scan = ParallelScan(
            WireClient(clients), table, count, clock=clock, budget=budget, progress=progress, table_id=settings.table_id
        )
        job = _Job(
            store, location, settings, scan, before.layout if before else None, progress, int(clock.token(4), 16)
        )
        try:
            read = job.scan()
            manifest = job.manifest(read, started, clock, as_of or started, actor, run)
            progress.phase("publish")
            lease.check()
            published = publish(store, manifest)
        except BaseException:
            job.abort()
            raise
    return replace(
        _report(published),
        seconds=round(clock.monotonic() - began, 3),
        segments=count,
        consumed_rcu=round(read.consumed, 1),
    )


def _report(made: Manifest) -> ExportReport:
    """What a published manifest says of itself."""
    return ExportReport(
        made.uri, made.backup_id, str(made.table["name"]), made.items, made.stored_bytes, made.raw_bytes, str(made.content),
        round((made.finished - made.started).total_seconds(), 3), len(made.segments), len(made.parts), utc_text(made.as_of),
        utc_text(made.consistent[0]), utc_text(made.consistent[1]), 0.0,
    )  # fmt: skip


class _Job:
    """The state of one export."""

    def __init__(
        self,
        store: Store,
        location: SetLocation,
        settings: TableSettings,
        scan: ParallelScan,
        previous: Layout | None,
        progress: Progress,
        attempt: int,
    ) -> None:
        self._store, self._location, self._settings, self._scan = store, location, settings, scan
        self._previous, self._progress, self._attempt = previous, progress, attempt
        self._key = [(one.name, one.type) for one in settings.key_schema]
        self._keys = list(settings.key_names)
        self._writers: dict[int, SegmentWriter] = {}
        self.layout: Layout | None = None

    def scan(self) -> ScanReport:
        """Samples, decides the columns, reads every segment to its end and writes its parts."""
        self._progress.phase("scan", self._settings.item_count or None)
        sample = Census()
        for segment in range(min(SAMPLED_SEGMENTS, self._scan.segments)):
            for raw in self._scan.first_page(segment).items:
                sample.add(canonical_attributes(parse_item(raw)))
        self.layout = decide(sample, self._key, self._previous)
        self._writers = {
            number: self._writer(number, self._attempt, self.layout) for number in range(self._scan.segments)
        }
        report = self._scan.run(self._page, on_end=self._finish)
        for read in report.segments:
            written = sum(part.rows for part in self._writers[read.segment].parts)
            if written != read.items:
                raise IntegrityError(
                    f"exporting the table {self._settings.table}",
                    f"segment {read.segment} read {read.items:,} items and wrote {written:,}",
                )
        if any(writer.encoder.numbers_missed for writer in self._writers.values()):
            self._repair()
        return report

    def _writer(self, segment: int, attempt: int, layout: Layout) -> SegmentWriter:
        return SegmentWriter(self._store, self._location, segment, attempt, Encoder(layout, self._keys))

    def _page(self, segment: int, page: Page) -> None:
        self._writers[segment].add(page.items)

    def _finish(self, segment: int) -> None:
        self._writers[segment].finish()

    def _repair(self) -> None:
        """Rewrites all parts under columns that hold every number, so that plain SQL on a column is right."""
        census = Census()
        for writer in self._writers.values():
            census.merge(writer.encoder.census)
        number = self._previous.schema + 1 if self._previous else 1
        wider = replace(decide(census, self._key, self.layout), schema=number)
        self._progress.phase("rewrite", census.items)
        self._progress.note(
            "some numbers do not fit the columns that the sample suggested; the parts are rewritten with wider ones"
        )
        for segment, old in sorted(self._writers.items()):
            writer = self._writers[segment] = self._writer(segment, self._attempt + 1, wider)
            view = _PartView(self._location, self.layout)  # type: ignore[arg-type]
            for part in old.parts:
                for items in part_items(self._store, view, part):  # type: ignore[arg-type]
                    writer.add(items)
                    self._progress.advance(len(items))
            writer.finish()
            for part in old.parts:
                self._store.delete(self._location.key(part.name))
        self.layout = wider

    def manifest(
        self, read: ScanReport, started: datetime, clock: Clock, as_of: datetime, actor: str, run: str
    ) -> Manifest:
        """Writes table.json and census.json, and puts everything together."""
        assert self.layout is not None
        whole = Encoder(self.layout, self._keys)
        parts: list[Part] = []
        for _, writer in sorted(self._writers.items()):
            whole.merge(writer.encoder)
            parts += writer.parts
        settings = self._settings
        files = (
            put_file(self._store, self._location, "table", settings.as_document(), self._attempt),
            put_file(self._store, self._location, "census", whole.census.as_json(), self._attempt),
        )
        return Manifest(
            location=self._location,
            table={"name": settings.table, "arn": settings.arn, "id": settings.table_id},
            key=tuple(self._key),
            engine="scan",
            as_of=as_of,
            consistent=(read.started_at, read.ended_at),
            started=started,
            finished=clock.now(),
            content=whole.hasher.whole,
            buckets=tuple(whole.hasher.buckets),
            layout=self.layout,
            columns={name: ColumnFigures(one.nulls, one.misfits) for name, one in whole.counts.items()},
            rest_rows=whole.rest_rows,
            segments=tuple(
                Segment(one.segment, one.pages, one.items, utc_text(one.started_at), utc_text(one.ended_at))
                for one in read.segments
            ),
            parts=tuple(parts),
            files=files,
            run={"actor": actor, "id": run, "not_known": dict(settings.not_known)},
        )

    def abort(self) -> None:
        """Gives up parts that are being written; finished ones stay as orphans, named by nothing."""
        for writer in self._writers.values():
            try:
                writer.abort()
            except Exception as error:
                self._progress.note(f"an upload could not be given up: {error}")


@dataclass(frozen=True)
class _PartView:
    """What `part_items` needs to know of a set that has no manifest yet."""

    location: SetLocation
    layout: Layout

    @property
    def backup_id(self) -> str:
        return self.location.backup_id
