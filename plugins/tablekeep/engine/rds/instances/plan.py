"""What a restore of an instance or cluster would do, looked at before anything is made. Whoever approves, approves this: it has a hash."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import botocore.exceptions
import msgspec

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import Kind, read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import DENIED, SessionClients, error_code, translate
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.prices import Prices
from tablekeep.engine.rds.instances.contents import ENGINES
from tablekeep.engine.rds.instances.costs import Hourly, instance_hour, together
from tablekeep.engine.rds.instances.created import PLAN_TAG
from tablekeep.engine.rds.instances.record import shelf_of
from tablekeep.engine.rds.instances.request import SCRATCH, InstanceRestoreRequest
from tablekeep.engine.rds.instances.service import API, Family, describe, plain, tags_of
from tablekeep.engine.rds.instances.settings import (
    Facts,
    SettingDifference,
    differences,
    facts,
    local_names,
    modified_names,
    modify_parameters,
    restore_parameters,
    unrestored,
)
from tablekeep.engine.rds.instances.source import Origin, find_origin

VOLATILE = ("hash", "notes", "seconds", "seconds_from", "usd", "usd_hour", "usd_why", "prices_as_of")
NEVER_SET = ("roles",)
"""Settings that a restore cannot give; `unrestored` has the command for each."""


@dataclass(frozen=True)
class Member:
    """An instance to be made in the new cluster. :ivar parameters: of `CreateDBInstance`, without tags."""

    name: str
    settings: Facts
    parameters: dict[str, Any]


@dataclass(frozen=True)
class InstanceRestorePlan:
    """A restore that may be done.

    :ivar snapshot: its name; None for a point in time. :ivar at: the state's time. :ivar compared: a record tells what is in it.
    :ivar parameters: of the restore, without tags. :ivar members: of a new cluster. :ivar settings: what it will have.
    :ivar modified: settings that are set after the restore. :ivar differs: settings that will not be as the source's, on purpose.
    :ivar settings_from: whence the source's settings are known. :ivar not_restored: what it will lack, why, and the command for it.
    :ivar usd_hour: what it costs an hour; None where a price is missing, which `usd_why` names. :ivar usd: of the first `hours`.
    :ivar seconds: how long it may take, from `seconds_from`.
    """

    database: str
    home: str
    family: Family
    resource: str
    engine: str
    snapshot: str | None
    at: str
    compared: bool
    to: str
    account: str
    region: str
    parameters: dict[str, Any]
    members: tuple[dict[str, Any], ...]
    settings: Facts
    modified: tuple[str, ...]
    skipped: tuple[str, ...]
    differs: tuple[dict[str, Any], ...]
    settings_from: str
    not_restored: tuple[dict[str, str], ...]
    usd_hour: float | None
    usd: float | None
    usd_why: str
    hours: float
    prices_as_of: str
    seconds: float | None
    seconds_from: str
    notes: tuple[str, ...]
    hash: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(document: dict[str, Any]) -> "InstanceRestorePlan":
        """:raises TypeError: for a document of another version."""
        fields: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in document.items()}
        return InstanceRestorePlan(**fields)

    def check_hash(self, wanted: str | None) -> None:
        """:raises BadInputError: when another plan was approved; its first 16 digits will do."""
        if wanted is not None and not (len(wanted) >= 16 and self.hash.startswith(wanted)):
            raise BadInputError(
                f"restoring {self.database} to {self.to}",
                f"what would be done has changed since the plan {wanted[:16]!r} (now {self.hash[:16]})",
                "look at the plan again, and name it by at least 16 digits of its hash",
            )

    def sealed(self) -> "InstanceRestorePlan":
        """With its hash: SHA-256 over what will be done."""
        told = {name: one for name, one in self.as_dict().items() if name not in VOLATILE}
        return replace(self, hash=hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest())


@dataclass(frozen=True)
class PreparedInstance:
    """A plan, and what it was made of.

    :ivar source: the source's settings. :ivar resumed: an earlier try with the same plan has begun it.
    """

    plan: InstanceRestorePlan
    origin: Origin
    source: Facts
    members: tuple[Member, ...]
    store: Store
    shelf: Shelf
    resumed: bool


def plan_instance_restore(
    request: InstanceRestoreRequest,
    *,
    clients: SessionClients,
    record_clients: SessionClients | None = None,
    prices: Prices,
    begun: InstanceRestorePlan | None = None,
) -> PreparedInstance:
    """Looks, and changes nothing.

    :param clients: of the account and Region to which is restored. :param record_clients: for the bucket with the records.
    :param begun: the plan with which an earlier try of the same run has begun: it goes on with that one, whatever has changed since.
    :raises BadInputError: when the restore may not be done as asked, or costs more than `request.max_usd`.
    """
    request.check()
    what = f"restoring {request.database} to {request.to}"
    account = clients.account()
    if request.accounts and account not in request.accounts:
        raise BadInputError(
            what, f"these credentials are of account {account}, and restore.accounts allows {', '.join(request.accounts)}",
            "use a connection of an allowed account",
        )  # fmt: skip
    keeper = record_clients or clients
    shelf = shelf_of(request.records, keeper.account(), request.home, request.database)
    store = S3Store(keeper, shelf.bucket)
    store.check()
    origin = find_origin(request, clients, store, shelf, what)
    if origin.family == "cluster" and not origin.engine.startswith("aurora"):
        raise BadInputError(what, f"clusters of {origin.engine} are not built, only Aurora's", "restore it by hand")
    source = facts(plain(origin.settings), origin.family)
    wanted = _wanted(request, origin, source, clients, what)
    _check_groups(clients, wanted, what)
    members = _members(request, origin, wanted)
    hourly = together(
        [instance_hour(one.settings, prices.rds) for one in members] if members else [instance_hour(wanted, prices.rds)]
    )
    usd = _cost(request, hourly, prices, what)
    seconds, seconds_from = _predicted(store, shelf)
    left_out = (*request.skip, *NEVER_SET)
    parameters = restore_parameters({name: one for name, one in wanted.items() if name != "tags"}, origin.family)
    plan = InstanceRestorePlan(
        database=origin.database,
        home=request.home,
        family=origin.family,
        resource=origin.resource,
        engine=origin.engine,
        snapshot=origin.snapshot_name,
        at=origin.at,
        compared=origin.record is not None and bool(origin.record.before),
        to=request.to,
        account=account,
        region=clients.region,
        parameters={**_place(origin, request), **parameters},
        members=tuple({"name": one.name, "parameters": one.parameters} for one in members),
        settings=wanted,
        modified=modified_names(wanted, origin.family),
        skipped=tuple(sorted(request.skip)),
        differs=tuple(one.as_dict() for one in _told(source, wanted, request.skip)),
        settings_from=origin.settings_from,
        not_restored=tuple(one.as_dict() for one in unrestored(origin.settings, origin.family, request.to)),
        usd_hour=hourly.usd,
        usd=usd,
        usd_why=hourly.why,
        hours=request.hours,
        prices_as_of=prices.as_of,
        seconds=seconds,
        seconds_from=seconds_from,
        notes=(*origin.notes, *_notes(origin, left_out)),
    ).sealed()
    plan = begun or plan
    return PreparedInstance(plan, origin, source, members, store, shelf, _resumed(clients, plan, what))


def _wanted(
    request: InstanceRestoreRequest, origin: Origin, source: Facts, clients: SessionClients, what: str
) -> Facts:
    """The settings of the new one: the source's, what is given otherwise, and what lies in the snapshot and cannot be chosen."""
    placed = request.placement.given(origin.family)
    away = clients.region != request.home
    if away:
        needed = [
            name
            for name in local_names(origin.family)
            if name not in placed and not _everywhere(name, source.get(name))
        ]
        if needed:
            raise BadInputError(
                what, f"in {clients.region} the source's {' and '.join(needed)} are not there", "name those of that Region",
            )  # fmt: skip
    wanted = {name: one for name, one in source.items() if name not in request.skip and name not in NEVER_SET}
    snapshot = origin.snapshot
    if snapshot is not None:
        wanted |= {
            "engine version": snapshot["EngineVersion"],
            "master user": snapshot.get("MasterUsername", source["master user"]),
        }
        wanted |= {
            "encrypted": bool(snapshot.get("Encrypted", snapshot.get("StorageEncrypted"))),
            "key": snapshot.get("KmsKeyId"),
        }
    wanted |= {name: one for name, one in placed.items() if name in source}
    return wanted | (SCRATCH[origin.family] if request.scratch else {})


def _everywhere(name: str, value: Any) -> bool:
    """Whether a group of this name is in every Region."""
    return value is None or (
        name != "security groups" and (str(value) == "default" or str(value).startswith(("default.", "default:")))
    )


def _place(origin: Origin, request: InstanceRestoreRequest) -> dict[str, Any]:
    """What a restore calls source and target."""
    if origin.family == "instance":
        if origin.snapshot is not None:
            return {"DBInstanceIdentifier": request.to, "DBSnapshotIdentifier": origin.snapshot_name}
        return {
            "TargetDBInstanceIdentifier": request.to,
            "SourceDBInstanceIdentifier": origin.database,
            **_moment(origin, "RestoreTime"),
        }
    if origin.snapshot is not None:
        return {
            "DBClusterIdentifier": request.to, "SnapshotIdentifier": origin.snapshot_name, "Engine": origin.engine,
            "EngineVersion": origin.snapshot["EngineVersion"],
        }  # fmt: skip
    return {
        "DBClusterIdentifier": request.to, "SourceDBClusterIdentifier": origin.database, "RestoreType": "full-copy",
        **_moment(origin, "RestoreToTime"),
    }  # fmt: skip


def _moment(origin: Origin, member: str) -> dict[str, Any]:
    return {"UseLatestRestorableTime": True} if origin.at == "latest" else {member: origin.at}


def _members(request: InstanceRestoreRequest, origin: Origin, wanted: Facts) -> tuple[Member, ...]:
    """Instances of the new cluster: without one nothing answers."""
    if origin.family != "cluster":
        return ()
    found = []
    for number, description in enumerate(origin.members, 1):
        settings = {name: one for name, one in facts(plain(description), "member").items() if name not in request.skip}
        settings |= {"engine": origin.engine}
        if request.placement.instance_class:
            settings["class"] = request.placement.instance_class
        given = restore_parameters({name: one for name, one in settings.items() if name != "tags"}, "member")
        given |= modify_parameters(settings, {}, "member")
        name = f"{request.to}-{number}"
        given |= {"DBInstanceIdentifier": name, "DBClusterIdentifier": request.to, "Engine": origin.engine}
        found.append(Member(name, settings, given))
        if request.writer_only:
            break
    return tuple(found)


def _check_groups(clients: SessionClients, wanted: Facts, what: str) -> None:
    """That what the request names is there: RDS would refuse it only when the restore is asked for."""
    client = clients.client("rds")
    calls = {
        "parameter group": (client.describe_db_parameter_groups, "DBParameterGroupName"),
        "cluster parameter group": (client.describe_db_cluster_parameter_groups, "DBClusterParameterGroupName"),
        "option group": (client.describe_option_groups, "OptionGroupName"),
        "subnet group": (client.describe_db_subnet_groups, "DBSubnetGroupName"),
    }
    for name, (call, parameter) in calls.items():
        value = wanted.get(name)
        if value is None or _everywhere(name, value):
            continue
        try:
            there = any(isinstance(one, list) and one for one in call(**{parameter: value}).values())
        except botocore.exceptions.ClientError as error:
            if error_code(error) in DENIED:
                continue  # the restore itself will tell
            if "NotFound" not in error_code(error):
                raise translate(error, what) from error
            there = False
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, what) from error
        if not there:
            raise BadInputError(
                what, f"there is no {name} {value} in {clients.region}", "make it there, or name another"
            )


def _cost(request: InstanceRestoreRequest, hourly: Hourly, prices: Prices, what: str) -> float | None:
    """Of the first hours. :raises BadInputError: when it is more than the limit, or not known and there is a limit."""
    if hourly.usd is None:
        if request.max_usd is not None:
            raise BadInputError(
                what, f"limits.max_usd is set, and {hourly.why}", "add it to your prices (TABLEKEEP_PRICES)"
            )
        return None
    usd = round(hourly.usd * request.hours, 4)
    if over := prices.over_limit(usd, request.max_usd):
        raise BadInputError(what, f"for {request.hours:g} hours {over}", "raise the limit, or choose a smaller class")
    return usd


def _told(source: Facts, wanted: Facts, skip: Iterable[str]) -> list[SettingDifference]:
    """What will be otherwise than in the source, by request."""
    changed = differences(source, wanted, {**source, **wanted})
    nothing: tuple[Any, ...] = (None, [], {}, False)
    left_out = [
        SettingDifference(name, source[name], "the default", True) for name in skip if source.get(name) not in nothing
    ]
    return [*changed, *left_out]


def _notes(origin: Origin, left_out: Iterable[str]) -> Iterable[str]:
    if (origin.record is None or not origin.record.before) and origin.engine in ENGINES:
        yield "no record tells what was in it: after the restore nothing can be compared"
    yield "the new instance has an endpoint of its own: applications have to be pointed to it"
    yield "available is not fast: blocks come from S3 when they are first read"


def _predicted(store: Store, shelf: Shelf) -> tuple[float | None, str]:
    """Seconds from the last drill or restore that was proved."""
    last: dict[str, Any] | None = None
    kinds: tuple[Kind, ...] = ("restore", "drill")
    for kind in kinds:
        for record in read_records(store, shelf, kind):
            if record["result"].get("proved") and (last is None or record["at"] > last["at"]):
                last = {"kind": kind, "at": record["at"], "seconds": record["result"]["rto_seconds"]}
    if last is None:
        return None, "no drill or restore has measured it yet"
    return last["seconds"], f"the {last['kind']} of {last['at'][:16]}Z"


def _resumed(clients: SessionClients, plan: InstanceRestorePlan, what: str) -> bool:
    """Whether the target is there and was begun with this very plan. :raises BadInputError: when it is another."""
    there = describe(clients, plan.family, plan.to)
    if there is None:
        return False
    if tags_of(there).get(PLAN_TAG) == plan.hash[:32]:
        return True
    status = there[API[plan.family].status]
    raise BadInputError(
        what, f"there is a {plan.family} of this name ({status})", "give another name: nothing is ever replaced"
    )
