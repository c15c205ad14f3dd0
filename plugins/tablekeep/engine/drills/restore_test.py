"""A restore test of AWS Backup, validated: AWS Backup restores and measures, and asks somebody else whether what it restored is right.

Its restore-testing plan makes a table of a recovery point, and removes it when the validation window is over. Here that table is read and
compared with the backup set of the recovery point's time, and AWS Backup is told the result. The table is AWS Backup's: it is not changed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.catalog import newest_verified
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients, error_code, translate, translated
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.drills.checks import run_checks
from tablekeep.engine.drills.choice import Scope, choose_scope
from tablekeep.engine.drills.record import keep_report
from tablekeep.engine.drills.report import DrillReport, judge, predicted
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.drills.table_page import drill_page
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.dynamodb.profile import compare_settings
from tablekeep.engine.dynamodb.reapply import SKIPPABLE, NotRestored, plan_settings
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.dynamodb.tables import CreatedTable
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError, TransientError
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.by_key import read_back
from tablekeep.engine.restore.differences import See, explain, find
from tablekeep.engine.restore.kept import CUT, apart, nearest_set, same_moment, table_arn_of
from tablekeep.engine.restore.proof import STATES, counted
from tablekeep.engine.restore.report import BY_KEY, BY_SCAN
from tablekeep.engine.restore.sides import PagesSide, TableSide, backup_side

NOT_RESTORED = ("table class", "encryption", "stream", "deletion protection")
"""What a restore test's table has by itself, whatever the source has (AWS Backup guide, "Restore testing inferred metadata"; Developer
Guide, "Restoring a table")."""
MESSAGE = 900
"""Characters of the message that AWS Backup is told; how many it takes is not documented."""


_Differ = tuple[dict[str, int], list[tuple[bytes, str]]]
"""How many items differ, by state, and the first of their keys with their states."""


class _Late(TransientError):
    """The validation's time is over."""


@dataclass
class _Timed:
    """Progress that ends what reports it when the time is over."""

    inner: Progress
    clock: Clock
    until: float | None

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        self._check()
        self.inner.phase(name, total, unit)

    def advance(self, count: int, byte_count: int = 0) -> None:
        self._check()
        self.inner.advance(count, byte_count)

    def note(self, text: str) -> None:
        self.inner.note(text)

    def _check(self) -> None:
        if self.until is not None and self.clock.monotonic() > self.until:
            raise _Late("validating the restore", "the time for it is over", "give it more")


def validate_restore(
    request: DrillRequest,
    store: Store,
    shelf: Shelf,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    actor: str,
    run: str,
    see: See | None = None,
) -> DrillReport:
    """Compares the table of a restore job with the backup set of its recovery point's time, and tells AWS Backup.

    SUCCESSFUL: it is equal, its keys and indexes are as they were, and the checks of the team passed. TIMED_OUT: `request.max_seconds`
    were over. FAILED: everything else; where no set shows the recovery point's moment nothing is proved, and that is FAILED, too.

    :param request: `restore_job` names the job, or `testing_plan` the plan, whose newest job without a result is taken.
    :param see: is shown the items that differ: for a person's terminal only.
    :raises BadInputError: when there is no such job or table, or it is of another table. :raises TransientError: while the job runs.
    """
    began, started = clock.monotonic(), clock.now()
    what = f"validating the restore test of {request.table}"
    vaults, table_arn = clients.client("backup"), table_arn_of(shelf)
    with translated(what):
        job = _job(vaults, request, table_arn, what)
    name, moment = _checked(job, clients, table_arn, what)
    settings = read_settings(clients, name)
    manifest = nearest_set(store, shelf, moment, "", what)
    newest = newest_verified(store, shelf) or manifest
    scope = choose_scope(manifest, request.percent, clock, whole=True)
    report = DrillReport(
        request.table, manifest.uri, f"recovery point of {utc_text(moment)}, compared with the set {apart(manifest, moment)}", name,
        utc_text(started), as_of=utc_text(manifest.as_of), all_items=manifest.items, today_items=newest.items,
        rpo_seconds=round((job["CreationDate"] - (moment - CUT)).total_seconds(), 3), objectives=request.objectives.as_dict(),
        source_backup=str(job["RecoveryPointArn"]), restore_job=str(job["RestoreJobId"]), selection=scope.selection, scope=scope.words,
    )  # fmt: skip
    report.phases = {
        "find": round(clock.monotonic() - began, 3),
        "load": round((job["CompletionDate"] - job["CreationDate"]).total_seconds(), 3),
    }
    until = began + request.max_seconds if request.max_seconds else None
    try:
        _prove(
            report, store, manifest, moment, settings, clients, clock, _Timed(progress, clock, until), see, scope, request.reads(clock)
        )  # fmt: skip
        _check(report, store, manifest, request, clients, progress)
        wrong = report.problems or [f"setting {one['name']} differs" for one in report.settings if not one["told"]]
        wrong += [f"check {one['name']} failed: {one['why']}" for one in report.checks if not one["passed"]]
        status = "FAILED" if wrong else "SUCCESSFUL"
    except _Late as error:
        status, wrong = "TIMED_OUT", [f"{error.why}: {request.max_seconds:,.0f} s"]
        report.problems.append(f"TIMED_OUT: {error.why}")
    message = "; ".join(wrong) or (
        f"{report.items:,} items are equal to the backup set {manifest.backup_id}, content hash {report.content_hash}"
    )
    if scope.sample is not None:
        message = f"{scope.words}; {message}"
    if report.proved:
        report.rto_seconds = round(sum(report.phases.values()), 3)
        report.predicted_seconds = predicted(report.phases, report.all_items, report.today_items, compared=report.items)
    _post(report, vaults, job, status, f"tablekeep: {message}"[:MESSAGE], progress)
    judge(report, request.objectives)
    report.seconds = round(clock.monotonic() - began, 3)
    keep_report(store, shelf, report, drill_page, manifest.backup_id, actor=actor, run=run, clock=clock)
    return report


def _job(vaults: Any, request: DrillRequest, table_arn: str, what: str) -> dict[str, Any]:
    """The job that is meant."""
    if request.restore_job:
        try:
            described: dict[str, Any] = vaults.describe_restore_job(RestoreJobId=request.restore_job)
        except botocore.exceptions.ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            raise BadInputError(
                what, f"AWS Backup has no restore job {request.restore_job[:60]}", "take its id from AWS Backup"
            ) from None
        return described
    pages = vaults.get_paginator("list_restore_jobs").paginate(
        ByRestoreTestingPlanArn=request.testing_plan, ByResourceType="DynamoDB"
    )
    jobs = [one for page in pages for one in page["RestoreJobs"] if one.get("SourceResourceArn") == table_arn]
    newest: dict[str, Any] | None = max(jobs, key=lambda one: one["CreationDate"], default=None)
    if newest is None:
        raise BadInputError(
            what, f"the plan {request.testing_plan} has restored nothing of {table_arn}", "look at the plan"
        )
    if newest.get("ValidationStatus") in ("SUCCESSFUL", "FAILED", "TIMED_OUT"):
        raise BadInputError(
            what, f"the plan's newest job, of {utc_text(newest['CreationDate'])}, has the result {newest['ValidationStatus']}",
            "run this between the plan's restore and the end of its validation window; name a job to look at it again",
        )  # fmt: skip
    return newest


def _checked(job: dict[str, Any], clients: SessionClients, table_arn: str, what: str) -> tuple[str, datetime]:
    """Name of the restored table, and the recovery point's time."""
    if job.get("ResourceType", "DynamoDB") != "DynamoDB":
        raise BadInputError(what, f"the job restored a resource of {job['ResourceType']}", "name one of a table")
    if job["Status"] in ("PENDING", "RUNNING"):
        raise TransientError(what, f"AWS Backup is still restoring ({job.get('PercentDone', '')})", "try again later")
    if job["Status"] != "COMPLETED":
        raise PermanentError(
            what,
            f"the job ended {job['Status']}: {job.get('StatusMessage') or 'no message'}",
            "look at it in AWS Backup",
        )
    source = job.get("SourceResourceArn", table_arn)
    if source != table_arn:
        raise BadInputError(what, f"the job restored {source}", "name the pipeline of that table")
    words = str(job["CreatedResourceArn"]).split(":")
    if (words[3], words[4]) != (clients.region, clients.account()):
        raise BadInputError(what, f"the job's table is in {words[4]}/{words[3]}", "take a connection of that place")
    moment: datetime | None = job.get("RecoveryPointCreationDate")
    if moment is None:
        raise PermanentError(
            what, "AWS Backup does not tell the recovery point's time", "name the job: --restore-job ID"
        )
    return words[-1].removeprefix("table/"), moment


def _prove(
    report: DrillReport, store: Store, manifest: Manifest, moment: datetime, settings: TableSettings, clients: SessionClients,
    clock: Clock, progress: Progress, see: See | None, scope: Scope, reads: TokenBucket | None,
) -> None:  # fmt: skip
    began, opened = clock.monotonic(), BackupSet(store, manifest)
    if settings.key_names != tuple(manifest.key_names):
        report.problems.append(f"the table's key is {', '.join(settings.key_names)}")
        return
    backup = backup_side(opened, progress, scope.sample)
    table = TableSide(clients, clock, progress, settings.table, budget=reads)
    if scope.sample is None:
        counts, keys = _whole(report, manifest, backup, table)
    else:
        counts, keys = _sample(report, backup, settings, clients, clock, progress, reads)
    if not report.proved:
        for one in explain(backup, table, keys, whole=see is not None):
            report.differing.append(one.told(STATES))
            if see is not None:
                see(one)
        word = (
            "it differs from"
            if same_moment(manifest, moment)
            else "UNVERIFIED: it differs, and nothing shows that moment:"
        )
        report.problems.append(
            f"{word} the backup set {manifest.backup_id}, {apart(manifest, moment)}: {counted(counts)}"
        )
    report.phases["proof"] = round(clock.monotonic() - began, 3)
    wanted = TableSettings.from_document(opened.document("table"))
    created = CreatedTable(settings.table, settings.table_id, settings.arn, settings.region, "")
    told = [*plan_settings(wanted, created, skip=SKIPPABLE).missing, *(NotRestored(one, "") for one in NOT_RESTORED)]
    report.settings = [one.as_dict() for one in compare_settings(wanted, settings, told=told)]
    report.phases["settings"] = round(clock.monotonic() - began - report.phases["proof"], 3)


def _whole(report: DrillReport, manifest: Manifest, backup: PagesSide, table: TableSide) -> _Differ:
    """Reads the table whole; what differs."""
    actual = table.hasher().whole
    report.compared, report.content_hash, report.items = BY_SCAN, str(actual), actual.count
    report.proved = actual == manifest.content
    if report.proved:
        return {}, []
    found = find(backup, table)
    return found.counts, found.keys


def _sample(
    report: DrillReport, backup: PagesSide, settings: TableSettings, clients: SessionClients, clock: Clock, progress: Progress,
    reads: TokenBucket | None,
) -> _Differ:  # fmt: skip
    """Asks for the sample's items by their keys; what differs."""
    progress.phase("proof", backup.expected())
    wire = WireClient(clients)
    try:
        back = read_back(
            wire, settings.table, list(settings.key_names), backup.pages(), progress, clock=clock, budget=reads
        )  # fmt: skip
    finally:
        wire.close()
    report.compared, report.content_hash, report.items = BY_KEY, str(back.content), back.content.count
    report.proved = not any(back.counts.values())
    return back.counts, back.keys


def _check(
    report: DrillReport, store: Store, manifest: Manifest, request: DrillRequest, clients: SessionClients, progress: Progress
) -> None:  # fmt: skip
    if request.checks:
        progress.phase("checks", len(request.checks), "checks")
        opened, database = BackupSet(store, manifest), clients.client("dynamodb")
        report.checks = [one.as_dict() for one in run_checks(request.checks, opened, database, report.scratch_table)]


def _post(report: DrillReport, vaults: Any, job: dict[str, Any], status: str, message: str, progress: Progress) -> None:
    """Tells AWS Backup; that it could not be told is a problem of the report."""
    if not (job.get("CreatedBy") or {}).get("RestoreTestingPlanArn"):
        progress.note("no restore-testing plan made this restore: AWS Backup takes no result of it")
        return
    what = f"telling AWS Backup the result of the restore job {report.restore_job}"
    try:
        vaults.put_restore_validation_result(
            RestoreJobId=report.restore_job, ValidationStatus=status, ValidationStatusMessage=message
        )
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        failure: TablekeepError = translate(error, what)
        report.problems.append(f"{status} was not told: {failure}")
        return
    report.posted = {"status": status, "message": message}
