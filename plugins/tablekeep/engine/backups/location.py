"""Where things lie: `<root>/v1/<account>/<region>/<service>/<name>/<backup_id>/…` and the checks on their URIs."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.names import parse_s3

FORMAT_FOLDER = "v1"
MANIFEST = "manifest.json"
RECORDS = "_records"
STATE = "_state"
RECORDS_ONLY = ("rds",)
"""Services of which records lie under a root and no sets: instances, whose snapshots RDS keeps itself."""
NATIVE = "_native"
"""Where in a set's folder DynamoDB's own export writes its files, until the set is published."""

_BACKUP_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\Z")
_PART = re.compile(r"data/part-[0-9]{5,7}-[0-9]{6}-[0-9]+\.parquet\Z")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where all sets of one table lie.

    :ivar root: the prefix under which the bucket holds backups; may be empty.
    """

    bucket: str
    root: str
    account: str
    region: str
    service: str
    name: str

    @property
    def prefix(self) -> str:
        """The key prefix, without slash at the end."""
        parts = (self.root, FORMAT_FOLDER, self.account, self.region, self.service, self.name)
        return "/".join(part for part in parts if part)

    @property
    def lease_key(self) -> str:
        """The lease of the table's exports."""
        return f"{self.prefix}/_lease.json"

    def set(self, backup_id: str) -> "SetLocation":
        """Where one set lies.

        :raises BadInputError: for a text that is no backup id.
        """
        if not _BACKUP_ID.match(backup_id):
            raise BadInputError(f"reading the backup id {backup_id[:60]!r}", "it is not like 20261123T020000Z-4f9c2a1b")
        return SetLocation(self, backup_id)


@dataclass(frozen=True, slots=True)
class SetLocation:
    """Where one backup set lies."""

    shelf: Shelf
    backup_id: str

    @property
    def prefix(self) -> str:
        return f"{self.shelf.prefix}/{self.backup_id}"

    @property
    def manifest_key(self) -> str:
        return f"{self.prefix}/{MANIFEST}"

    @property
    def uri(self) -> str:
        """The manifest's URI: the name by which a backup is called."""
        return f"s3://{self.shelf.bucket}/{self.manifest_key}"

    def key(self, relative: str) -> str:
        return f"{self.prefix}/{relative}"


def part_name(segment: int, sequence: int, attempt: int) -> str:
    """`data/part-00003-000001-2891336453.parquet`: every attempt has a random number, so no part is ever overwritten."""
    return f"data/part-{segment:05d}-{sequence:06d}-{attempt}.parquet"


def is_part_name(name: str) -> bool:
    """Whether a name in a manifest is one that this format gives to parts; anything else is forged."""
    return bool(_PART.match(name))


def file_name(role: str, attempt: int | None = None) -> str:
    """`table.json`, or `table-<attempt>.json` for an attempt that found the first name taken."""
    return f"{role}.json" if attempt is None else f"{role}-{attempt}.json"


def is_file_name(role: str, name: str) -> bool:
    """Whether a name in a manifest is one that this format gives to the file of that role."""
    return bool(re.fullmatch(rf"{re.escape(role)}(?:-[0-9]+)?\.json", name))


def new_backup_id(as_of: datetime, clock: Clock) -> str:
    """UTC as-of time and four random bytes; never used twice."""
    return f"{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{clock.token(4)}"


def parse_manifest_uri(uri: str) -> SetLocation:
    """The location of a set, from its manifest's URI (or that of its folder).

    :raises BadInputError: for another address.
    """
    bucket, key = parse_s3(uri)
    segments = key.split("/")
    if segments[-1] == MANIFEST:
        segments.pop()
    if len(segments) < 6 or segments[-6] != FORMAT_FOLDER or not _BACKUP_ID.match(segments[-1]):
        raise BadInputError(
            f"reading the backup's address {uri[:300]!r}",
            "it does not end in v1/<account>/<region>/<service>/<name>/<backup id>/manifest.json",
            "copy it from `tablekeep list s3://bucket/prefix`",
        )
    _, account, region, service, name, backup_id = segments[-6:]
    return Shelf(bucket, "/".join(segments[:-6]), account, region, service, name).set(backup_id)
