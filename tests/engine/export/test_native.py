"""Native exports become backup sets: exactly, wherever they were copied to, and never from damaged files."""

import base64
import gzip
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_aws.dynamodb.exports import Changes, Source, change_line, write_export
from local_aws.dynamodb.history import Write
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.store import MemoryStore
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.export.imports import import_set
from tablekeep.engine.export.native import NativeFile, open_file, read_native, records_of
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.items.changes import parse_change
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import NoProgress
from tests.item_strategies import items as any_items
from tests.tables import BUCKET, ROOT, clients, export, make_bucket, make_table, orders

EXPORT = "01700000000000-0a0b0c0d"
AT = datetime(2026, 11, 20, 2, 0, 0, tzinfo=UTC)
FOLDER = f"exports/AWSDynamoDB/{EXPORT}"
GONE = "arn:aws:dynamodb:us-east-1:123456789012:table/gone"


def store() -> S3Store:
    return S3Store(clients(), BUCKET)


def written(aws: Any, table: str = "orders", items: list[dict[str, Any]] | None = None, files: int = 3) -> None:
    """A native export of a table that is there, or of one that is gone."""
    items = orders() if items is None else items
    arn, table_id = GONE, "0a0b0c0d-0000-4000-8000-000000000000"
    if table != "gone":
        make_table(aws, table, items)
        found = aws.client("dynamodb").describe_table(TableName=table)["Table"]
        arn, table_id = found["TableArn"], found["TableId"]
    raws = [json.dumps(item).encode() for item in items]
    write_export(store().put, BUCKET, "exports", Source(arn, table_id, raws), export_id=EXPORT, at=AT, files=files)


def imported(folder: str = FOLDER, **more: Any) -> Any:
    return import_set(
        clients=clients(), clock=SystemClock(), progress=NoProgress(), source=f"s3://{BUCKET}/{folder}", to=ROOT, actor="t",
        run="t", **more,
    )  # fmt: skip


def sets() -> list[str]:
    return [info.key for info in store().list("backups") if info.key.endswith("/manifest.json")]


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    return local_aws


def test_an_export_of_a_table_equals_a_scan_of_it(aws: Any) -> None:
    written(aws, files=7)
    report = imported()
    assert report.content_hash == export("orders").content_hash
    manifest = open_backup(clients(), report.backup).manifest
    assert manifest.engine == "pitr"
    assert manifest.as_of == AT
    assert (manifest.consistent[1] - manifest.consistent[0]).total_seconds() == 120
    assert manifest.backup_id.startswith("20261120T020000Z-")
    proof = verify_backup(
        clients=clients(), clock=SystemClock(), progress=NoProgress(), backup=report.backup, actor="t", run="t", level="full"
    )  # fmt: skip
    assert proof.ok
    assert not proof.orphans
    assert not [info.key for info in store().list("backups") if "/_state/" in info.key]


@settings(max_examples=30, deadline=None)
@given(st.lists(any_items(), min_size=1, max_size=20), st.integers(1, 5))
def test_whatever_lies_in_the_files_comes_out_as_it_is(items: list[Any], files: int) -> None:
    memory = MemoryStore()
    raws = [json.dumps(item, ensure_ascii=False).encode() for item in items]
    write_export(memory.put, "b", "", Source(GONE, "id", raws), export_id=EXPORT, at=AT, files=files)
    native = read_native(memory, f"AWSDynamoDB/{EXPORT}")
    found = []
    for file in native.files:
        with open_file(memory, file) as spool:
            found += [canonical_item(json.loads(bytes(raw))) for block in records_of(spool, file.key) for raw in block]
    assert ContentHash.of(found) == ContentHash.of(map(canonical_item, items))
    assert native.items == len(items)


def test_an_incremental_export_of_others(aws: Any) -> None:
    """Moved elsewhere, with its data folder beside it; without old images."""
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    writes = [
        Write(AT, json.dumps(key).encode(), None, json.dumps(key | {"x": {"S": "y"}}).encode()),
        Write(AT, json.dumps(key | {"sk": {"N": "2"}}).encode(), json.dumps(key | {"sk": {"N": "2"}}).encode(), None),
    ]
    changes = Changes(AT - timedelta(hours=1), AT, old_images=False)
    lines = [change_line(one, old_images=False) for one in writes]
    write_export(
        store().put, BUCKET, "exports", Source(GONE, "gone", lines), export_id=EXPORT, at=AT, files=2, changes=changes
    )
    for info in list(store().list("exports")):
        store().put(info.key.replace("exports/", "archive/2026/"), store().get(info.key))
        store().delete(info.key)
    report = imported(f"archive/2026/AWSDynamoDB/{EXPORT}", key=[("pk", "S"), ("sk", "N")])
    assert (report.kind, report.items) == ("incremental", 2)
    opened = open_backup(clients(), report.backup, incremental=True)
    window = opened.manifest.window
    assert window
    assert (window.since, window.to, window.old_images) == (AT - timedelta(hours=1), AT, False)
    found = [
        parse_change(one, ["pk", "sk"]) for part in opened.manifest.parts for page in opened.items(part) for one in page
    ]
    assert sorted((one.new is None, one.old) for one in found) == [(False, None), (True, None)]


def test_a_key_that_is_there_twice_is_refused(aws: Any) -> None:
    written(aws, "gone", [*orders(3), orders(3)[1]])
    with pytest.raises(IntegrityError, match="1 keys are there more than once"):
        imported(key=[("pk", "S"), ("sk", "N")])
    assert not sets()


def test_an_empty_table(aws: Any) -> None:
    written(aws, items=[])
    report = imported()
    assert (report.items, report.parts) == (0, 0)


def test_an_export_that_was_copied_elsewhere_is_found(aws: Any) -> None:
    written(aws)
    for info in list(store().list(FOLDER)):
        store().put(info.key.replace("exports/AWSDynamoDB", "archive/2026"), store().get(info.key))
        store().delete(info.key)
    assert imported(f"archive/2026/{EXPORT}/manifest-summary.json").items == 40


def test_a_table_that_is_gone_needs_its_key(aws: Any) -> None:
    written(aws, "gone")
    with pytest.raises(BadInputError, match="no such table"):
        imported()
    assert not sets()
    report = imported(key=[("pk", "S"), ("sk", "N")])
    assert report.items == 40
    opened = open_backup(clients(), report.backup)
    assert opened.manifest.key_names == ["pk", "sk"]
    assert opened.manifest.run["not_known"] == {"everything else": "TableIsGone"}


def test_a_table_made_anew_under_the_name_is_another_table(aws: Any) -> None:
    written(aws)
    aws.client("dynamodb").delete_table(TableName="orders")
    make_table(aws, "orders", [], sort_key=False)
    with pytest.raises(BadInputError, match="made anew"):
        imported()


def manifest_of(name: str) -> tuple[str, bytes]:
    return f"{FOLDER}/{name}.json", store().get(f"{FOLDER}/{name}.json")


def rewritten(name: str, edit: Any) -> None:
    """Edits a manifest and its checksum."""
    key, text = manifest_of(name)
    text = edit(text)
    store().put(key, text)
    store().put(key.replace(".json", ".checksum"), base64.b64encode(hashlib.md5(text, usedforsecurity=False).digest()))


def data_keys() -> list[str]:
    return [info.key for info in store().list(f"{FOLDER}/data/")]


def flip(key: str) -> None:
    body = bytearray(store().get(key))
    body[len(body) // 2] ^= 1
    store().put(key, bytes(body))


@pytest.mark.parametrize(
    ("damage", "error", "why"),
    [
        (lambda: flip(data_keys()[1]), IntegrityError, r"data/.*MD5"),
        (lambda: store().delete(data_keys()[0]), IntegrityError, r"data/.*missing"),
        (lambda: flip(f"{FOLDER}/manifest-files.json"), IntegrityError, r"manifest-files.json.*checksum"),
        (lambda: flip(f"{FOLDER}/manifest-summary.json"), IntegrityError, r"manifest-summary.json.*checksum"),
        (lambda: store().delete(f"{FOLDER}/manifest-files.checksum"), IntegrityError, r"checksum is missing"),
        (lambda: store().delete(f"{FOLDER}/manifest-files.json"), IntegrityError, r"manifest-files.json is missing"),
        (lambda: store().delete(f"{FOLDER}/manifest-summary.json"), BadInputError, r"not complete"),
        (
            lambda: rewritten("manifest-summary", lambda t: t.replace(b'"itemCount": 40', b'"itemCount": 41')),
            IntegrityError, r"41 items and the files 40",
        ),
        (
            lambda: rewritten("manifest-summary", lambda t: t.replace(b"DYNAMODB_JSON", b"ION")),
            BadInputError, r"ION",
        ),
        (
            lambda: rewritten("manifest-summary", lambda t: t.replace(b'"version"', b'"exportType":"INCREMENTAL_EXPORT","version"')),
            IntegrityError, r"exportFromTime",
        ),
        (lambda: rewritten("manifest-files", lambda t: t.replace(b'"itemCount":14', b'"itemCount":15').replace(b'"itemCount":13', b'"itemCount":12', 1)),
            IntegrityError, r"holds 1\d items and the manifest says 1\d"),
    ],
)  # fmt: skip
def test_damage_is_named_and_makes_no_backup(aws: Any, damage: Any, error: type[Exception], why: str) -> None:
    written(aws)
    damage()
    with pytest.raises(error, match=why):
        imported()
    assert not sets()


def test_both_spellings_of_checksums(aws: Any) -> None:
    written(aws)
    for name in ("manifest-summary", "manifest-files"):
        key, text = manifest_of(name)
        store().delete(key.replace(".json", ".checksum"))
        store().put(key.replace(".json", ".md5"), hashlib.md5(text, usedforsecurity=False).hexdigest().encode())
    assert imported().items == 40


def blocks(body: bytes) -> list[Any]:
    memory = MemoryStore()
    memory.put("f", body)
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    with open_file(memory, NativeFile("f", 1, md5)) as spool:
        return [bytes(raw) for block in records_of(spool, "f") for raw in block]


def test_gzip_files_of_several_members_without_a_last_line_feed_and_of_many_blocks() -> None:
    line = b'{"Item":{"a":{"S":"%b"}}}'
    one, two = gzip.compress(line % b"1" + b"\n" + line[:5]), gzip.compress(line[5:] % b"2")
    assert blocks(one + two) == [b'{"a":{"S":"1"}}', b'{"a":{"S":"2"}}']
    big = b"\n".join(line % (b"x" * size) for size in (1, 3_000_000, 2, 400_000))
    assert [len(raw) - 14 for raw in blocks(gzip.compress(big))] == [1, 3_000_000, 2, 400_000]
    assert blocks(b"") == blocks(gzip.compress(b"")) == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"plain text", "no gzip"),
        (gzip.compress(b'{"Item":{"a":{"S":"x"}}}\n' * 1000)[:-30], "no gzip"),
        (gzip.compress(b'{"Item":{"a":{"S":"x"}}}\nnonsense\n'), "a line is not an item"),
        (gzip.compress(b'{"Item":{"a":{"S":"secret"}},"More":1}\n'), "a line is not an item"),
        (gzip.compress(b'{"Keys":{"a":{"S":"secret"}}}\n'), "a line is not an item"),
        (gzip.compress(b"x" * 9_000_000), "longer than any item"),
    ],
    ids=[
        "plain",
        "cut off",
        "nonsense",
        "more members",
        "no item",
        "long line",
    ],  # gzip holds the time: no id of a test may
)
def test_files_that_are_not_what_they_say(body: bytes, why: str) -> None:
    with pytest.raises(IntegrityError, match=why) as caught:
        blocks(body)
    assert "secret" not in str(caught.value)
