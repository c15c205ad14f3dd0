"""DynamoDB's own export of a past state, started once a run and waited for; needs no permission to read items.

ExportTableToPointInTime costs money each time it is started. So the request, with a ClientToken that follows from the backup's id, is
kept in the set's `_state/` before it is sent, and the export's ARN after: a later try finds it and starts no second one.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.location import NATIVE, STATE, SetLocation
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.checkpoints import Checkpoint
from tablekeep.engine.clients import SessionClients, error_code, translate, translated
from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.export.native import NativeExport, read_native
from tablekeep.engine.progress import Progress

POLL_SECONDS = 15.0
LONGEST_LAG = timedelta(minutes=30)
"""The service speaks of five minutes; a longer lag is told instead of waited for."""
SOON = timedelta(minutes=5)
"""A time that comes within this is waited for."""
IN_PROGRESS, COMPLETED = "IN_PROGRESS", "COMPLETED"


@dataclass(frozen=True)
class Window:
    """Between which times the table's state can be asked for."""

    earliest: datetime
    latest: datetime


def recovery_window(clients: SessionClients, table: str) -> Window:
    """The table's window of point-in-time recovery.

    :raises BadInputError: when it is off.
    """
    what = f"asking for the recovery window of the table {table}"
    with translated(what):
        answer = clients.client("dynamodb").describe_continuous_backups(TableName=table)
    found = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription") or {}
    if found.get("PointInTimeRecoveryStatus") != "ENABLED":
        raise BadInputError(
            what,
            "point-in-time recovery is off, so the service keeps no past of it",
            "turn it on (aws dynamodb update-continuous-backups), or export by scan",
        )
    return Window(
        found["EarliestRestorableDateTime"].astimezone(UTC), found["LatestRestorableDateTime"].astimezone(UTC)
    )


def check_time(window: Window, table: str, as_of: datetime, now: datetime) -> None:
    """That the table's state at a time can be had, now or soon.

    :raises BadInputError: for a time before the window, or in the future.
    """
    what = f"exporting the table {table} as of {utc_text(as_of)}"
    if as_of < window.earliest:
        raise BadInputError(
            what,
            f"the service keeps its past since {utc_text(window.earliest)} only",
            "name a later time, or use a backup that was made then (`tablekeep list`)",
        )
    if as_of > now + SOON:
        raise BadInputError(what, "that time is in the future", "name a time that has passed")
    if as_of - window.latest > LONGEST_LAG:
        raise BadInputError(
            what,
            f"the latest restorable time is {utc_text(window.latest)}, far behind",
            "look at the table's continuous backups in the console",
        )


def wait_for_time(clients: SessionClients, clock: Clock, progress: Progress, table: str, as_of: datetime) -> None:
    """Waits until the service can give the state at `as_of`: it lags some minutes behind.

    :raises BadInputError: see `check_time`.
    """
    told = False
    while True:
        window = recovery_window(clients, table)
        check_time(window, table, as_of, clock.now())
        if window.latest >= as_of:
            return
        if not told:
            progress.note(f"waiting until the service can give the state of {utc_text(as_of)}")
            told = True
        clock.sleep(min(POLL_SECONDS, max(1.0, (as_of - window.latest).total_seconds())))


def start_native(
    clients: SessionClients,
    store: Store,
    location: SetLocation,
    settings: TableSettings,
    as_of: datetime,
    *,
    since: datetime | None = None,
    encryption: str | None,
    owner: str | None,
) -> str:
    """Starts the export, or finds the one that an earlier try has started; returns its ARN.

    :param since: for an incremental export: of the changes from then until `as_of`.
    :raises BadInputError: when recovery is off or the time is outside of its window. :raises TablekeepError: as the service refuses.
    """
    checkpoint = Checkpoint(store, location.key(f"{STATE}/native.json"), AlreadyExistsError)
    known = checkpoint.load()
    if known is None:
        known = {
            "request": _request(location, settings, encryption, owner),
            "since": utc_text(since) if since else None,
            "as_of": utc_text(as_of),
            "arn": None,
        }
        checkpoint.save(known)  # before the call: whoever comes after a crash asks with the same token
        found = None
    else:
        found = known["arn"] or _listed(clients, settings, known["request"])
    if found is None:
        found = _start(clients, settings, known["request"] | _times(known))
    if known["arn"] is None:
        checkpoint.save(known | {"arn": found})
    return str(found)


def begun_window(store: Store, location: SetLocation) -> tuple[datetime, datetime] | None:
    """Of which changes the service's export was asked for in this folder; None when none was, or a full one."""
    known = Checkpoint(store, location.key(f"{STATE}/native.json"), AlreadyExistsError).load()
    return (parse_utc(known["since"]), parse_utc(known["as_of"])) if known and known["since"] else None


def may_export(clients: SessionClients, settings: TableSettings, bucket: str) -> str | None:
    """Why the service's export may not be asked for, or None: an export of the year 1970 is asked for, which it can only refuse.

    That it looks at the permission before it looks at the time is UNCONFIRMED.
    """
    request = {
        "TableArn": settings.arn,
        "S3Bucket": bucket,
        "ExportFormat": "DYNAMODB_JSON",
        "ExportTime": datetime.fromtimestamp(1, UTC),
    }
    try:
        clients.client("dynamodb").export_table_to_point_in_time(**request)
    except botocore.exceptions.ClientError as error:
        refused = error_code(error) in ("AccessDeniedException", "AccessDenied")
        return f"dynamodb:ExportTableToPointInTime is refused ({error_code(error)})" if refused else None
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, f"asking whether the table {settings.table} may be exported") from error
    return None


def _times(known: dict[str, Any]) -> dict[str, Any]:
    as_of = parse_utc(known["as_of"])
    if not known["since"]:
        return {"ExportType": "FULL_EXPORT", "ExportTime": as_of}
    window = {"ExportFromTime": parse_utc(known["since"]), "ExportToTime": as_of}
    return {
        "ExportType": "INCREMENTAL_EXPORT",
        "IncrementalExportSpecification": window | {"ExportViewType": "NEW_AND_OLD_IMAGES"},
    }


def _request(
    location: SetLocation, settings: TableSettings, encryption: str | None, owner: str | None
) -> dict[str, Any]:
    key = {"S3SseAlgorithm": "AES256"}
    if encryption and encryption not in ("SSE-S3", "AES256"):
        key = {"S3SseAlgorithm": "KMS", "S3SseKmsKeyId": encryption}
    return {
        "TableArn": settings.arn,
        "S3Bucket": location.shelf.bucket,
        "S3Prefix": location.key(NATIVE),
        "ExportFormat": "DYNAMODB_JSON",
        "ClientToken": hashlib.sha256(f"tablekeep {location.backup_id} {settings.table_id}".encode()).hexdigest()[:32],
        **({"S3BucketOwner": owner} if owner else {}),
        **key,
    }


def _start(clients: SessionClients, settings: TableSettings, request: dict[str, Any]) -> str:
    what = f"starting the export of the table {settings.table}"
    try:
        answer = clients.client("dynamodb").export_table_to_point_in_time(**request)
    except botocore.exceptions.ClientError as error:
        code = error_code(error)
        if code in ("PointInTimeRecoveryUnavailableException", "InvalidExportTimeException"):
            raise BadInputError(what, f"{code}: {error.response['Error'].get('Message', '')}") from None
        raise translate(error, what) from error
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, what) from error
    return str(answer["ExportDescription"]["ExportArn"])


def _listed(clients: SessionClients, settings: TableSettings, request: dict[str, Any]) -> str | None:
    """An export that was asked for with this token, whose answer was lost; a token is forgotten after eight hours, exports are not."""
    client = clients.client("dynamodb")
    more: dict[str, str] = {}
    with translated(f"listing the exports of the table {settings.table}"):
        while True:
            page = client.list_exports(TableArn=settings.arn, MaxResults=25, **more)
            for one in page["ExportSummaries"]:
                description = client.describe_export(ExportArn=one["ExportArn"])["ExportDescription"]
                if description.get("ClientToken") == request["ClientToken"]:
                    return str(one["ExportArn"])
            if not page.get("NextToken"):
                return None
            more = {"NextToken": page["NextToken"]}


def native_status(clients: SessionClients, arn: str) -> tuple[str, str]:
    """The export's status, and when it is complete the key of its manifest.

    :raises PermanentError: when it failed, with the service's reason.
    """
    what = f"waiting for the export {arn}"
    with translated(what):
        found = clients.client("dynamodb").describe_export(ExportArn=arn)["ExportDescription"]
    status = str(found["ExportStatus"])
    if status not in (IN_PROGRESS, COMPLETED):
        why = f"it ended {status} ({found.get('FailureCode', 'no code')}: {found.get('FailureMessage', 'no message')})"
        raise PermanentError(what, why, "correct that, then begin a new backup")
    return status, str(found.get("ExportManifest", ""))


def wait_for_native(
    clients: SessionClients,
    clock: Clock,
    store: Store,
    progress: Progress,
    arn: str,
) -> tuple[str, NativeExport]:
    """Waits until the export is complete and reads its manifests; returns the key of its summary, too."""
    progress.phase("export by DynamoDB", None)
    progress.note(f"{arn} runs in the service; ending this process does not end it")
    while True:
        status, manifest = native_status(clients, arn)
        if status == COMPLETED:
            return manifest, read_native(store, manifest)
        clock.sleep(POLL_SECONDS)
