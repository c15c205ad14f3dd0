"""Snapshots that we make: named and marked, with a record of the instance's settings and of what its tables held."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import read_records, write_record
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.checkpoints import Checkpoint
from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.names import parse_s3
from tablekeep.engine.prices import Prices, load_prices
from tablekeep.engine.progress import NoProgress, Progress
from tablekeep.engine.rds.instances.contents import Contents, Login, check_engine, keep_marker, read_contents
from tablekeep.engine.rds.instances.costs import copy_cost
from tablekeep.engine.rds.instances.created import resource_of
from tablekeep.engine.rds.instances.service import (
    API,
    Awaited,
    Description,
    Family,
    Thing,
    Wait,
    as_tags,
    check_identifier,
    describe,
    every,
    family_of,
    need,
    tags_of,
)

SNAPSHOT_TAG = "tablekeep:snapshot-run"
"""On a snapshot of ours: the run that made it. A restore takes a snapshot's tags over when it is given none, so this is never the tag by
which an instance is known as ours."""
PREFIX = "tablekeep-"
SERVICE = "rds"


def shelf_of(records: str, account: str, region: str, database: str) -> Shelf:
    """Where the records of an instance or cluster lie.

    :param records: `s3://bucket/prefix`. :param region: of the instance.
    """
    bucket, root = parse_s3(records)
    return Shelf(bucket, root, account, region, SERVICE, database)


def new_name(database: str, clock: Clock) -> str:
    """`tablekeep-shop-20261123t020000-4f9c2a1b`: within the 63 characters that a cluster's snapshot may have."""
    return f"{PREFIX}{database[:25].strip('-')}-{clock.now():%Y%m%dt%H%M%S}-{clock.token(4)}"


@dataclass(frozen=True)
class Reading:
    """How the contents are looked at.

    :ivar login: of the database; the endpoints are the instances' own. :ivar databases: to be read; the login's own when empty.
    :ivar marker: `schema.table` in the login's database, in which a row is left before the snapshot. :ivar exclude: tables left out.
    """

    login: Login
    databases: tuple[str, ...] = ()
    marker: str | None = None
    exclude: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.databases or (self.login.database,)

    @property
    def left_out(self) -> tuple[str, ...]:
        return (*self.exclude, *([self.marker] if self.marker else []))


@dataclass
class SnapshotReport:
    """A snapshot, as its record has it.

    :ivar database: the instance's or cluster's name; `resource`: its id. :ivar at: the time whose state it holds, as RDS tells it.
    :ivar settings: description of the instance or cluster; `members`: of a cluster's instances.
    :ivar before, after: what its databases held before and after, by name; empty without a login.
    :ivar marker: `{"table", "token", "at"}` of the row that was left before it. :ivar notes: what could not be done.
    """

    snapshot: str
    arn: str
    family: Family
    database: str
    resource: str
    engine: str
    at: str
    gigabytes: int
    encrypted: bool
    settings: dict[str, Any]
    members: list[dict[str, Any]] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    marker: dict[str, str] | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> "SnapshotReport":
        """:raises TypeError: for a document of another version."""
        return SnapshotReport(**document)

    def looks(self) -> dict[str, tuple[Contents, Contents]]:
        """By database, what was there before and after."""
        return {
            name: (Contents.from_dict(one), Contents.from_dict(self.after[name]))
            for name, one in self.before.items() if name in self.after
        }  # fmt: skip


def plain(value: Any) -> Any:
    """A description as JSON: times as text."""
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items() if name != "ResponseMetadata"}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def take_snapshot(
    database: str,
    records: str,
    *,
    name: str,
    reading: Reading | None,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    actor: str,
    run: str,
    wait: Wait,
) -> SnapshotReport:
    """Makes a snapshot and leaves a record of it. Called again with its name it goes on where it was.

    :param records: the root under which records lie, `s3://bucket/prefix`. :param name: of the snapshot, see `new_name`.
    :param reading: how to look at the contents before and after; without it a drill can compare nothing.
    :raises BadInputError: when the instance is not there or not available, or a snapshot of this name is not ours.
    """
    check_identifier(name, "the snapshot", 255)
    what = f"making a snapshot of {database}"
    shelf = shelf_of(records, clients.account(), clients.region, database)
    store = S3Store(clients, shelf.bucket)
    store.check()
    state = Checkpoint(store, f"{shelf.prefix}/_snapshots/{name}.json", AlreadyExistsError)
    known = state.load() or {"began": utc_text(clock.now())}
    if known.get("done"):
        return SnapshotReport.from_dict(known["done"])
    taker = _Taker(database, name, reading, clients, clock, progress, run, what)
    taker.begin(state, known)
    wait(Awaited(taker.thing, name, clients.region))
    report = taker.finish(known)
    report.seconds = round((clock.now() - datetime.fromisoformat(known["began"])).total_seconds(), 3)
    write_record(store, shelf, "snapshot", report.as_dict(), backup_id=name, actor=actor, run=run, clock=clock)
    state.save(known | {"done": report.as_dict()})
    return report


class _Taker:
    def __init__(
        self, database: str, name: str, reading: Reading | None, clients: SessionClients, clock: Clock, progress: Progress,
        run: str, what: str,
    ) -> None:  # fmt: skip
        self._database, self._name, self._reading = database, name, reading
        self._clients, self._clock, self._progress, self._run, self._what = clients, clock, progress, run, what
        self.family = family_of(clients, database, what)
        self.thing: Thing = "instance-snapshot" if self.family == "instance" else "cluster-snapshot"

    def begin(self, state: Checkpoint, known: dict[str, Any]) -> None:
        """Looks at the contents, leaves the marker, and asks RDS for the snapshot, each unless an earlier try has done it."""
        if self._there():
            return
        source = need(self._clients, self.family, self._database, self._what)
        status = source[API[self.family].status]
        if status not in ("available", "storage-optimization"):
            raise TransientError(
                self._what, f"it is {status}", "wait until it is available; a stopped one has to be started"
            )
        if self._reading is not None and "before" not in known:
            check_engine(source["Engine"], self._what)
            known["before"] = self._look(source, None)
            known["marker"], known["notes"] = self._mark(source)
            state.save(known)
        self._progress.phase("snapshot")
        self._ask(source)

    def _there(self) -> bool:
        """Whether the snapshot was asked for already. :raises BadInputError: when one of this name is another's."""
        there = describe(self._clients, self.thing, self._name)
        if there is None:
            return False
        if tags_of(there).get(SNAPSHOT_TAG) != self._run:
            raise BadInputError(
                self._what, f"there is a snapshot {self._name} that this run did not make", "give another name"
            )
        return True

    def _ask(self, source: Description) -> None:
        words, client = API[self.thing], self._clients.client("rds")
        given = {f"{API[self.family].name}Identifier": self._database, f"{words.name}Identifier": self._name}
        tags = {name: one for name, one in tags_of(source).items() if not name.startswith(("aws:", "tablekeep:"))}
        try:
            getattr(client, f"create_{words.method}")(**given, Tags=as_tags({**tags, SNAPSHOT_TAG: self._run}))
        except botocore.exceptions.ClientError as error:
            if (
                error_code(error) in ("DBSnapshotAlreadyExists", "DBClusterSnapshotAlreadyExistsFault")
                and self._there()
            ):
                return  # the answer to the first call was lost
            raise translated_quota(error, self._what) from error
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, self._what) from error

    def _look(self, source: Description, before: Mapping[str, Any] | None) -> dict[str, Any]:
        assert self._reading is not None
        reading, endpoint = self._reading, endpoint_of(source, self.family)
        return {
            name: read_contents(
                reading.login.in_database(name), endpoint, progress=self._progress, exclude=reading.left_out, count_first=before is None,
                horizon=before[name]["horizon"] if before else None,
            ).as_dict()
            for name in reading.names
        }  # fmt: skip

    def _mark(self, source: Description) -> tuple[dict[str, str] | None, list[str]]:
        assert self._reading is not None
        if self._reading.marker is None:
            return None, []
        token = self._clock.token(16)
        marked = utc_text(self._clock.now())
        why = keep_marker(self._reading.login, endpoint_of(source, self.family), self._reading.marker, token)
        if why:
            return None, [f"no marker was left: {why}"]
        return {"table": self._reading.marker, "token": token, "at": marked}, []

    def finish(self, known: dict[str, Any]) -> SnapshotReport:
        """Looks again, and puts together what the record tells."""
        source = need(self._clients, self.family, self._database, self._what)
        there = need(self._clients, self.thing, self._name, self._what)
        before = known.get("before") or {}
        members = [
            plain(need(self._clients, "instance", one["DBInstanceIdentifier"], self._what))
            for one in source.get("DBClusterMembers") or []
        ]
        return SnapshotReport(
            self._name,
            str(there[f"{API[self.thing].name}Arn"]),
            self.family,
            self._database,
            resource_of(source, self.family),
            str(source["Engine"]),
            utc_text(there["SnapshotCreateTime"]),
            int(there.get("AllocatedStorage") or 0),
            bool(there.get("Encrypted", there.get("StorageEncrypted"))),
            plain(source),
            members,
            before,
            self._look(source, before) if before else {},
            known.get("marker"),
            known.get("notes") or [],
        )


def endpoint_of(description: Description, family: Family) -> dict[str, Any]:
    """`{"Address", "Port"}`. :raises TransientError: while there is none."""
    if family == "instance":
        endpoint: dict[str, Any] = description.get("Endpoint") or {}
    else:
        endpoint = {"Address": description.get("Endpoint"), "Port": description.get("Port")}
    if not endpoint.get("Address"):
        raise TransientError("finding the endpoint", "RDS names none yet", "wait until it is available")
    return endpoint


def translated_quota(error: botocore.exceptions.ClientError, what: str) -> Exception:
    """Limits on snapshots pass when others are done or deleted."""
    if error_code(error) == "SnapshotQuotaExceeded":
        message = error.response["Error"].get("Message", "")
        return TransientError(
            what, f"SnapshotQuotaExceeded: {message}", "wait until other copies are done, or delete old snapshots"
        )
    return translate(error, what)


def own_records(store: Store, shelf: Shelf) -> list[SnapshotReport]:
    """The records of an instance's snapshots, newest first."""
    found = [SnapshotReport.from_dict(record["result"]) for record in read_records(store, shelf, "snapshot")]
    return sorted(found, key=lambda one: one.at, reverse=True)


@dataclass(frozen=True)
class Listed:
    """One snapshot, as `tablekeep rds list` shows it.

    :ivar kind: `ours`, `automated`, `manual`, `awsbackup` or `shared`. :ivar compared: there is a record of what was in it.
    """

    snapshot: str
    region: str
    kind: str
    at: str
    status: str
    gigabytes: int
    encrypted: bool
    source: str
    compared: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def is_ours(description: Description, name: str) -> bool:
    """Whether a snapshot was made, or copied, by us: it has our tag and our name. A copy that others made with its tags has only one."""
    return name.startswith(PREFIX) and SNAPSHOT_TAG in tags_of(description)


def list_snapshots(
    clients: SessionClients, family: Family, database: str, regions: Sequence[str], recorded: Iterable[str] = ()
) -> list[Listed]:
    """All snapshots of an instance or cluster, automated ones too, newest first.

    :param regions: where to look: its own and those of copies. :param recorded: names of snapshots with a record.
    """
    thing: Thing = "instance-snapshot" if family == "instance" else "cluster-snapshot"
    words, source, known = API[thing], API[family].name, set(recorded)
    found = []
    for region in dict.fromkeys(regions):
        for one in every(clients, thing, region, **{f"{source}Identifier": database}):
            name = str(one[f"{words.name}Identifier"])
            ours = is_ours(one, name)
            moment = one.get("OriginalSnapshotCreateTime") or one.get("SnapshotCreateTime")
            found.append(
                Listed(
                    name, region, "ours" if ours else str(one.get("SnapshotType", "manual")), utc_text(moment) if moment else "",
                    str(one["Status"]), int(one.get("AllocatedStorage") or 0), bool(one.get("Encrypted", one.get("StorageEncrypted"))),
                    str(one.get("SourceDBSnapshotIdentifier") or one.get("SourceDBClusterSnapshotArn") or ""), name in known,
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.at, one.region), reverse=True)


def copy_snapshot(
    name: str,
    *,
    family: Family,
    to_region: str,
    key: str | None,
    option_group: str | None,
    clients: SessionClients,
    run: str,
    wait: Wait,
    progress: Progress | None = None,
    prices: Prices | None = None,
    max_usd: float | None = None,
    to_name: str | None = None,
) -> Listed:
    """Copies a snapshot of this Region to another, or once more here. Called again it goes on with the copy that it began.

    Asked for in the target's Region with the ARN and `SourceRegion`, from which botocore signs what an encrypted copy needs.

    :param key: KMS key of the copy, of the target's Region. :param option_group: of the copy, where the source's is not the default.
    :param to_name: the copy's name; the source's in another Region. :param max_usd: what the transfer may cost at most.
    :raises BadInputError: when it needs a key, or the source or a copy of another is in the way.
    """
    thing: Thing = "instance-snapshot" if family == "instance" else "cluster-snapshot"
    words, target = API[thing], to_name or name.rpartition(":")[2]
    what = f"copying the snapshot {name} to {to_region}"
    source = need(clients, thing, name, what)
    away = to_region != clients.region
    encrypted = bool(source.get("Encrypted", source.get("StorageEncrypted")))
    _check_copy(source, words.name, target, what, clients, away=away, encrypted=encrypted, key=key)
    there = describe(clients, thing, target, to_region)
    if there is None:
        cost = copy_cost(int(source.get("AllocatedStorage") or 0), away, (prices or load_prices()).rds)
        told = (
            f"at most {cost['once']:,.2f} dollars for the transfer, and {cost['month']:,.2f} a month while it is kept"
        )
        if max_usd is not None and cost["once"] > max_usd:
            raise BadInputError(what, f"it costs {told}, and limits.max_usd is {max_usd:,.2f}", "raise the limit")
        (progress or NoProgress()).note(f"{what}: {told}")
        tags = {tag: one for tag, one in tags_of(source).items() if not tag.startswith(("aws:", "tablekeep:"))}
        given: dict[str, Any] = {
            f"Source{words.name}Identifier": source[f"{words.name}Arn"] if away else name,
            f"Target{words.name}Identifier": target,
            "CopyTags": False,
            "Tags": as_tags({**tags, SNAPSHOT_TAG: run}),
        }
        given |= {"SourceRegion": clients.region} if away else {}
        given |= {"KmsKeyId": key} if key else {}
        given |= {"OptionGroupName": option_group} if option_group else {}
        try:
            getattr(clients.client("rds", to_region), f"copy_{words.method}")(**given)
        except botocore.exceptions.ClientError as error:
            if error_code(error) not in ("DBSnapshotAlreadyExists", "DBClusterSnapshotAlreadyExistsFault"):
                raise translated_quota(error, what) from error
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, what) from error
    elif SNAPSHOT_TAG not in tags_of(there) or copied_from(there) not in (source[f"{words.name}Arn"], name):
        raise BadInputError(what, f"there is a snapshot {target} of another source", "give the copy another name")
    wait(Awaited(thing, target, to_region))
    made = need(clients, thing, target, what, to_region)
    if encrypted and not made.get("Encrypted", made.get("StorageEncrypted")):
        raise PermanentError(
            what, "the copy is not encrypted, though its source is", "delete it, and look at the key's policy"
        )
    database = str(source[f"{API[family].name}Identifier"])
    return next(one for one in list_snapshots(clients, family, database, [to_region]) if one.snapshot == target)


def copied_from(description: Description) -> str:
    """ARN of the snapshot that a copy was made of; empty for no copy."""
    return str(description.get("SourceDBSnapshotIdentifier") or description.get("SourceDBClusterSnapshotArn") or "")


def _check_copy(
    source: Description, member: str, target: str, what: str, clients: SessionClients, *, away: bool, encrypted: bool, key: str | None
) -> None:  # fmt: skip
    check_identifier(target, "the copy", 255)
    if source["Status"] != "available":
        raise TransientError(what, f"the snapshot is {source['Status']}", "wait until it is available")
    mine = str(source[f"{member}Arn"]).split(":")[4] == clients.account()
    if encrypted and away and not mine:
        raise BadInputError(
            what,
            "a shared and encrypted snapshot cannot go to another Region",
            "copy it here first, with a key of this account",
        )
    if encrypted and away and not key:
        raise BadInputError(what, "it is encrypted, and keys belong to a Region", "name a KMS key of that Region")
    if key and key.startswith("arn:") and away and key.split(":")[3] == clients.region:
        raise BadInputError(
            what, f"the key is of {clients.region}", "name a KMS key of the Region to which it is copied"
        )
    if not away and target == str(source[f"{member}Identifier"]):
        raise BadInputError(what, "a copy within a Region needs a name of its own", "give another name")
