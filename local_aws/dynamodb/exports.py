"""The layout of a native export, as the Developer Guide documents it ("DynamoDB table export output format"), full and incremental."""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from local_aws.dynamodb.history import Write

Put = Callable[[str, bytes], object]
"""Writes an object, by key."""


@dataclass(frozen=True)
class Source:
    """What is exported: the table's ARN and id, and each of its items as wire JSON."""

    table_arn: str
    table_id: str
    items: Sequence[bytes]


@dataclass(frozen=True)
class Changes:
    """Of an incremental export: its window, and whether it tells what the items were before."""

    since: datetime
    to: datetime
    old_images: bool = True


def _checksum(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def change_line(write: Write, old_images: bool) -> bytes:
    """A line of an incremental export."""
    line = {"Metadata": {"WriteTimestampMicros": {"N": str(round(write.at.timestamp() * 1_000_000))}}}
    images = {"Keys": write.key, "NewImage": write.new, "OldImage": write.old if old_images else None}
    return msgspec.json.encode(line | {name: msgspec.Raw(raw) for name, raw in images.items() if raw is not None})


def _data_files(lines: Sequence[bytes], count: int) -> Iterable[tuple[int, bytes]]:
    """Lines and bytes of each file; those of empty partitions hold nothing, as the service's do."""
    for number in range(count):
        mine = lines[number::count]
        yield len(mine), gzip.compress(b"".join(line + b"\n" for line in mine), 6, mtime=0)


def write_export(
    put: Put,
    bucket: str,
    prefix: str,
    source: Source,
    *,
    export_id: str,
    at: datetime,
    files: int = 4,
    changes: Changes | None = None,
) -> str:
    """Writes an export and returns the key of its summary.

    :param prefix: without a slash at its end; may be empty. :param export_id: `01700000000000-0a0b0c0d`. :param at: the export time.
    :param changes: of an incremental one, whose `items` are lines (`change_line`); its data lies beside its folder.
    """
    folder = "/".join(part for part in (prefix, "AWSDynamoDB", export_id) if part)
    put(f"{folder}/_started", b"")
    lines, total = [], 0
    data = folder.rpartition("/")[0] if changes else folder
    written = source.items if changes else [b'{"Item":%b}' % item for item in source.items]
    for number, (count, body) in enumerate(_data_files(written, files)):
        key = f"{data}/data/{hashlib.sha256(f'{export_id}{number}'.encode()).hexdigest()[:26]}.json.gz"
        put(key, body)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        line = {"itemCount": count, "md5Checksum": _checksum(body), "etag": etag, "dataFileS3Key": key}
        lines.append(json.dumps(line, separators=(",", ":")))
        total += count
    summary: dict[str, Any] = {
        "version": "2020-06-30",
        "exportArn": f"{source.table_arn}/export/{export_id}",
        "startTime": _time(at),
        "endTime": _time(at),
        "tableArn": source.table_arn,
        "tableId": source.table_id,
        "exportTime": _time(at),
        "s3Bucket": bucket,
        "s3Prefix": prefix or None,
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{folder}/manifest-files.json",
        "billedSizeBytes": sum(map(len, source.items)),
        "itemCount": total,
        "outputFormat": "DYNAMODB_JSON",
    }
    if changes:
        summary |= {
            "exportType": "INCREMENTAL_EXPORT",
            "exportFromTime": _time(changes.since),
            "exportToTime": _time(changes.to),
            "outputView": "NEW_AND_OLD_IMAGES" if changes.old_images else "NEW_IMAGE",
        }
        del summary["exportTime"]
    for name, body in (
        ("manifest-files", "\n".join(lines).encode() + b"\n"),
        ("manifest-summary", json.dumps(summary).encode()),
    ):
        put(f"{folder}/{name}.json", body)
        put(f"{folder}/{name}.checksum", _checksum(body).encode())
    return f"{folder}/manifest-summary.json"
