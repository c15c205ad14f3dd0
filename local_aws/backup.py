"""AWS Backup for DynamoDB tables, as far as restores need it: recovery points, restore jobs, and results of restore tests.

Vaults are moto's, which has none of this. A restore-testing plan is not run by a clock here: `POST /local-aws/backup/restore-test` does
what one does, with `{"RecoveryPointArn": …, "RestoreTestingPlanArn": …}`; it answers with the job.
"""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from moto.backup.models import backup_backends
from moto.dynamodb.models import dynamodb_backends

from local_aws.dynamodb.snapshots import Snapshot, snapshot_of, table_of
from local_aws.dynamodb.tables import find_table, scope
from local_aws.responses import Response, ServiceError

if TYPE_CHECKING:
    from local_aws.application import Switches

PLAN = re.compile("arn:aws:backup:[a-z0-9-]+:[0-9]{12}:restore-testing-plan:[A-Za-z0-9_-]+")
ROLE = re.compile(r"arn:aws:iam::[0-9]{12}:role/[\w+=,.@/-]+")
METADATA = {"targettablename", "encryptiontype", "kmsmasterkeyarn"}
"""What a restore of a DynamoDB table may be told; the case does not count (AWS Backup guide, "Restore testing inferred metadata")."""
RESULTS = {"SUCCESSFUL", "FAILED", "TIMED_OUT", "VALIDATING"}


@dataclass
class _Point:
    arn: str
    vault: str
    taken: Snapshot
    at: datetime


@dataclass
class _Job:
    described: dict[str, Any]
    polls_left: int
    make: Callable[[], None]
    made: bool = False
    asked: dict[str, Any] = field(default_factory=dict)


class AwsBackup:
    """Answers requests that are signed for `backup`; None for those that moto answers."""

    def __init__(self, switches: "Switches", now: Callable[[], datetime]) -> None:
        self._switches, self._now = switches, now
        self._points: dict[str, _Point] = {}
        self._jobs: dict[str, _Job] = {}
        self._tokens: dict[str, str] = {}

    def reset(self) -> None:
        self._points.clear()
        self._jobs.clear()
        self._tokens.clear()

    @staticmethod
    def is_mine(environ: dict[str, Any]) -> bool:
        return "/backup/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")

    def __call__(self, environ: dict[str, Any]) -> Response | None:
        path, method = (
            environ.get("REQUEST_URI", environ.get("PATH_INFO", "")).partition("?")[0],
            environ["REQUEST_METHOD"],
        )
        words = [unquote(word) for word in path.strip("/").split("/")]
        body: dict[str, Any] = json.loads(environ["local_aws.body"] or b"{}")
        try:
            answer = self._answer(method, words, body, environ)
        except ServiceError as error:
            document = {"Code": error.code, "Message": error.message}
            return Response(
                error.status, json.dumps(document).encode(), "application/json", [("x-amzn-ErrorType", error.code)]
            )
        if answer is None:
            return None
        status = 204 if words[-1] == "validations" else 200
        return Response(status, b"" if status == 204 else json.dumps(answer).encode(), "application/json")

    def _answer(
        self, method: str, words: list[str], body: dict[str, Any], environ: dict[str, Any]
    ) -> dict[str, Any] | None:
        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        match [method, *words]:
            case ["PUT", "backup-jobs"]:
                return self._start_backup(environ, body)
            case ["GET", "resources", arn, "recovery-points"]:
                return self._list_points(environ, arn)
            case ["GET", "backup-vaults", vault, "recovery-points", arn]:
                return self._described_point(self._point(environ, arn, vault), environ)
            case ["PUT", "restore-jobs"]:
                return self._start_restore(environ, body)
            case ["GET", "restore-jobs"]:
                return self._list_jobs(environ, query)
            case ["GET", "restore-jobs", job]:
                return self._describe_job(environ, job)
            case ["PUT", "restore-jobs", job, "validations"]:
                return self._validated(environ, job, body)
        return None

    def _start_backup(self, environ: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        account, region = scope(environ)
        vault, role = str(body.get("BackupVaultName")), str(body.get("IamRoleArn"))
        if vault != "Default" and vault not in backup_backends[account][region].vaults:
            raise ServiceError("ResourceNotFoundException", f"There is no vault {vault}")
        if not ROLE.fullmatch(role):
            raise ServiceError("InvalidParameterValueException", "IamRoleArn is no role's ARN")
        try:
            table = find_table(environ, body.get("ResourceArn"))
        except ServiceError as error:
            raise ServiceError("ResourceNotFoundException", "There is no such table") from error
        arn, now = f"arn:aws:backup:{region}:{account}:recovery-point:{str(uuid.uuid4()).upper()}", self._now()
        self._points[arn] = _Point(arn, vault, snapshot_of(table), now)
        return {"BackupJobId": str(uuid.uuid4()), "RecoveryPointArn": arn, "CreationDate": now.timestamp()}

    def _point(self, environ: dict[str, Any], arn: str, vault: str | None = None) -> _Point:
        point = self._points.get(arn)
        account, region = scope(environ)
        if point is None or arn.split(":")[3:5] != [region, account] or vault not in (None, point.vault):
            raise ServiceError("ResourceNotFoundException", "There is no such recovery point")
        return point

    @staticmethod
    def _listed_point(point: _Point) -> dict[str, Any]:
        return {
            "RecoveryPointArn": point.arn, "CreationDate": point.at.timestamp(), "Status": "COMPLETED",
            "BackupVaultName": point.vault, "ResourceName": point.taken.table, "VaultType": "BACKUP_VAULT", "IsParent": False,
        }  # fmt: skip

    def _described_point(self, point: _Point, environ: dict[str, Any]) -> dict[str, Any]:
        account, region = scope(environ)
        return self._listed_point(point) | {
            "BackupVaultArn": f"arn:aws:backup:{region}:{account}:backup-vault:{point.vault}", "ResourceArn": point.taken.arn,
            "ResourceType": "DynamoDB", "CompletionDate": point.at.timestamp(), "BackupSizeInBytes": point.taken.size,
        }  # fmt: skip

    def _list_points(self, environ: dict[str, Any], arn: str) -> dict[str, Any]:
        account, region = scope(environ)
        listed = [
            self._listed_point(one) | {"BackupSizeBytes": one.taken.size}
            for one in self._points.values()
            if one.taken.arn == arn and one.arn.split(":")[3:5] == [region, account]
        ]
        return {"RecoveryPoints": listed}

    def _start_restore(self, environ: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        token, asked = body.get("IdempotencyToken"), {**body, "IdempotencyToken": None}
        if token in self._tokens:
            if self._jobs[self._tokens[token]].asked != asked:
                raise ServiceError("InvalidParameterValueException", "The token was used with other parameters")
            return {"RestoreJobId": self._tokens[token]}
        point = self._point(environ, str(body.get("RecoveryPointArn")))
        told = {name.lower(): value for name, value in (body.get("Metadata") or {}).items()}
        if unknown := sorted(set(told) - METADATA):
            raise ServiceError("InvalidParameterValueException", f"A DynamoDB table is not restored with {unknown[0]}")
        if not re.fullmatch("[a-zA-Z0-9_.-]{3,255}", told.get("targettablename", "")):
            raise ServiceError("MissingParameterValueException", "targetTableName is no table's name")
        if body.get("ResourceType", "DynamoDB") != "DynamoDB":
            raise ServiceError("InvalidParameterValueException", "The recovery point is of a DynamoDB table")
        if not ROLE.fullmatch(str(body.get("IamRoleArn"))):
            raise ServiceError("InvalidParameterValueException", "IamRoleArn is no role's ARN")
        job = self._job(point, told, asked, None)
        if token:
            self._tokens[token] = job
        return {"RestoreJobId": job}

    def _job(self, point: _Point, told: dict[str, str], asked: dict[str, Any], plan: str | None) -> str:
        region, account = point.arn.split(":")[3:5]
        job, now = str(uuid.uuid4()).upper(), self._now()
        described: dict[str, Any] = {
            "AccountId": account, "RestoreJobId": job, "RecoveryPointArn": point.arn, "SourceResourceArn": point.taken.arn,
            "CreationDate": now.timestamp(), "Status": "RUNNING", "PercentDone": "0.00%", "ResourceType": "DynamoDB",
            "BackupSizeInBytes": point.taken.size, "RecoveryPointCreationDate": point.at.timestamp(), "IsParent": False,
            "IamRoleArn": str(asked.get("IamRoleArn", "")),
        }  # fmt: skip
        if plan:
            described["CreatedBy"] = {"RestoreTestingPlanArn": plan}
        self._jobs[job] = _Job(
            described, self._switches.backup_restore_polls, lambda: self._make(job, point, told, account, region), asked=asked
        )  # fmt: skip
        if not self._switches.backup_restore_polls:
            self._end(self._jobs[job])
        return job

    def _make(self, job: str, point: _Point, told: dict[str, str], account: str, region: str) -> None:
        described, name = self._jobs[job].described, told["targettablename"]
        if name in dynamodb_backends[account][region].tables:
            described |= {"Status": "FAILED", "StatusMessage": f"Table already exists: {name}"}
            return
        overrides: dict[str, Any] = {"SSESpecificationOverride": None}
        if told.get("encryptiontype", "Default").lower() != "default":
            key = told.get("kmsmasterkeyarn")
            overrides["SSESpecificationOverride"] = {"Enabled": True, "SSEType": "KMS"} | (
                {"KMSMasterKeyId": key} if key else {}
            )
        summary = {"SourceTableArn": point.taken.arn, "RestoreDateTime": point.at.timestamp()}
        table = table_of(
            point.taken, name, account=account, region=region, now=self._now(), overrides=overrides, summary=summary,
            polls=self._switches.dynamodb_restore_polls,
        )  # fmt: skip
        described |= {"Status": "COMPLETED", "PercentDone": "100.00%", "CreatedResourceArn": table.table_arn}

    def _end(self, job: _Job) -> None:
        if not job.made:
            job.made = True
            job.make()
            job.described["CompletionDate"] = self._now().timestamp()

    def _known(self, environ: dict[str, Any], job: str) -> _Job:
        found = self._jobs.get(job)
        if found is None or found.described["AccountId"] != scope(environ)[0]:
            raise ServiceError("ResourceNotFoundException", "There is no such restore job")
        return found

    def _describe_job(self, environ: dict[str, Any], job: str) -> dict[str, Any]:
        return self._polled(self._known(environ, job))

    def _polled(self, job: _Job) -> dict[str, Any]:
        """What is said of a job; each answer brings it nearer to its end."""
        if job.polls_left > 0:
            job.polls_left -= 1
        else:
            self._end(job)
        return job.described

    def _list_jobs(self, environ: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        account, _ = scope(environ)
        after = query.get("createdAfter")
        since = datetime.fromisoformat(after.replace("Z", "+00:00")).astimezone(UTC).timestamp() if after else 0
        listed = [
            self._polled(one)
            for one in reversed(self._jobs.values())
            if one.described["AccountId"] == account
            and one.described["CreationDate"] >= since
            and query.get("resourceType", "DynamoDB") == "DynamoDB"
            and query.get("status") in (None, one.described["Status"])
            and query.get("restoreTestingPlanArn")
            in (None, one.described.get("CreatedBy", {}).get("RestoreTestingPlanArn"))
        ]
        return {"RestoreJobs": listed}

    def _validated(self, environ: dict[str, Any], job: str, body: dict[str, Any]) -> dict[str, Any]:
        described, status = self._known(environ, job).described, body.get("ValidationStatus")
        if status not in RESULTS:
            raise ServiceError(
                "InvalidParameterValueException", f"ValidationStatus is one of {', '.join(sorted(RESULTS))}"
            )
        if described["Status"] != "COMPLETED" or "CreatedBy" not in described:
            raise ServiceError("InvalidRequestException", "Only a restore test that is COMPLETED is validated")
        described["ValidationStatus"] = status
        if "ValidationStatusMessage" in body:
            described["ValidationStatusMessage"] = body["ValidationStatusMessage"]
        return {}

    def restore_test(self, body: dict[str, Any]) -> dict[str, Any]:
        """What a restore-testing plan does when its time has come. :raises ValueError: for a plan or point that is none."""
        plan, point = str(body.get("RestoreTestingPlanArn")), self._points.get(str(body.get("RecoveryPointArn")))
        if point is None or not PLAN.fullmatch(plan):
            raise ValueError("give RecoveryPointArn, of one that exists, and RestoreTestingPlanArn")
        told = {"targettablename": f"awsbackup-restore-test-{uuid.uuid4().hex[:12]}", "encryptiontype": "Default"}
        return self._jobs[self._job(point, told, {}, plan)].described
