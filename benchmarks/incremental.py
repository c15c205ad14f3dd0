"""What increments cost: the conversion of changes, and folding them into a full set. There is no peer: none merges with proof.

Records per CPU second of one process against the stand-in's S3, beside the conversion of the full export in the same run.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins"))

import boto3
from export import Servers
from replay import order

from local_aws.dynamodb.exports import Changes, Source, change_line, write_export
from local_aws.dynamodb.history import Write
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.export.imports import import_set
from tablekeep.engine.export.merge import merge_backups
from tablekeep.engine.progress import NoProgress

ARN, BUCKET = "arn:aws:dynamodb:us-east-1:123456789012:table/orders", "bench"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = [("customer", "S"), ("order_no", "N")]
ITEMS, CHANGED = 200_000, 40_000


def exported(s3: str) -> tuple[str, str]:
    """A full export and an incremental one that changes a fifth of it, half of these by an update; their folders."""
    client = boto3.client(
        "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    chance = random.Random(7)

    def put(key: str, body: bytes) -> None:
        client.put_object(Bucket=BUCKET, Key=key, Body=body)

    raws, writes = list[bytes](), list[Write]()
    at = NOON + timedelta(hours=1)
    for number in range(ITEMS):
        item = order(number, chance, False)
        raw = json.dumps(item, ensure_ascii=False).encode()
        raws.append(raw)
        if number % (ITEMS // CHANGED) == 0:
            key = json.dumps({name: item[name] for name, _ in KEY}).encode()
            new = None if number % 2 else json.dumps(item | {"touched": {"BOOL": True}}, ensure_ascii=False).encode()
            writes.append(Write(at, key, raw, new))
    full, changed = "01700000000000-0a0b0c0d", "01700000000001-0a0b0c0d"
    write_export(put, BUCKET, "full", Source(ARN, "id", raws), export_id=full, at=NOON, files=4)
    lines = [change_line(one, True) for one in writes]
    changes = Changes(NOON - timedelta(minutes=2), NOON + timedelta(hours=20))
    write_export(put, BUCKET, "changes", Source(ARN, "id", lines), export_id=changed, at=NOON, files=4, changes=changes)
    return f"s3://{BUCKET}/full/AWSDynamoDB/{full}", f"s3://{BUCKET}/changes/AWSDynamoDB/{changed}"


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def main() -> None:
    """Prints a Markdown table."""
    with Servers() as servers:
        nobody = servers.replaying("1")  # the table is gone
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": servers.s3, "AWS_ENDPOINT_URL_DYNAMODB": nobody, "AWS_ENDPOINT_URL_STS": servers.s3,
            "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": nobody,
        }  # fmt: skip
        folders = exported(servers.s3)
        common: dict[str, Any] = {
            "clients": SessionClients(region="us-east-1"), "clock": SystemClock(), "progress": NoProgress(), "actor": "b", "run": "b",
        }  # fmt: skip
        rows = []
        for name, folder, count in zip(("full export", "changes"), folders, (ITEMS, CHANGED), strict=True):
            report, seconds = timed(lambda at=folder: import_set(source=at, to=f"s3://{BUCKET}/b", key=KEY, **common))  # type: ignore[misc]
            assert report.items == count
            rows.append((f"conversion of the {name}", count, seconds))
        shelf = Shelf(BUCKET, "b", "123456789012", "us-east-1", "dynamodb", "orders")
        merged, seconds = timed(lambda: merge_backups(shelf=shelf, **common))
        assert (merged.items, merged.boundary) == (ITEMS - CHANGED // 2, 0)
        rows.append((f"merge of {ITEMS:,} items with {CHANGED:,} changes", ITEMS, seconds))
    print("## Increments\n")
    print("One run, items of about 600 bytes; the imports look for keys that are there twice, too.\n")
    print("| step | records | CPU seconds | records per CPU second |\n|---|---|---|---|")
    for name, count, seconds in rows:
        print(f"| {name} | {count:,} | {seconds:.1f} | {count / seconds:,.0f} |")


if __name__ == "__main__":
    main()
