"""How an export begins: everything that can be refused is, a sample decides the columns, and the plan is kept."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.catalog import newest
from tablekeep.engine.backups.location import STATE, SetLocation, Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import probe_conditional_writes, put_file
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.budget import Budget, TokenBucket
from tablekeep.engine.dynamodb.budget import read_budget as parse_budget
from tablekeep.engine.dynamodb.scan import ParallelScan
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.dynamodb.wire import Page, WireClient
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.plan import ExportPlan, check_same, load_plan, save_plan
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.progress import Progress

MAX_SEGMENTS = 1_000_000
SAMPLED_SEGMENTS = 4
SEGMENT_BYTES = 256 * 1024 * 1024
"""Table bytes a segment when nobody says how many; DynamoDB's own advice is one segment for 2 GB."""


@dataclass(frozen=True)
class ExportOptions:
    """What a caller asks for; see `export_table`. A later try with other options is another export."""

    table: str
    to: str
    segments: int | None = None
    read_budget: str | float | None = None
    encryption: str | None = None
    owner: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Those that must be the same when an export is gone on with."""
        return {
            "segments": self.segments,
            "read_budget": self.read_budget,
            "encryption": self.encryption,
            "owner": self.owner,
        }


@dataclass(frozen=True)
class Ready:
    """A table and a bucket that were looked at: nothing speaks against an export."""

    options: ExportOptions
    shelf: Shelf
    store: S3Store
    settings: TableSettings
    budget: Budget | None


@dataclass
class Begun:
    """An export that was begun, now or earlier.

    :ivar published: the manifest, when an earlier try has finished already. :ivar first_pages: read for the sample, by segment.
    """

    store: Store
    location: SetLocation
    plan: ExportPlan | None = None
    published: Manifest | None = None
    first_pages: dict[int, Page] = field(default_factory=dict)
    budget: TokenBucket | None = None


def segment_count(size_bytes: int, at_least: int = 1) -> int:
    """Segments for a table of that size, when nobody says how many."""
    return max(at_least, min(MAX_SEGMENTS, size_bytes // SEGMENT_BYTES + 1))


def get_ready(clients: SessionClients, clock: Clock, options: ExportOptions) -> Ready:
    """Looks at table, bucket and options; writes the probe object alone.

    :raises BadInputError: for whatever makes the export impossible.
    """
    table, segments, read_budget = options.table, options.segments, options.read_budget
    check_table_name(table)
    bucket, root = parse_s3(options.to)
    if segments is not None and not 1 <= segments <= MAX_SEGMENTS:
        raise BadInputError(f"exporting the table {table}", f"{segments} segments are asked for", "give 1 to 1,000,000")
    settings = read_settings(clients, table, clock=clock)
    allowed = None if read_budget is None else parse_budget(settings, read_budget)
    store = S3Store(clients, bucket, owner=options.owner, encryption=options.encryption)
    store.check()
    probe_conditional_writes(store, root)
    shelf = Shelf(bucket, root, settings.account, settings.region, "dynamodb", table)
    return Ready(options, shelf, store, settings, allowed)


def unfinished(store: Store, shelf: Shelf) -> str:
    """The id of the newest export of the table that was begun and not published.

    :raises BadInputError: when there is none.
    """
    for folder in sorted(store.folders(f"{shelf.prefix}/"), reverse=True):
        if folder.startswith("_"):
            continue
        location = shelf.set(folder)
        if store.head(location.manifest_key) is None and next(store.list(location.key(f"{STATE}/")), None) is not None:
            return folder
    raise BadInputError(
        f"looking for an unfinished export of the table {shelf.name}", "there is none", "export without --resume"
    )


def begin(
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    ready: Ready,
    location: SetLocation,
    *,
    at_least: int = 1,
    as_of: datetime | None = None,
    run: str,
) -> Begun:
    """The plan: an earlier try's, or a new one from a sample of the table. The lease must be held.

    :param at_least: segments, when nobody says how many.
    :raises BadInputError: when an earlier try had other options, or the table was made anew since.
    """
    store, settings, options, allowed = ready.store, ready.settings, ready.options, ready.budget
    begun = Begun(store, location, budget=TokenBucket(allowed.rcu, clock) if allowed else None)
    found = load_plan(store, location)
    if found is not None:
        check_same(found, options.as_json(), settings.table_id)
        progress.note(f"going on with the export {location.backup_id}, begun {utc_text(found.started)}")
        begun.plan = found
        return begun
    started = clock.now()
    before = newest(store, location.shelf, table_id=settings.table_id)
    count = options.segments or segment_count(settings.size_bytes, at_least)
    if allowed:
        progress.note(f"reading at most {allowed.explanation}")
    key = tuple((one.name, one.type) for one in settings.key_schema)
    layout = _sampled(clients, clock, progress, settings, count, before.layout if before else None, begun)
    file = put_file(store, location, "table", settings.as_document(), int(clock.token(4), 16))
    begun.plan = save_plan(
        store,
        ExportPlan(
            location, options.as_json(), {"name": settings.table, "arn": settings.arn, "id": settings.table_id}, key, count, layout, file,
            dict(settings.not_known), as_of or started, started, allowed.rcu if allowed else None, settings.item_count, run,
            before.layout.schema if before else 0,
        ),
    )  # fmt: skip
    return begun


def _sampled(
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    settings: TableSettings,
    count: int,
    before: Layout | None,
    begun: Begun,
) -> Layout:
    """The columns, from the first pages of some segments and the columns of the set before."""
    scan = ParallelScan(WireClient(clients), settings.table, count, clock=clock, budget=begun.budget, progress=progress)
    for segment in range(min(SAMPLED_SEGMENTS, count)):
        begun.first_pages[segment] = scan.first_page(segment)
    sample = Census.of(raw for page in begun.first_pages.values() for raw in page.items)
    return decide(sample, [(one.name, one.type) for one in settings.key_schema], before)
