"""RDS instances and clusters: snapshots, copies, retention, restores, in steps. Waiting for RDS is the triggerer's."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from tablekeep.operators.approve import check_approved, check_fields, check_requester
from tablekeep.operators.base import RuledRestoreOperator, TablekeepOperator
from tablekeep.operators.restore import moment
from tablekeep.operators.shelves import shelf_of
from tablekeep.runtime import connection_for, remembered, run_time
from tablekeep.triggers import RdsTrigger

POLL_SECONDS = 30.0


class InstanceOperator(TablekeepOperator):
    """An operator over an RDS instance or Aurora cluster.

    :param database: its identifier. :param records: root under which is kept what was in its snapshots, `s3://bucket/prefix`.
    :param contents: how to look into it, `{"conn_id", "databases", "marker", "exclude"}`; without it nothing is read.
    :param deferrable: waits for RDS in the triggerer instead of a worker. :param poll_seconds: between two questions; 30 when None.
    """

    template_fields: Sequence[str] = ("database", "records", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        database: str,
        records: str,
        contents: Mapping[str, Any] | None = None,
        deferrable: bool = True,
        poll_seconds: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.database, self.records = database, records
        self.contents = dict(contents) if contents else None
        self.deferrable, self.poll_seconds = deferrable, poll_seconds or POLL_SECONDS

    def reading(self) -> Any:
        """How to log in, and what to read; None when nothing is."""
        from tablekeep.engine.connections import postgres_conninfo
        from tablekeep.engine.rds.instances.contents import Login, Reading

        if self.contents is None:
            return None
        login = Login.of(postgres_conninfo(connection_for(str(self.contents["conn_id"]))))
        return Reading(
            login,
            tuple(self.contents.get("databases") or ()),
            self.contents.get("marker"),
            tuple(self.contents.get("exclude") or ()),
        )

    def waiting(
        self, common: Mapping[str, Any], event: Mapping[str, Any] | None, conn_id: str, region: str | None
    ) -> Any:
        """Leaves the try while RDS works, and comes back to it: everything that the task does finds what it has done already.

        :param event: of the trigger that woke the task. :param conn_id, region: of the clients that ask.
        """
        from datetime import UTC, datetime

        from tablekeep.engine.errors import TransientError
        from tablekeep.engine.rds.instances.service import Awaited, PollingWait, settled

        clients = common["clients"]
        if not self.deferrable:
            return PollingWait(clients, common["clock"], common["progress"], self.poll_seconds)

        def wait(awaited: Awaited) -> None:
            if settled(clients, awaited):
                return
            if event is not None and event.get("late") == awaited.name:
                raise TransientError(awaited.what, "it took longer than it may", "look at it in the console")
            self.log.info("waiting in the triggerer: %s", awaited.what)
            until = datetime.now(UTC) + timedelta(hours=awaited.hours)
            trigger = RdsTrigger(
                awaited=awaited.as_dict(), until=until.isoformat(), aws_conn_id=conn_id, region_name=region,
                poll_seconds=self.poll_seconds,
            )  # fmt: skip
            self.defer(trigger=trigger, method_name="execute", timeout=None)

        return wait


class CreateInstanceSnapshotOperator(InstanceOperator):
    """Makes a snapshot, and records how the instance is set and, where `contents` are given, what was in it. A retry goes on with the
    same snapshot. Runs for now only.

    Gives `{"snapshot", "family", "at", "gigabytes", "encrypted", "tables", "notes"}`.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(multiple_outputs=True, **more)

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Airflow calls it at the beginning of a try, and again when what it waited for has come about."""
        from tablekeep.engine.rds.instances.snapshots import new_name, take_snapshot

        what = f"making a snapshot of {self.database}"
        run_time(context).check_now(what, "a snapshot can only be made of the present")
        common = self.engine_arguments(context)
        name, _ = remembered(context, "snapshot", new_name(self.database, common["clock"]))
        wait = self.waiting(common, event, self.aws_conn_id, self.region_name)
        report = take_snapshot(self.database, self.records, name=name, reading=self.reading(), wait=wait, **common)
        for note in report.notes:
            self.log.warning("%s", note)
        tables = sum(len(before.tables) for before, _ in report.looks().values())
        self.log.info("%s of %s is there; %s tables were looked at", report.snapshot, report.at, tables)
        return {
            "snapshot": report.snapshot, "family": report.family, "at": report.at, "gigabytes": report.gigabytes,
            "encrypted": report.encrypted, "tables": tables, "notes": report.notes,
        }  # fmt: skip


class CopyInstanceSnapshotOperator(InstanceOperator):
    """Copies a snapshot to another Region, encrypted by a key of that Region, and waits until it is there. A retry goes on with the copy.

    :param snapshot: its name, in this Region. :param family: `instance` or `cluster`. :param to_region: where the copy is made.
    :param key: KMS key there. :param option_group: of the copy. :param max_usd: what the transfer may cost at most.
    """

    template_fields: Sequence[str] = ("snapshot", "family", *InstanceOperator.template_fields)

    def __init__(
        self,
        *,
        snapshot: str,
        to_region: str,
        family: str = "instance",
        key: str | None = None,
        option_group: str | None = None,
        max_usd: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.snapshot, self.family, self.to_region = snapshot, family, to_region
        self.key, self.option_group, self.max_usd = key, option_group, max_usd

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Airflow calls it at the beginning of a try, and again when what it waited for has come about."""
        from tablekeep.engine.prices import load_prices
        from tablekeep.engine.rds.instances.copy import copy_snapshot

        common = self.engine_arguments(context)
        made = copy_snapshot(
            self.snapshot, family=self.family, to_region=self.to_region, key=self.key, option_group=self.option_group,  # type: ignore[arg-type]
            clients=common["clients"], run=common["run"], progress=common["progress"], prices=load_prices(), max_usd=self.max_usd,
            wait=self.waiting(common, event, self.aws_conn_id, self.region_name),
        )  # fmt: skip
        self.log.info("%s lies in %s", made.snapshot, made.region)
        return made.as_dict()


class ExpireInstanceSnapshotsOperator(InstanceOperator):
    """Deletes our own snapshots that no rule keeps, in each Region by itself. Skipped in backfills.

    :param keep: `{"daily", "weekly", "monthly", "yearly", "minimum"}`. :param regions: where copies lie.
    :param family: `instance` or `cluster`. :param stale_seconds: age of the newest from which on nothing is deleted.
    """

    template_fields: Sequence[str] = ("family", *InstanceOperator.template_fields)

    def __init__(
        self,
        *,
        keep: Mapping[str, int],
        family: str = "instance",
        regions: Sequence[str] = (),
        stale_seconds: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.keep, self.family, self.regions, self.stale_seconds = dict(keep), family, list(regions), stale_seconds

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.retention import STALE, Keep
        from tablekeep.engine.rds.instances.retention import expire_snapshots

        if run_time(context).backfill:
            raise AirflowSkipException("a backfill deletes nothing")
        common = self.engine_arguments(context)
        expiry = expire_snapshots(
            self.database, self.family, Keep(**self.keep), clients=common["clients"], clock=common["clock"], confirm=True,  # type: ignore[arg-type]
            regions=self.regions, stale=timedelta(seconds=self.stale_seconds) if self.stale_seconds else STALE,
        )  # fmt: skip
        for one in expiry.snapshots:
            self.log.info("%s in %s: %s", one.snapshot, one.region, ", ".join(one.why) or "deleted")
        if expiry.stopped:
            self.log.warning("nothing is deleted: %s", expiry.stopped)
        return {"deleted": expiry.deleted, "stopped": expiry.stopped}


class _RestoringInstance(RuledRestoreOperator, InstanceOperator):
    """What plan and restore are told; the same request gives the same plan.

    :param to: name of the new instance or cluster. :param snapshot: by name; else the newest one of ours there.
    :param at: instead a point in time (ISO 8601, UTC), or `latest`. :param placement: see `request.Placement`.
    :param max_usd: what the new instance may cost on its first day.
    """

    template_fields: Sequence[str] = ("to", "snapshot", "at", "instance_class", *InstanceOperator.template_fields)

    def __init__(
        self,
        *,
        to: str,
        snapshot: str | None = None,
        at: str | None = None,
        instance_class: str | None = None,
        placement: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.to, self.snapshot, self.at, self.instance_class = to, snapshot, at, instance_class
        self.placement = dict(placement or {})

    def request(self, home: str) -> Any:
        """The engine's request. :param home: the source's Region. :raises BadInputError: for a time that cannot be read."""
        from tablekeep.engine.rds.instances.request import InstanceRestoreRequest

        latest = self.at == "latest"
        placement = {
            **self.placement,
            "instance_class": _given(self.instance_class) or self.placement.get("instance_class"),
        }
        return InstanceRestoreRequest(
            self.database, self.records, self.to, home, snapshot=_given(self.snapshot), at=None if latest else moment(self.at),
            latest=latest, placement=placed(placement), patterns_refused=self.patterns_refused, accounts=self.accounts,
            max_usd=self.max_usd,
        )  # fmt: skip


def placed(given: Mapping[str, Any]) -> Any:
    """The engine's placement, of a pipeline's keys."""
    from tablekeep.engine.rds.instances.request import Placement

    groups = given.get("security_groups")
    return Placement(
        given.get("instance_class"), given.get("parameter_group"), given.get("option_group"), given.get("subnet_group"),
        tuple(groups) if groups else None,
    )  # fmt: skip


def _given(text: str | None) -> str | None:
    """A field of a form, which a template may have turned into text."""
    return text if text and text != "None" else None


class PlanInstanceRestoreOperator(_RestoringInstance):
    """Shows what a restore would do, and refuses one that may not be done. Changes nothing but a record.

    Gives `{"snapshot", "hash", "text"}`: the snapshot's name (empty for a point in time), the plan's hash, the plan in Markdown.

    :param people: who may ask for it, by name; everybody who may trigger the DAG when empty.
    """

    def __init__(self, *, people: Sequence[str] = (), **more: Any) -> None:
        super().__init__(**more)
        self.people = list(people)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.records import write_record
        from tablekeep.engine.prices import load_prices
        from tablekeep.engine.rds.instances.plan import plan_instance_restore
        from tablekeep.engine.rds.instances.words import plan_lines, plan_markdown

        common, what = self.engine_arguments(context), f"restoring {self.database} to {self.to}"
        home = common["clients"]
        check_fields(context, what)
        check_requester(context, home, shelf_of(home, self.records, self.database, "rds"), self.people, what)
        prepared = plan_instance_restore(
            self.request(home.region), clients=self.target(), record_clients=home, prices=load_prices()
        )
        plan = prepared.plan
        self.log.info("plan:\n%s", "\n".join(f"  {name:<22} {text}" for name, text in plan_lines(plan)))
        write_record(
            prepared.store, prepared.shelf, "plan", plan.as_dict(), backup_id=plan.snapshot, actor=common["actor"], run=common["run"],
            clock=common["clock"],
        )  # fmt: skip
        return {"snapshot": plan.snapshot or "", "hash": plan.hash, "text": plan_markdown(plan)}


class RestoreInstanceOperator(_RestoringInstance):
    """Restores as planned to a new instance or cluster, compares every setting, and, where `contents` are given, reads every table and
    compares it with the snapshot's record. A retry goes on with the instance that it began.

    :param plan_hash: of the approved plan: nothing else is done.
    """

    template_fields: Sequence[str] = ("plan_hash", *_RestoringInstance.template_fields)

    def __init__(self, *, plan_hash: str, **more: Any) -> None:
        super().__init__(**more)
        self.plan_hash = plan_hash

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Airflow calls it at the beginning of a try, and again when what it waited for has come about."""
        from tablekeep.engine.errors import IntegrityError, PermanentError
        from tablekeep.engine.prices import load_prices
        from tablekeep.engine.rds.instances.restore import restore_instance

        what = f"restoring {self.database} to {self.to}"
        check_approved(self.plan_hash, what)
        common = self.engine_arguments(context)
        home = common.pop("clients")
        common["clients"] = self.target()
        report = restore_instance(
            self.request(home.region), plan_hash=self.plan_hash, reading=self.reading(), record_clients=home, prices=load_prices(),
            wait=self.waiting(common, event, *self.target_place), **common,
        )  # fmt: skip
        for missing in report.not_restored:
            self.log.warning("not restored: %s: %s. %s", missing["name"], missing["why"], missing["command"])
        for one in report.told:
            self.log.warning("table %s: %s", one["table"], one["why"])
        if report.problems:
            raise IntegrityError(what, "; ".join(report.problems), "do not use the new instance")
        if report.settings_differ:
            names = ", ".join(report.settings_differ)
            raise PermanentError(
                what,
                f"the data is there, but these settings differ: {names}",
                "set them by hand; the record has both values",
            )
        address = f"{report.endpoint['Address']}:{report.endpoint['Port']}"
        proof = (
            f"{report.equal} of {report.tables} tables came back exactly"
            if report.proved
            else "its contents were NOT compared"
        )
        self.log.info("%s answers at %s; %s", report.to, address, proof)
        return report.as_dict()
