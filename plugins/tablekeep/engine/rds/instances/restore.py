"""Carries out a restore: only the plan that was shown, with every setting given, compared afterwards field by field."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.records import write_record
from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.prices import Prices
from tablekeep.engine.progress import Progress
from tablekeep.engine.rds.instances.contents import Reading
from tablekeep.engine.rds.instances.created import PLAN_TAG, Created, find_created, modify, own, resource_of
from tablekeep.engine.rds.instances.plan import NEVER_SET, InstanceRestorePlan, PreparedInstance, plan_instance_restore
from tablekeep.engine.rds.instances.proof import Proof, compare_with_record, read_first
from tablekeep.engine.rds.instances.request import InstanceRestoreRequest
from tablekeep.engine.rds.instances.service import (
    Awaited,
    Family,
    Wait,
    as_tags,
    describe,
    endpoint_of,
    need,
    plain,
    tags_of,
)
from tablekeep.engine.rds.instances.settings import differences, facts, modify_parameters

EXISTS = {"DBInstanceAlreadyExists", "DBClusterAlreadyExistsFault"}
SETTLE_TRIES, SETTLE_SECONDS = 40, 15.0
"""How long a modification may take after the instance says `available` again: RDS takes a while to begin it."""


@dataclass
class InstanceRestoreReport:
    """What a restore made, as records and `--json` have it.

    :ivar proved: its tables are those of the record, see `proof.Proof`; False, too, when nothing was compared.
    :ivar tables, rows: that were read; `equal`: tables that came back exactly; `told`: verdicts of the others.
    :ivar settings: facts that differ, see `SettingDifference`. :ivar rto_seconds: until all was readable, or available if not read.
    """

    database: str
    to: str
    family: str
    snapshot: str | None
    at: str
    plan: str
    endpoint: dict[str, Any] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)
    proved: bool = False
    compared: bool = False
    tables: int = 0
    rows: int = 0
    equal: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)
    not_restored: list[dict[str, str]] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    rto_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def settings_differ(self) -> list[str]:
        """Settings that are not as they were to be."""
        return [one["name"] for one in self.settings if not one["told"]]


def restore_instance(
    request: InstanceRestoreRequest,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    prices: Prices,
    actor: str,
    run: str,
    wait: Wait,
    record_clients: SessionClients | None = None,
    plan_hash: str | None = None,
    reading: Reading | None = None,
) -> InstanceRestoreReport:
    """Restores to a new instance or cluster. Called again with the same request it goes on with what it began.

    :param plan_hash: of the plan that was shown, or its first 16 digits: nothing else is done.
    :param reading: how to log in, to read every table once and compare it with the snapshot's record.
    :raises BadInputError: when the plan is another one by now, or may not be carried out.
    """
    prepared = plan_instance_restore(request, clients=clients, record_clients=record_clients, prices=prices)
    plan = prepared.plan
    what = f"restoring {plan.database} to {plan.to}"
    plan.check_hash(plan_hash)
    began = clock.now()
    created = begin(prepared, clients=clients, progress=progress, run=run, tags={}, what=what)
    finish_creation(prepared, created, clients=clients, progress=progress, run=run, wait=wait, tags={})
    report = InstanceRestoreReport(plan.database, plan.to, plan.family, plan.snapshot, plan.at, plan.hash)
    started = _begun(clients, created) or began
    report.phases["restore"] = round((clock.now() - started).total_seconds(), 3)
    configured = clock.monotonic()
    settle(prepared, created, report, clients=clients, clock=clock, progress=progress, wait=wait)
    report.phases["settings"] = round(clock.monotonic() - configured, 3)
    report.not_restored = list(plan.not_restored)
    if reading is not None:
        _prove(prepared, report, reading, clock, progress)
    report.rto_seconds = round(sum(report.phases.values()), 3)
    write_record(
        prepared.store,
        prepared.shelf,
        "restore",
        report.as_dict(),
        backup_id=plan.snapshot,
        actor=actor,
        run=run,
        clock=clock,
    )
    return report


def _begun(clients: SessionClients, created: Created) -> datetime | None:
    """When RDS began the restore, by its own clock: an earlier try may have asked for it."""
    found = describe(clients, created.family, created.name) or {}
    moment: datetime | None = found.get("InstanceCreateTime") or found.get("ClusterCreateTime")
    return moment


def begin(
    prepared: PreparedInstance, *, clients: SessionClients, progress: Progress, run: str, tags: Mapping[str, str], what: str
) -> Created:  # fmt: skip
    """Asks RDS for the restore, unless an earlier try did.

    :param tags: marks beside those of run and plan. :raises BadInputError: when the name is another's.
    """
    plan = prepared.plan
    if not prepared.resumed:
        progress.phase("restore")
        verb = {
            ("instance", True): "restore_db_instance_from_db_snapshot",
            ("instance", False): "restore_db_instance_to_point_in_time",
            ("cluster", True): "restore_db_cluster_from_snapshot",
            ("cluster", False): "restore_db_cluster_to_point_in_time",
        }[plan.family, plan.snapshot is not None]
        given = plan.parameters | {"Tags": as_tags(_all_tags(plan, plan.settings.get("tags"), run, tags))}
        try:
            getattr(clients.client("rds"), verb)(**given)
        except botocore.exceptions.ClientError as error:
            if error_code(error) not in EXISTS:
                raise translate(error, what) from error
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, what) from error
    return _ours(clients, plan.family, plan.to, plan, what)


def _all_tags(
    plan: InstanceRestorePlan, own_tags: Mapping[str, str] | None, run: str, marks: Mapping[str, str]
) -> dict[str, str]:
    return {**(own_tags or {}), **marks, RUN_TAG: run, PLAN_TAG: plan.hash[:32]}


def _ours(clients: SessionClients, family: Family, name: str, plan: InstanceRestorePlan, what: str) -> Created:
    """What carries the plan's tag. :raises BadInputError: when somebody else's has the name."""
    found = need(clients, family, name, what)
    tags = tags_of(found)
    if tags.get(PLAN_TAG) != plan.hash[:32] or not tags.get(RUN_TAG):
        raise BadInputError(what, f"another {family} of this name was made at the same moment", "give another name")
    return Created(family, name, resource_of(found, family), clients.region, tags[RUN_TAG])


def finish_creation(
    prepared: PreparedInstance, created: Created, *, clients: SessionClients, progress: Progress, run: str, wait: Wait,
    tags: Mapping[str, str],
) -> None:  # fmt: skip
    """Waits until it is available; makes a cluster's instances, the writer first, for until one is there nothing answers."""
    wait(Awaited(created.family, created.name, created.region))
    for member in prepared.members:
        what = f"making the instance {member.name} of the cluster {created.name}"
        if describe(clients, "instance", member.name) is None:
            progress.phase(f"instance {member.name}")
            own(clients, created, what)
            given = member.parameters | {
                "Tags": as_tags(_all_tags(prepared.plan, member.settings.get("tags"), created.run, tags))
            }
            try:
                clients.client("rds").create_db_instance(**given)
            except botocore.exceptions.ClientError as error:
                if error_code(error) not in EXISTS:
                    raise translate(error, what) from error
            except botocore.exceptions.BotoCoreError as error:
                raise translate(error, what) from error
        if find_created(clients, "instance", member.name, created.run) is None:
            raise PermanentError(what, "another instance has this name", "restore under another name")
        wait(Awaited("instance", member.name, created.region))


def settle(
    prepared: PreparedInstance, created: Created, report: Any, *, clients: SessionClients, clock: Clock, progress: Progress, wait: Wait,
    told: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Sets what a restore does not take, and compares every setting with what it was to be.

    :param report: gets `settings`, `endpoint`, `members`. :param told: settings that a drill leaves out.
    """
    plan = prepared.plan
    left_out = (*plan.skipped, *NEVER_SET, *told)
    found = need(clients, created.family, created.name, "comparing settings")
    given = modify_parameters(plan.settings, facts(plain(found), created.family), created.family)
    if given:
        progress.phase("settings")
        modify(clients, created, given)
        wait(Awaited(created.family, created.name, created.region))
    for _ in range(SETTLE_TRIES):
        found = need(clients, created.family, created.name, "comparing settings")
        different = differences(prepared.source, plan.settings, facts(plain(found), created.family), left_out)
        lost = {one.name for one in different if not one.told}
        if not lost or not (found.get("PendingModifiedValues") or (given and lost <= set(plan.modified))):
            break
        clock.sleep(SETTLE_SECONDS)
        wait(Awaited(created.family, created.name, created.region))
    report.settings = [one.as_dict() for one in different]
    for member in prepared.members:
        one = need(clients, "instance", member.name, "comparing settings")
        mine = {name: value for name, value in facts(plain(one), "member").items() if name in member.settings}
        wanted = {name: value for name, value in member.settings.items() if name in mine}
        report.settings += [
            {**each.as_dict(), "name": f"{member.name}: {each.name}"}
            for each in differences(wanted, wanted, mine, left_out)
        ]
        report.members.append(member.name)
    report.endpoint = endpoint_of(found, created.family)


def _prove(
    prepared: PreparedInstance, report: InstanceRestoreReport, reading: Reading, clock: Clock, progress: Progress
) -> None:
    record = prepared.origin.record
    found, proof = read_first(record, reading, report.endpoint, clock=clock, progress=progress)
    report.phases["scan"] = proof.scan_seconds
    take_over(report, proof, bool(record and record.before))
    if record is not None and record.before:
        compare_with_record(proof, found, record, reading, report.endpoint)
        take_over(report, proof, True)


def take_over(report: Any, proof: Proof, compared: bool) -> None:
    """What a proof found, into a report."""
    report.compared, report.proved = compared, compared and proof.proved
    report.tables, report.rows, report.equal = proof.tables, proof.rows, proof.equal
    report.told, report.problems = proof.told(), list(proof.problems)
