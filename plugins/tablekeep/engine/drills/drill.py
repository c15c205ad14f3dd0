"""Runs one drill: choose a backup, restore it to a scratch table, prove it, measure, check, tear down, record."""

from tablekeep.engine.backups.catalog import find_shelf
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.verify import verify_set
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.drills.checks import look_for_tools, run_checks
from tablekeep.engine.drills.choice import Chosen, Scope, choose, choose_scope
from tablekeep.engine.drills.marks import scratch_tags
from tablekeep.engine.drills.record import keep_report
from tablekeep.engine.drills.report import DrillReport, judge, predicted
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.drills.restore_test import validate_restore
from tablekeep.engine.drills.scratch import scratch_name, sweep, tear_down
from tablekeep.engine.drills.table_page import drill_page
from tablekeep.engine.errors import IntegrityError, TablekeepError
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.prices import Prices, load_prices
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.differences import See
from tablekeep.engine.restore.intents import Intents
from tablekeep.engine.restore.kept import CUT, KeptBackup, apart, find_kept, nearest_set, table_arn_of
from tablekeep.engine.restore.plan import plan_restore
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.steps import KEPT_BY_AWS
from tablekeep.engine.restore.table import restore_table

NOT_EXERCISED = (
    "tags", "warm-throughput", "auto-scaling", "contributor-insights", "kinesis", "resource-policy", "point-in-time-recovery",
    "deletion-protection",
)  # fmt: skip
"""Settings that a scratch table goes without: they cost money, wake other systems, open access or outlive the table."""


def run_drill(
    request: DrillRequest,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    prices: Prices | None = None,
    actor: str,
    run: str,
    backup_clients: SessionClients | None = None,
    see: See | None = None,
) -> DrillReport:
    """Restores a backup to a scratch table and proves it.

    The scratch table is deleted in the end, after a failure too; what cannot be deleted is a problem of the report. One that an
    earlier try of this run has left is removed at the beginning, and so are those of dead runs.

    :param clients: of the account and Region where the scratch table is made. :param backup_clients: for the bucket, when it
        belongs to another account.
    :param see: is shown the items that differ: for a person's terminal only.
    :raises BadInputError: before anything is made: there is no backup to drill, it would cost too much, a check cannot be run.
    """
    check_table_name(request.table)
    bucket, root = parse_s3(request.backups)
    store = S3Store(backup_clients or clients, bucket)
    store.check()
    look_for_tools(request.checks)
    if request.restore_job or request.testing_plan:
        shelf = find_shelf(store, bucket, root, request.table, "drilling the table")
        return validate_restore(
            request, store, shelf, clients=clients, clock=clock, progress=progress, actor=actor, run=run, see=see
        )
    return _Drill(request, store, clients, backup_clients or clients, clock, progress, actor, run, see).carry_out(
        bucket, root, prices or load_prices()
    )


class _Drill:
    def __init__(
        self, request: DrillRequest, store: S3Store, clients: SessionClients, backup_clients: SessionClients, clock: Clock,
        progress: Progress, actor: str, run: str, see: See | None,
    ) -> None:  # fmt: skip
        self._request, self._store, self._clients, self._backup_clients = request, store, clients, backup_clients
        self._clock, self._progress, self._actor, self._run = clock, progress, actor, run
        self._see = see

    def carry_out(self, bucket: str, root: str, prices: Prices) -> DrillReport:
        request, clock = self._request, self._clock
        began, started = clock.monotonic(), clock.now()
        shelf = find_shelf(self._store, bucket, root, request.table, "drilling the table")
        chosen, kept = self._choose(shelf)
        manifest, found = chosen.manifest, clock.monotonic() - began
        scope = choose_scope(manifest, request.percent, clock, whole=request.path in KEPT_BY_AWS)
        scratch = scratch_name(request.table, self._run)
        restoring = RestoreRequest(
            scratch, manifest.uri, path=request.path, parts=scope.loaded, max_wcu=request.max_wcu, skip_settings=NOT_EXERCISED,
            max_usd=request.max_usd, backup_arn=kept.arn if kept else None, backup_role=request.backup_role,
        )  # fmt: skip
        report = DrillReport(
            request.table, manifest.uri, chosen.words, scratch, utc_text(started), as_of=utc_text(manifest.as_of),
            all_items=manifest.items, today_items=chosen.newest_items, source_backup=kept.arn if kept else "",
            rpo_seconds=round((started - (kept.moment - CUT if kept else manifest.consistent[0])).total_seconds(), 3),
            objectives=request.objectives.as_dict(), selection=scope.selection, scope=scope.words,
        )  # fmt: skip
        self._progress.phase("sweep")
        self._intents = Intents(self._store, shelf)
        swept = sweep(self._clients, clock, intents=[self._intents])
        report.swept = [one.as_dict() for one in swept.tables]
        report.left_alone = [one.as_dict() for one in swept.left_alone]
        tear_down(self._clients, scratch, self._run, clock, self._intents)  # what a killed try of this run has left
        self._plan(restoring, prices)
        try:
            self._restore(report, manifest, restoring, scope, found, prices)
        except TablekeepError as error:
            report.problems.append(str(error))
        finally:
            self._progress.phase("teardown")
            report.torn_down = self._tear_down(report)
        judge(report, request.objectives)
        report.seconds = round(clock.monotonic() - began, 3)
        keep_report(
            self._store, shelf, report, drill_page, manifest.backup_id, actor=self._actor, run=self._run, clock=clock
        )
        return report

    def _choose(self, shelf: Shelf) -> tuple[Chosen, KeptBackup | None]:
        """The set, and what AWS restores where the path says so: then the set is the one that can tell most of it."""
        request = self._request
        if request.path != "backup":
            return choose(self._store, shelf, request.choose, request.within, self._clock), None
        what = f"drilling the table {request.table}"
        kept = find_kept(self._clients, table_arn_of(shelf), request.backup_arn, request.backup_role, what)
        manifest = nearest_set(self._store, shelf, kept.moment, kept.table_id, what)
        words = f"{kept.kind} of {kept.at}, compared with the set {apart(manifest, kept.moment)}"
        newest = choose(self._store, shelf, "latest", None, self._clock)
        return Chosen(manifest, words, newest.newest_items), kept

    def _plan(self, restoring: RestoreRequest, prices: Prices) -> None:
        """:raises BadInputError: what cannot be done, or costs too much, is said before anything is made."""
        given = {
            "clients": self._clients,
            "backup_clients": self._backup_clients,
            "clock": self._clock,
            "progress": self._progress,
        }
        plan_restore(restoring, **given, prices=prices, count=False)  # type: ignore[arg-type]

    def _restore(
        self, report: DrillReport, manifest: Manifest, restoring: RestoreRequest, scope: Scope, found: float, prices: Prices
    ) -> None:  # fmt: skip
        clock, began = self._clock, self._clock.monotonic()
        opened = BackupSet(self._store, manifest)
        looked = verify_set(opened, "list", clock=clock, progress=self._progress)
        report.problems += looked.problems
        report.phases = {"find": round(found, 3), "verify": round(clock.monotonic() - began, 3)}
        try:
            restored = restore_table(
                restoring, clients=self._clients, clock=clock, progress=self._progress, actor=self._actor, run=self._run,
                tags=scratch_tags(self._run, clock), intents=self._intents, record=False, backup_clients=self._backup_clients,
                prices=prices, see=self._see, sample=scope.sample, reads=self._request.reads(clock),
            )  # fmt: skip
        except IntegrityError as error:
            if (unproved := getattr(error, "report", None)) is None:
                raise
            _take(report, unproved)
            raise IntegrityError("comparing the scratch table with the backup", error.why) from None
        _take(report, restored)
        if report.proved:
            report.rto_seconds = round(found + clock.monotonic() - began, 3)
            loaded = report.all_items if scope.whole else report.items
            report.predicted_seconds = predicted(report.phases, loaded, report.today_items, compared=report.items)
        if restored.unverified:
            report.problems.append(f"UNVERIFIED: {restored.unverified}")
        if self._request.checks:
            self._progress.phase("checks", len(self._request.checks), "checks")
            client = self._clients.client("dynamodb")
            report.checks = [
                one.as_dict() for one in run_checks(self._request.checks, opened, client, report.scratch_table)
            ]

    def _tear_down(self, report: DrillReport) -> bool:
        try:
            return tear_down(self._clients, report.scratch_table, self._run, self._clock, self._intents)
        except TablekeepError as error:
            report.problems.append(f"the scratch table {report.scratch_table} may be left, and costs money: {error}")
            return False


def _take(report: DrillReport, restored: RestoreReport) -> None:
    """What the restore did, proved or not."""
    report.items, report.content_hash, report.proved = restored.items, restored.content_hash, restored.proved
    report.compared = restored.compared
    for name, seconds in restored.phases.items():
        report.phases[name] = round(report.phases.get(name, 0.0) + seconds, 3)
    report.settings, report.differing = restored.settings, restored.differing
