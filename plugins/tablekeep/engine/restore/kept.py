"""A backup that AWS keeps of a table, on-demand or a recovery point: the one that is meant, and the backup set that can prove it."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.catalog import usable_sets
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients, error_code, translate, translated
from tablekeep.engine.clock import parse_utc, utc_text
from tablekeep.engine.dynamodb.native import RECOVERY_POINT, native_backups
from tablekeep.engine.errors import BadInputError, TransientError

CUT = timedelta(minutes=1)
"""A backup of DynamoDB's holds all that was written until a minute before its time, and nothing from a minute after it (API Reference,
"CreateBackup")."""
DEFAULT_ROLE = "service-role/AWSBackupDefaultServiceRole"
"""The role that AWS Backup makes for itself in an account."""


@dataclass(frozen=True)
class KeptBackup:
    """One that AWS keeps.

    :ivar kind: in words. :ivar at: its time, to within a minute. :ivar table_id: of the table; empty where AWS does not tell it.
    :ivar role: with which AWS Backup restores; empty for DynamoDB's own. :ivar size: bytes.
    """

    arn: str
    kind: str
    at: str
    table: str
    table_id: str
    size: int
    role: str

    @property
    def moment(self) -> datetime:
        return parse_utc(self.at)

    @property
    def by_aws_backup(self) -> bool:
        """Whether AWS Backup restores it; one with an ARN of DynamoDB's is restored by DynamoDB, whoever made it."""
        return self.arn.split(":")[2] == "backup"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_kept(clients: SessionClients, table_arn: str, arn: str | None, role: str | None, what: str) -> KeptBackup:
    """The backup of this ARN, else the newest one that AWS keeps of the table.

    :param clients: of the account and Region where the new table will be: there is where the backup must lie.
    :param role: with which AWS Backup restores; its own default role when not given.
    :raises BadInputError: when there is none, or it lies elsewhere. :raises TransientError: while it is being made.
    """
    if arn is None:
        found = native_backups(clients, table_arn)
        listed = [(one.to, one.name) for one in found if one.restorable and one.name and one.to]
        if not listed:
            refused = ", ".join(f"{one.kind}: {one.refused}" for one in found if one.refused)
            why = f"AWS keeps no backup of {table_arn.rsplit('/', 1)[-1]} in {clients.region}"
            raise BadInputError(
                what, f"{why} ({refused})" if refused else why, "make one, or leave the path to auto: a backup set needs none"
            )  # fmt: skip
        arn = max(listed)[1]
    words = arn.split(":")
    if len(words) < 6 or words[2] not in ("dynamodb", "backup"):
        raise BadInputError(what, f"{arn[:100]} is no backup's ARN", "take one from `tablekeep list --service`")
    account = clients.account()
    if (words[3], words[4]) != (clients.region, account):
        raise BadInputError(
            what, f"the backup lies in {words[4]}/{words[3]}, and the new table will be in {account}/{clients.region}",
            "copy it there with AWS Backup, or leave the path to auto for another account or Region",
        )  # fmt: skip
    if words[2] == "backup":
        return _recovery_point(clients, table_arn, arn, role or f"arn:aws:iam::{account}:role/{DEFAULT_ROLE}", what)
    return _on_demand(clients, arn, what)


def _on_demand(clients: SessionClients, arn: str, what: str) -> KeptBackup:
    try:
        described = clients.client("dynamodb").describe_backup(BackupArn=arn)["BackupDescription"]
    except botocore.exceptions.ClientError as error:
        if error_code(error) == "BackupNotFoundException":
            raise BadInputError(
                what, "there is no such backup any more", "take one from `tablekeep list --service`"
            ) from None
        raise translate(error, what) from error
    details, table = described["BackupDetails"], described.get("SourceTableDetails") or {}
    if details["BackupStatus"] == "CREATING":
        raise TransientError(what, "the backup is being made", "try again in a few minutes")
    kinds = {"USER": "on-demand backup", "SYSTEM": "backup of the deleted table"}
    return KeptBackup(
        arn, kinds.get(details["BackupType"], RECOVERY_POINT), utc_text(details["BackupCreationDateTime"]),
        str(table.get("TableName") or arn.split("/")[1]), str(table.get("TableId", "")), int(details.get("BackupSizeBytes", 0)), "",
    )  # fmt: skip


def _recovery_point(clients: SessionClients, table_arn: str, arn: str, role: str, what: str) -> KeptBackup:
    with translated(what):
        vaults = clients.client("backup")
        pages = vaults.get_paginator("list_recovery_points_by_resource").paginate(ResourceArn=table_arn)
        found = next((one for page in pages for one in page["RecoveryPoints"] if one["RecoveryPointArn"] == arn), None)
    if found is None:
        raise BadInputError(
            what, f"AWS Backup has no such recovery point of {table_arn}", "take one from `tablekeep list --service`"
        )
    if found.get("Status") not in ("COMPLETED", "AVAILABLE"):
        raise BadInputError(what, f"the recovery point is {found.get('Status')}", "take one that is COMPLETED")
    return KeptBackup(
        arn, RECOVERY_POINT, utc_text(found["CreationDate"]), table_arn.rsplit("/", 1)[-1], "",
        int(found.get("BackupSizeBytes", 0)), role,
    )  # fmt: skip


def table_arn_of(shelf: Shelf) -> str:
    """Of the table whose backups lie there."""
    return f"arn:aws:dynamodb:{shelf.region}:{shelf.account}:table/{shelf.name}"


def same_moment(manifest: Manifest, moment: datetime) -> bool:
    """Whether a set shows the moment to within a minute. A scan shows none, however short it was."""
    begin, end = manifest.consistent
    return manifest.one_moment and begin <= moment <= end


def distance(manifest: Manifest, moment: datetime) -> timedelta:
    """How far the moment lies from what the set shows."""
    begin, end = manifest.consistent
    return max(begin - moment, moment - end, timedelta(0))


def nearest_set(store: Store, shelf: Shelf, moment: datetime, table_id: str, what: str) -> Manifest:
    """The full set that can tell most of a moment: one that shows it, else the one whose time is nearest.

    :param table_id: sets of another table of that name do not count; any does when it is empty.
    :raises BadInputError: when there is none.
    """
    usable, _ = usable_sets(store, shelf)
    fitting = [one for one in usable if one.window is None and table_id in ("", one.table_id)]
    if not fitting:
        why = f"there is no full backup set of {shelf.name}" + (f" with the table id {table_id}" if table_id else "")
        raise BadInputError(what, f"{why}: nothing could prove what AWS restores", "make one with `tablekeep export`")
    return min(fitting, key=lambda one: (not same_moment(one, moment), distance(one, moment)))


def apart(manifest: Manifest, moment: datetime) -> str:
    """`3 h 20 min before it`, `around its time`."""
    if same_moment(manifest, moment):
        return "of the same moment, to within a minute"
    if not (away := distance(manifest, moment)):
        return "scanned while it was made"
    seconds = round(away.total_seconds())
    text = f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"
    if seconds >= 3600:
        text = f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{text} {'before' if manifest.consistent[1] < moment else 'after'} it"
