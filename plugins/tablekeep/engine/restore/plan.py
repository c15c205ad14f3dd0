"""What a restore would do, looked at before anything is made. Whoever approves it approves this text: it has a hash."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec

from tablekeep.engine.backups.catalog import newest_verified, verifications
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import Kind, read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.reapply import plan_settings
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.census import Census
from tablekeep.engine.prices import Prices
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.count import count_items
from tablekeep.engine.restore.indexes import IndexPlan, plan_indexes
from tablekeep.engine.restore.kept import KeptBackup, apart, find_kept, nearest_set, same_moment, table_arn_of
from tablekeep.engine.restore.paths import choose_path
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.selection import Selection, absent_text, check_attributes
from tablekeep.engine.restore.source import ChainSource, SetSource, Source, chain_until, settings_of
from tablekeep.engine.restore.targets import Target, check_bulk, look_at_target

WRITE_UNIT = 1024
"""One write capacity unit is one write a second of an item of up to 1 KB (DynamoDB, "Read and write capacity")."""
VOLATILE = ("hash", "verified", "ttl_expired", "items_from", "seconds", "seconds_from", "notes")
"""Members that change while nothing of what will be done does."""
COUNTED = ("items", "exact", "content")
"""Of the state of a past time these are no part of the hash either: the sets' seals decide about them, counted or not."""


@dataclass(frozen=True)
class RestorePlan:
    """A restore that may be done.

    :ivar backup: the full set; `increments`: those folded into it, in their order; `seals`: of all these manifests.
    :ivar verified: when and how the newest of them was verified last, and whether it was found good; None: never.
    :ivar as_of: the state that will be there. :ivar asked: the time that was asked for.
    :ivar target_id: of the existing table. :ivar path: how items are written; `path_why`: why so.
    :ivar selection: what is wanted of it; None: everything. :ivar exact: `items` is the number, else it is the full set's.
    :ivar items_from: how it was found. :ivar content: the content hash of what will be restored, where it is known before it is read.
    :ivar raw_bytes: of the items' canonical text, about what DynamoDB will store; of a past time the full set's.
    :ivar write_units: at least so many write request units, before indexes; an estimate from the mean item.
    :ivar indexes: global secondary indexes; `indexes_with`: those with which the table is made, the others come one after the other when
        the items are there; `indexes_why`: by index, why then.
    :ivar usd: of the path, writes on demand; a new table has the source's billing, and provisioned capacity is paid by the hour.
    :ivar settings: that will be set. :ivar not_restored: what the table will lack, why, and the command for it.
    :ivar ttl_attribute: by which items expire; `ttl_expired`: items that have expired by now; `ttl_on`: whether expiry is switched on.
    :ivar source_backup: with the path `backup`: the `KeptBackup` that AWS restores, and `same_moment`: whether the set shows its moment,
        so that a difference is a failure; else it is told, and the restore is UNVERIFIED.
    :ivar seconds: how long it may take, reckoned from `seconds_from`; None when nothing is known. :ivar notes: to be read before.
    """

    backup: str
    increments: tuple[str, ...]
    seals: tuple[str, ...]
    verified: dict[str, Any] | None
    source_table: str
    as_of: str
    asked: str | None
    to_table: str
    account: str
    region: str
    mode: str
    target_id: str | None
    path: str
    path_why: str
    selection: dict[str, Any] | None
    items: int
    exact: bool
    items_from: str
    content: str | None
    raw_bytes: int
    write_units: int
    max_wcu: float | None
    usd: float
    prices_as_of: str
    key: tuple[str, ...]
    indexes: tuple[str, ...]
    indexes_with: tuple[str, ...]
    indexes_why: dict[str, str]
    settings: tuple[str, ...]
    not_restored: tuple[dict[str, str], ...]
    ttl_attribute: str | None
    ttl_expired: int | None
    ttl_on: bool
    seconds: float | None
    seconds_from: str
    notes: tuple[str, ...]
    hash: str = ""
    source_backup: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(document: dict[str, Any]) -> "RestorePlan":
        """:raises TypeError: for a document of another version."""
        fields: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in document.items()}
        return RestorePlan(**fields)

    def check_hash(self, wanted: str | None) -> None:
        """:raises BadInputError: when another plan was approved; its first 16 digits will do."""
        if wanted is not None and not (len(wanted) >= 16 and self.hash.startswith(wanted)):
            raise BadInputError(
                f"restoring to the table {self.to_table}",
                f"the plan is another one than was approved: {self.hash[:12]} instead of {wanted[:12]}",
                "look at the plan again with `tablekeep plan restore`, and approve that one",
            )

    def sealed(self) -> "RestorePlan":
        """With its hash: SHA-256 over what will be done."""
        left_out = VOLATILE + (COUNTED if self.increments and self.selection is None else ())
        facts = {name: one for name, one in self.as_dict().items() if name not in left_out}
        return replace(self, hash=hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest())


@dataclass(frozen=True)
class Prepared:
    """A plan, and what it was made of."""

    plan: RestorePlan
    source: Source
    selection: Selection
    settings: TableSettings
    target: Target


def write_units(items: int, raw_bytes: int) -> int:
    """About how many write request units it takes to write so many items, before indexes."""
    mean = raw_bytes / items if items else 0
    return int(items * max(1, -(-mean // WRITE_UNIT)))


def open_source(
    request: RestoreRequest, clients: SessionClients, progress: Progress, *, target: SessionClients | None = None
) -> Source:
    """The items of the request's backup.

    :param clients: for the bucket. :param target: of the account and Region of the new table, when they are others.
    :raises BadInputError: when there is none. :raises IntegrityError: when its manifest is not whole.
    """
    if request.as_of is not None:
        store, found = chain_until(clients, request.where_backups_lie, request.as_of)
        return ChainSource(store, found, progress)
    backup = request.backup
    if backup is None:
        shelf = request.where_backups_lie
        store, manifest = S3Store(clients, shelf.bucket), None
        if request.path == "backup":
            what = f"restoring to the table {request.to_table}"
            kept = find_kept(target or clients, table_arn_of(shelf), request.backup_arn, request.backup_role, what)
            manifest = nearest_set(store, shelf, kept.moment, kept.table_id, what)
        else:
            manifest = newest_verified(store, shelf)
        if manifest is None:
            raise BadInputError(
                f"restoring to the table {request.to_table}",
                f"no backup of {shelf.name} is verified",
                "name one, or verify one with level full",
            )
        backup = manifest.uri
    return SetSource(open_backup(clients, backup), request.parts)


def wanted(request: RestoreRequest, source: Source) -> Selection:
    """What the request wants of a source. :raises BadInputError: for what cannot be read, or an attribute that no item has."""
    selection = request.selection(source.full.key)
    if selection.conditions:
        census = Census()
        for one in source.sets:  # increments may have attributes of their own
            census.merge(Census.from_json(BackupSet(source.store, one).document("census")))
        check_attributes(selection, census.as_json(), f"selecting items of {source.manifest.uri}")
    return selection


def plan_restore(
    request: RestoreRequest,
    *,
    clients: SessionClients,
    backup_clients: SessionClients | None = None,
    clock: Clock,
    progress: Progress,
    prices: Prices,
    count: bool | None = None,
    source: Source | None = None,
) -> Prepared:
    """Looks, and changes nothing.

    :param clients: of the target's account and Region. :param backup_clients: for the bucket, when it belongs to another account.
    :param count: items, and those that have expired: see `count_items`.
    :param source: of the request, where it is open already.
    :raises BadInputError: when the restore may not be done as asked, or costs more than `request.max_usd`.
    """
    request.check()
    source = source or open_source(request, backup_clients or clients, progress, target=clients)
    settings = settings_of(source)
    target = look_at_target(clients, request, settings)
    selection = wanted(request, source)
    # what the service restores is proved by what it should be, and increments tell that only when they are read
    read = request.path == "pitr" and len(source.sets) > 1
    counted = count_items(source, selection, settings.ttl_attribute, clock, progress, count, read=read)
    # of the state of a past time the full set's size decides and is shown: whoever carries the plan out does not count once more
    chain = len(source.sets) > 1 and selection.everything
    raw_bytes = source.full.raw_bytes if chain else counted.raw_bytes
    new = request.mode == "new"
    to_be_set = plan_settings(settings, target.as_created(), ttl=request.ttl, skip=request.skip_settings)
    units = write_units(source.full.items if chain else counted.items, raw_bytes)
    kept = None
    if request.path == "backup":
        what = f"restoring to the table {request.to_table}"
        kept = find_kept(clients, settings.arn, request.backup_arn, request.backup_role, what)
    if request.path == "bulk-put":
        check_bulk(clients, request, target, request.max_usd is not None and prices.bulk_put_gb is None)
    path = choose_path(request, source, settings, target, raw_bytes, units, prices, kept)
    if over := prices.over_limit(path.usd, request.max_usd):
        raise BadInputError(
            f"restoring to the table {request.to_table}", over, "raise the limit, or restore a smaller backup"
        )
    indexes = plan_indexes(settings, source, path.name) if new else IndexPlan()
    verified = _verified(source)
    seconds, seconds_from = _predicted(source, counted.items, units, request.max_wcu)
    newest = source.manifest
    plan = RestorePlan(
        backup=source.full.uri,
        increments=tuple(one.uri for one in source.sets[1:]),
        seals=tuple(one.seal for one in source.sets),
        verified=verified,
        source_table=str(newest.table["name"]),
        as_of=utc_text(newest.as_of),
        asked=utc_text(request.as_of) if request.as_of else None,
        to_table=request.to_table,
        account=target.account,
        region=target.region,
        mode=request.mode,
        target_id=target.there.table_id if target.there else None,
        path=path.name,
        path_why=path.why,
        selection=selection.as_dict(),
        items=counted.items,
        exact=counted.exact,
        items_from=counted.how,
        content=counted.content,
        raw_bytes=raw_bytes,
        write_units=units if path.writes else 0,
        max_wcu=request.max_wcu,
        usd=path.usd,
        prices_as_of=prices.as_of,
        key=tuple(source.full.key_names),
        indexes=settings.global_indexes if new else (),
        indexes_with=indexes.at_once,
        indexes_why=indexes.why,
        settings=tuple(step.name for step in to_be_set.steps) if new else (),
        not_restored=tuple(one.as_dict() for one in to_be_set.missing) if new else (),
        ttl_attribute=settings.ttl_attribute,
        ttl_expired=counted.expired,
        ttl_on=request.ttl,
        seconds=seconds,
        seconds_from=seconds_from,
        notes=(*target.notes, *_notes(source, verified, request), *_absent(selection, counted.items), *_proof_of(kept, newest)),
        source_backup=kept.as_dict() | {"same_moment": same_moment(newest, kept.moment)} if kept else None,
    )  # fmt: skip
    return Prepared(plan.sealed(), source, selection, settings, target)


def _verified(source: Source) -> dict[str, Any] | None:
    """When and how the newest set was verified last."""
    newest = source.manifest
    record = verifications(source.store, newest.location.shelf).get(newest.backup_id)
    return {"at": record["at"], "level": record["result"]["level"], "ok": record["result"]["ok"]} if record else None


def _notes(source: Source, verified: dict[str, Any] | None, request: RestoreRequest) -> Iterable[str]:
    if verified is None:
        yield "the backup was never verified; its parts are checked while they are read"
    elif not verified["ok"]:
        yield f"a verification found the backup WRONG ({verified['at']}): read its record before you rely on it"
    if request.as_of is not None and source.manifest.as_of < request.as_of:
        yield f"nothing is known of the time between {utc_text(source.manifest.as_of)} and {utc_text(request.as_of)}"
    if len(source.sets) > 1:
        yield f"{len(source.sets) - 1} increments are folded into the full backup of {utc_text(source.full.as_of)}"


def _proof_of(kept: KeptBackup | None, manifest: Manifest) -> Iterable[str]:
    if kept is not None:
        yield f"{kept.kind} {kept.arn} of {kept.at}: the backup set that it is compared with is {apart(manifest, kept.moment)}"
        if not same_moment(manifest, kept.moment):
            yield "if they differ, nothing is proved: the differences are told, and the restore ends UNVERIFIED"


def _absent(selection: Selection, items: int) -> Iterable[str]:
    if text := absent_text(selection.as_dict(), items):
        yield text


def _predicted(source: Source, items: int, units: int, max_wcu: float | None) -> tuple[float | None, str]:
    """Seconds, from the last drill or restore of this table; at least what the write budget needs."""
    least = units / max_wcu if max_wcu else 0.0
    last = last_measured(source.store, source.manifest)
    if last is None:
        return (
            round(least, 1) if max_wcu else None
        ), "the write budget" if max_wcu else "no drill or restore has measured it yet"
    seconds = predict(last["phases"], last["items"], items)
    return round(max(seconds, least), 1), f"the {last['kind']} of {last['at'][:16]}Z with {last['items']:,} items"


def predict(phases: dict[str, float], measured_items: int, items: int) -> float:
    """Seconds for `items`, from the phases of a run with `measured_items`: staging, loading, proof and indexes grow with the items."""
    grows = items / measured_items if measured_items else 1.0
    return sum(
        seconds * (grows if name in ("stage", "load", "proof", "indexes") else 1.0) for name, seconds in phases.items()
    )


def last_measured(store: Any, manifest: Manifest) -> dict[str, Any] | None:
    """The last whole restore of the table that was proved: `{"kind", "at", "items", "phases"}`."""
    found: dict[str, Any] | None = None
    kinds: tuple[Kind, ...] = ("restore", "drill")
    for kind in kinds:
        for record in read_records(store, manifest.location.shelf, kind):
            result = record["result"]
            whole = result.get("proved") and not result.get("selection") and result.get("phases", {}).get("load")
            if whole and (found is None or record["at"] > found["at"]):
                found = {"kind": kind, "at": record["at"], "items": result["items"], "phases": result["phases"]}
    return found
