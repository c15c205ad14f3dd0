"""Runs one drill of an RDS snapshot: choose, restore, wait until it is really readable, prove, measure, check, tear down, record.

A restore takes an hour, so a drill can be left while RDS works and gone on with by the next try of its run: where it stands is kept
beside the records. What `wait` raises to leave it is no failure, and nothing is torn down for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.store import AlreadyExistsError
from tablekeep.engine.checkpoints import Checkpoint
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.drills.checks import CheckResult, ask
from tablekeep.engine.drills.choice import Choose
from tablekeep.engine.drills.instance_choice import Take, choose_state
from tablekeep.engine.drills.instance_page import instance_drill_page
from tablekeep.engine.drills.instance_report import PHASES, InstanceDrillReport, judge
from tablekeep.engine.drills.instance_scratch import FAMILIES, scratch_instance, sweep_instances, tear_down_instance
from tablekeep.engine.drills.marks import LIVES, run_part, scratch_tags
from tablekeep.engine.drills.record import keep_report
from tablekeep.engine.drills.report import Objectives
from tablekeep.engine.errors import BadInputError, TablekeepError, TransientError
from tablekeep.engine.prices import Prices, load_prices
from tablekeep.engine.progress import Progress
from tablekeep.engine.rds.instances.contents import Reading, check_engine, translated
from tablekeep.engine.rds.instances.plan import InstanceRestorePlan, PreparedInstance, plan_instance_restore
from tablekeep.engine.rds.instances.proof import compare_with_record, read_first
from tablekeep.engine.rds.instances.record import own_records, shelf_of
from tablekeep.engine.rds.instances.request import SKIPPABLE, InstanceRestoreRequest, Placement
from tablekeep.engine.rds.instances.restore import begin, finish_creation, settle
from tablekeep.engine.rds.instances.service import Awaited, Family, Wait

CONNECT_TRIES, CONNECT_SECONDS = 40, 15.0
"""How often a first connection is tried: a name may not be known everywhere yet when RDS says `available`."""
CHECK_TIMEOUT = "1h"


@dataclass(frozen=True)
class InstanceCheck:
    """A check of the team. :ivar sql: one row with one value, which must be true. :ivar database: the login's own when None."""

    name: str
    sql: str
    database: str | None = None


@dataclass(frozen=True)
class InstanceDrillRequest:
    """What is to be drilled.

    :ivar database: the instance or cluster; :ivar home: its Region. :ivar records: root of its records.
    :ivar reading: how to log in, and which databases are read. :ivar take, choose, within: see `instance_choice.choose_state`.
    :ivar placement: what the scratch instance has otherwise than the source. :ivar time_limit: after which it is given up.
    :ivar max_usd: what the scratch instance may cost until the time limit.
    """

    database: str
    records: str
    home: str
    reading: Reading
    take: Take = "ours"
    choose: Choose = "latest"
    within: timedelta | None = None
    placement: Placement = field(default_factory=Placement)
    objectives: Objectives = field(default_factory=Objectives)
    checks: Sequence[InstanceCheck] = ()
    time_limit: timedelta = timedelta(hours=6)
    max_usd: float | None = None


def run_instance_drill(
    request: InstanceDrillRequest,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    actor: str,
    run: str,
    wait: Wait,
    prices: Prices | None = None,
    record_clients: SessionClients | None = None,
) -> InstanceDrillReport:
    """Restores a snapshot to a scratch instance and proves it. A second try of the run goes on where the first one ended.

    The scratch instance is deleted in the end, after a failure too; what cannot be deleted is a problem of the report.

    :param clients: of the account and Region where the scratch instance is made. :param record_clients: for the bucket with the
        records. :param wait: waits for RDS, or leaves this try.
    :raises BadInputError: before anything is made: there is nothing to drill or to prove it by, or it would cost too much.
    """
    keeper = record_clients or clients
    shelf = shelf_of(request.records, keeper.account(), request.home, request.database)
    store = S3Store(keeper, shelf.bucket)
    store.check()
    drill = _Drill(request, store, shelf, clients, keeper, clock, progress, actor, run, wait, prices or load_prices())
    return drill.carry_out()


class _Drill:
    def __init__(
        self, request: InstanceDrillRequest, store: S3Store, shelf: Shelf, clients: SessionClients, keeper: SessionClients, clock: Clock,
        progress: Progress, actor: str, run: str, wait: Wait, prices: Prices,
    ) -> None:  # fmt: skip
        self._request, self._store, self._shelf, self._clients, self._keeper = request, store, shelf, clients, keeper
        self._clock, self._progress, self._actor, self._run, self._prices = clock, progress, actor, run, prices
        self._given_wait = wait
        self._state = Checkpoint(store, f"{shelf.prefix}/_drills/{run_part(run)}.json", AlreadyExistsError)
        self._known: dict[str, Any] = {}

    def carry_out(self) -> InstanceDrillReport:
        known = self._state.load()
        self._known = known if known and not known.get("finished") else {}
        if not self._known:
            self._begin_anew()
        report = InstanceDrillReport(**self._known["report"])
        if "failed" not in self._known and "proved" not in self._known:
            self._try(report)
        self._progress.phase("teardown")
        report.torn_down = self._tear_down(report)
        ended = self._clock.now()
        report.seconds = round((ended - parse_utc(report.started)).total_seconds(), 3)
        self._reckon(report, ended)
        judge(report, self._request.objectives)
        return self._keep(report)

    def _begin_anew(self) -> None:
        """Chooses, plans and removes what is left over. :raises BadInputError: before anything is made."""
        request = self._request
        self._progress.phase("sweep")
        swept = [one.as_dict() for one in sweep_instances(self._clients, self._clock)]
        scratch = scratch_instance(request.database, self._run)
        for family in FAMILIES:  # what a try of this run that was cleared has left
            tear_down_instance(self._clients, family, scratch, self._run, self._given_wait)
        started = self._clock.now()
        chosen = choose_state(
            request.database, request.home, request.take, request.choose, request.within, own_records(self._store, self._shelf),
            clients=self._clients, clock=self._clock,
        )  # fmt: skip
        report = InstanceDrillReport(
            request.database, chosen.family, chosen.snapshot, utc_text(chosen.at) if chosen.at else "", chosen.words, scratch,
            utc_text(started), source_region=request.home, region=self._clients.region,
            objectives={"rto_seconds": request.objectives.rto_seconds, "rpo_seconds": request.objectives.rpo_seconds}, swept=swept,
        )  # fmt: skip
        prepared = self._plan(report)
        report.engine, report.at = prepared.plan.engine, prepared.plan.at
        report.not_restored = list(prepared.plan.not_restored)
        report.compared = prepared.plan.compared
        if not report.compared and not request.checks:
            raise BadInputError(
                f"drilling {request.database}",
                "no record tells what had to be in it, and there are no checks: the drill could prove nothing",
                "drill snapshots that `tablekeep rds snapshot` made with a login, or give checks",
            )
        if prepared.origin.record is not None:
            report.notes = list(prepared.origin.record.notes)
        plan = prepared.plan
        marks = {"find": utc_text(self._clock.now())}
        self._known = {"marks": marks, "report": report.as_dict(), "plan": plan.as_dict(), "usd_hour": plan.usd_hour}
        self._state.save(self._known)

    def _plan(self, report: InstanceDrillReport) -> PreparedInstance:
        request = self._request
        at = parse_utc(report.at) if report.snapshot is None else None
        begun = self._known.get("plan")
        asked = InstanceRestoreRequest(
            request.database, request.records, report.scratch, request.home, snapshot=report.snapshot, at=at,
            placement=request.placement, skip=SKIPPABLE, writer_only=True, scratch=True, max_usd=request.max_usd,
            hours=request.time_limit.total_seconds() / 3600,
        )  # fmt: skip
        prepared = plan_instance_restore(
            asked, clients=self._clients, record_clients=self._keeper, prices=self._prices,
            begun=InstanceRestorePlan.from_dict(begun) if begun else None,
        )  # fmt: skip
        check_engine(prepared.plan.engine, f"drilling {request.database}")
        return prepared

    def _try(self, report: InstanceDrillReport) -> None:
        """Everything between the choice and the teardown. An error is a problem of the report; so is Ctrl-C, after the teardown."""
        try:
            self._check_time(report)
            self._restore(report)
            self._known["proved"] = True
        except TablekeepError as error:
            report.problems.append(str(error))
            self._known["failed"] = True
        except (Exception, KeyboardInterrupt):
            self._tear_down(report)
            raise
        self._remember(report)

    def _check_time(self, report: InstanceDrillReport) -> float:
        """Hours that are left. :raises TransientError: when none are."""
        rest = self._request.time_limit - (self._clock.now() - parse_utc(report.started))
        if rest <= timedelta(0):
            hours = self._request.time_limit.total_seconds() / 3600
            raise TransientError(
                f"drilling {report.database}", f"it has not ended within {hours:g} hours", "see where the time went"
            )

        return rest.total_seconds() / 3600

    def _remember(self, report: InstanceDrillReport) -> None:
        self._known["report"] = report.as_dict()
        self._state.save(self._known)

    def _mark(self, phase: str, report: InstanceDrillReport) -> None:
        """The end of a phase, by the first try that came so far."""
        if phase not in self._known["marks"]:
            self._known["marks"][phase] = utc_text(self._clock.now())
            self._remember(report)

    def _restore(self, report: InstanceDrillReport) -> None:
        prepared = self._plan(report)
        record, tags = prepared.origin.record, self._tags()

        def wait(awaited: Awaited) -> None:
            self._given_wait(replace(awaited, hours=self._check_time(report)))

        created = begin(
            prepared,
            clients=self._clients,
            progress=self._progress,
            run=self._run,
            tags=tags,
            what=f"restoring {report.database}",
        )
        report.family = created.family
        finish_creation(
            prepared,
            created,
            clients=self._clients,
            progress=self._progress,
            run=self._run,
            wait=wait,
            tags=tags,
        )
        self._mark("restore", report)
        settle(
            prepared, created, report, clients=self._clients, clock=self._clock, progress=self._progress, wait=wait,
            told=SKIPPABLE,
        )  # fmt: skip
        self._mark("settings", report)
        reading = self._request.reading
        self._connect(reading, report)
        self._mark("connect", report)
        found, proof = read_first(record, reading, report.endpoint, clock=self._clock, progress=self._progress)
        report.tables, report.items, report.bytes, report.slowest = proof.tables, proof.rows, proof.bytes, proof.slowest
        self._mark("scan", report)
        if record is not None and record.before:
            compare_with_record(proof, found, record, reading, report.endpoint)
            report.proved, report.equal, report.bounded = proof.proved, proof.equal, proof.count("bounds")
            report.told, report.marker = proof.told(), proof.marker
            report.problems += proof.problems
            if not proof.equal and not proof.problems:
                report.problems.append("no table came back exactly: all of them changed while the snapshot was made")
        self._progress.phase("checks", len(self._request.checks), "checks")
        report.checks = [one.as_dict() for one in self._checks(report)]
        if not report.compared:
            report.proved = all(one["passed"] for one in report.checks)
        self._mark("checks", report)

    def _tags(self) -> dict[str, str]:
        return scratch_tags(self._run, self._clock, max(LIVES, 2 * self._request.time_limit))

    def _connect(self, reading: Reading, report: InstanceDrillReport) -> None:
        """:raises TablekeepError: when nobody answers for too long, or refuses the login."""
        self._progress.phase("connect")
        for number in range(CONNECT_TRIES):
            try:
                with reading.login.connect(report.endpoint, f"connecting to {report.scratch}") as connection:
                    connection.execute("SELECT 1")
                return
            except TransientError:
                if number == CONNECT_TRIES - 1:
                    raise
                self._clock.sleep(CONNECT_SECONDS)

    def _checks(self, report: InstanceDrillReport) -> list[CheckResult]:
        return [self._check(one, report) for one in self._request.checks]

    def _check(self, check: InstanceCheck, report: InstanceDrillReport) -> CheckResult:
        """In a read-only transaction; one statement, as a prepared one cannot be several."""
        login = self._request.reading.login
        login = login.in_database(check.database) if check.database else login
        with login.connect(report.endpoint, f"running the check {check.name}") as connection:
            connection.execute("SELECT set_config('statement_timeout', %s, false)", [CHECK_TIMEOUT])
            connection.execute("BEGIN READ ONLY")

            def query() -> Sequence[Sequence[Any]]:
                return connection.execute(check.sql.encode(), prepare=True).fetchall()

            def why(error: Exception) -> str:
                import psycopg

                return f": {translated(error, '').why}" if isinstance(error, psycopg.Error) else ""

            found = ask(check.name, query, why)
            connection.execute("ROLLBACK")
        return found

    def _tear_down(self, report: InstanceDrillReport) -> bool:
        family: Family = "cluster" if report.family == "cluster" else "instance"
        try:
            return tear_down_instance(self._clients, family, report.scratch, self._run, self._given_wait)
        except TablekeepError as error:
            report.problems.append(f"the scratch {family} {report.scratch} may be left, and costs money: {error}")
            return False

    def _reckon(self, report: InstanceDrillReport, ended: datetime) -> None:
        """Phases, RTO, RPO and cost, from the marks."""
        marks, last = self._known["marks"], parse_utc(report.started)
        for phase in PHASES:
            if phase in marks:
                moment = parse_utc(marks[phase])
                report.phases[phase] = round((moment - last).total_seconds(), 3)
                last = moment
        if report.proved:
            report.rto_seconds = round(sum(one for name, one in report.phases.items() if name != "checks"), 3)
        report.rpo_seconds = round((parse_utc(report.started) - parse_utc(report.at)).total_seconds(), 3)
        hourly = self._known.get("usd_hour")
        if hourly is not None:
            # RDS counts seconds, and at least ten minutes
            report.usd = round(hourly * max((ended - parse_utc(report.started)).total_seconds(), 600.0) / 3600, 4)

    def _keep(self, report: InstanceDrillReport) -> InstanceDrillReport:
        """The report as its record has it: that of an earlier try, which died after it had written it, or this one."""
        for record in read_records(self._store, self._shelf, "drill"):
            if (record["run"], record["result"]["started"]) == (self._run, report.started):
                report = InstanceDrillReport(**record["result"])
                break
        else:
            keep_report(
                self._store, self._shelf, report, instance_drill_page, report.snapshot, actor=self._actor, run=self._run,
                clock=self._clock,
            )  # fmt: skip
        self._known = {"finished": True}
        self._state.save(self._known)
        return report
