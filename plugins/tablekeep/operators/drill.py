"""A backup → a restored scratch table, a proof, a report, and nothing left behind."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.links import DrillReportLink, console_link
from tablekeep.notify import publish
from tablekeep.operators.base import TablekeepOperator, TargetOperator
from tablekeep.operators.shelves import shelf_of


class DrillOperator(TargetOperator):
    """What all drills have: a link to the report, metrics, somebody who is told, and a red task for one that did not pass.

    :param notify: an SNS topic that is told of a drill that did not pass.
    """

    operator_extra_links = (DrillReportLink(),)

    def __init__(self, *, notify: str | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.notify = notify

    def tell(self, subject: str, text: str) -> None:
        publish(self.notify, subject, text, aws_conn_id=self.aws_conn_id, region=self.region_name)

    def conclude(
        self, context: Mapping[str, Any], report: Any, region: str, *, of: str, drilled: str, tags: dict[str, str]
    ) -> Any:
        """The report's document. :param region: of the bucket. :param of: the subject, for people. :param drilled: the backup, by name.

        :raises IntegrityError: when nothing was proved. :raises PermanentError: when something else did not pass.
        """
        from tablekeep.engine.drills.report import rto_text
        from tablekeep.engine.errors import IntegrityError, PermanentError

        context["ti"].xcom_push(DrillReportLink.XCOM, console_link(report.page, region))
        self._measure(report, tags)
        self.log.info(
            "proved: %s, RTO %s, RPO %.0f s, torn down: %s, report: %s", report.proved, rto_text(report.rto_seconds),
            report.rpo_seconds, report.torn_down, report.page,
        )  # fmt: skip
        if not report.passed:
            what, why = f"drilling {drilled}", "; ".join(report.problems)
            self.tell(f"Drill of {of} FAILED", f"{what}: {why}. Report: {report.page}")
            if not report.proved:
                raise IntegrityError(what, why, "the backup may not be restorable: look into it today")
            raise PermanentError(what, why, "the backup is restorable; what else was promised is what failed")
        return report.as_dict()

    def _measure(self, report: Any, tags: dict[str, str]) -> None:
        """Metrics of Airflow (StatsD, OpenTelemetry): seconds, and 1 for passed. No RTO of a drill that proved nothing."""
        from airflow.sdk.observability.stats import Stats

        if report.rto_seconds is not None:
            Stats.gauge("tablekeep.drill.rto_seconds", report.rto_seconds, tags=tags)
        Stats.gauge("tablekeep.drill.rpo_seconds", report.rpo_seconds, tags=tags)
        Stats.gauge("tablekeep.drill.passed", int(report.passed), tags=tags)


class RestoreDrillOperator(DrillOperator):
    """Rehearses a restore. A drill that did not prove it, missed an objective or left something behind is a failed task; its report, a
    page for people, is linked on the task either way.

    :param table: the table whose backups are drilled. :param to: the root of the backups.
    :param choose, within_seconds, percent, path: which backup, how much of it, and how it is restored.
    :param backup_arn, backup_role: with the path `backup`, see `RestoreRequest`.
    :param restore_job, restore_testing_plan, max_seconds: nothing is restored; the table that AWS Backup restored is validated, and AWS
        Backup is told. The job by its id, or the plan's newest one without a result.
    :param checks: of the team: `{"name", "sql", "python"}`.
    :param rto_seconds, rpo_seconds: objectives. :param max_wcu, max_rcu: write and read capacity units a second.
    :param max_usd: of one drill.
    """

    template_fields: Sequence[str] = ("table", "to", "backup_arn", "restore_job", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        table: str,
        to: str,
        choose: str = "latest",
        within_seconds: float | None = None,
        percent: float | None = None,
        path: str = "auto",
        backup_arn: str | None = None,
        backup_role: str | None = None,
        restore_job: str | None = None,
        restore_testing_plan: str | None = None,
        max_seconds: float | None = None,
        checks: Sequence[Mapping[str, str | None]] = (),
        rto_seconds: float | None = None,
        rpo_seconds: float | None = None,
        max_wcu: float | None = None,
        max_rcu: float | None = None,
        max_usd: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.table, self.to = table, to
        self.choose, self.within_seconds, self.percent, self.path = choose, within_seconds, percent, path
        self.backup_arn, self.backup_role = backup_arn, backup_role
        self.restore_job, self.restore_testing_plan, self.max_seconds = restore_job, restore_testing_plan, max_seconds
        self.checks = [dict(check) for check in checks]
        self.rto_seconds, self.rpo_seconds = rto_seconds, rpo_seconds
        self.max_wcu, self.max_rcu, self.max_usd = max_wcu, max_rcu, max_usd

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.drills.drill import run_drill
        from tablekeep.engine.errors import TablekeepError

        common = self.engine_arguments(context)
        source = common.pop("clients")
        try:
            report = run_drill(self._request(), clients=self.target(), backup_clients=source, **common)
        except TablekeepError as error:
            self.tell(f"Drill of {self.table} could not be run", str(error))
            raise
        for one in report.left_alone:
            self.log.warning("%s is left alone: %s", one["table"], one["why"])
        document: dict[str, Any] = self.conclude(
            context, report, source.region, of=self.table, drilled=report.backup, tags={"table": self.table}
        )
        return document

    def _request(self) -> Any:
        from datetime import timedelta

        from tablekeep.engine.drills.checks import Check
        from tablekeep.engine.drills.report import Objectives
        from tablekeep.engine.drills.request import DrillRequest

        return DrillRequest(
            self.to,
            self.table,
            choose=self.choose,  # type: ignore[arg-type]
            within=timedelta(seconds=self.within_seconds) if self.within_seconds else None,
            percent=self.percent,
            path=self.path,  # type: ignore[arg-type]
            backup_arn=self.backup_arn or None,
            backup_role=self.backup_role,
            restore_job=self.restore_job or None,
            testing_plan=self.restore_testing_plan,
            max_seconds=self.max_seconds,
            objectives=Objectives(self.rto_seconds, self.rpo_seconds),
            max_wcu=self.max_wcu,
            max_rcu=self.max_rcu,
            max_usd=self.max_usd,
            checks=tuple(Check(**check) for check in self.checks),  # type: ignore[arg-type]
        )


class SweepScratchTablesOperator(TargetOperator):
    """Removes scratch tables that dead drills have left: those whose name and marks say so, and whose time is over.

    Runs after the drill whatever became of it; its own run's table goes at once.

    :param table: the drilled table. :param to: the root of the backups, where drills write down what they have a service make.
    """

    template_fields: Sequence[str] = ("table", "to", *TablekeepOperator.template_fields)

    def __init__(self, *, table: str, to: str, **more: Any) -> None:
        super().__init__(**more)
        self.table, self.to = table, to

    def execute(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        from tablekeep.engine.backups.s3 import S3Store
        from tablekeep.engine.drills.scratch import scratch_name, sweep, tear_down
        from tablekeep.engine.errors import PermanentError
        from tablekeep.engine.restore.intents import Intents

        common = self.engine_arguments(context)
        source, clock, run = common["clients"], common["clock"], common["run"]
        clients = self.target()
        shelf = shelf_of(source, self.to, self.table)
        intents = Intents(S3Store(source, shelf.bucket), shelf)
        name = scratch_name(self.table, run)
        if not tear_down(clients, name, run, clock, intents):
            raise PermanentError(f"removing {name}", "it is still there", "delete it by hand; it costs money")
        swept = sweep(clients, clock, intents=[intents])
        for one in swept.tables:
            self.log.warning("%s was left by %s and is removed", one.table, one.run)
        for left in swept.left_alone:
            self.log.warning("%s is left alone: %s", left.table, left.why)
        return [one.as_dict() for one in swept.tables]
