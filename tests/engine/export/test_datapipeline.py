"""Backups of AWS Data Pipeline, in all formats: nothing is lost that AWS's own importer loses, nothing damaged is taken."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.store import MemoryStore
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.export.datapipeline import folder_time, pipeline_files
from tablekeep.engine.export.imports import import_set
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import NoProgress
from tests.item_strategies import items as any_items
from tests.tables import BUCKET, ROOT, clients, export, make_bucket, make_table, orders

FOLDER = "old/2020-01-31-02-00-00"
KEY = [("pk", "S"), ("sk", "N")]
GSON = {
    "S": "s", "N": "n", "B": "b", "SS": "sS", "NS": "nS", "BS": "bS", "M": "m", "L": "l", "BOOL": "bOOL", "NULL": "nULLValue",
}  # fmt: skip


def gson(value: dict[str, Any]) -> dict[str, Any]:
    """A wire value as Gson wrote it."""
    ((kind, content),) = value.items()
    if kind == "M":
        content = {name: gson(one) for name, one in content.items()}
    if kind == "L":
        content = [gson(one) for one in content]
    return {GSON[kind]: content}


def line(item: dict[str, Any]) -> bytes:
    return json.dumps({name: gson(value) for name, value in item.items()}, ensure_ascii=False).encode()


def hive(item: dict[str, Any]) -> bytes:
    """A line of versions 1 and 2."""
    pairs = [name.encode() + b"\x03" + json.dumps(gson(value)).encode() for name, value in item.items()]
    return b"\x02".join(pairs)


def manifest(*names: str, version: int = 3) -> bytes:
    entries = [{"url": f"s3n://elsewhere/long/ago/{name}", "mandatory": True} for name in names]
    return json.dumps({"name": "DynamoDB-export", "version": version, "entries": entries}).encode()


def read(memory: MemoryStore, folder: str = FOLDER) -> list[bytes]:
    files, _ = pipeline_files(memory, folder)
    return [canonical_item(json.loads(bytes(raw))) for file in files for page in file.read() for raw in page]


@given(st.lists(any_items(), max_size=12), st.sampled_from(["v3", "gzip", "plain", "hive"]), st.integers(1, 3))
def test_every_item_comes_out_of_every_format(items: list[dict[str, Any]], form: str, count: int) -> None:
    memory = MemoryStore()
    if form == "hive":  # it writes names as they are: some cannot be told from its own marks
        items = [
            {name: one for name, one in item.items() if name.isprintable() and name[0] not in "{ "} for item in items
        ]
    for number in range(count):
        body = b"\n\n".join((hive if form == "hive" else line)(one) for one in items[number::count] if one)
        body = gzip.compress(body) if form == "gzip" else body
        memory.put(f"{FOLDER}/{number}-file", body)
    if form in ("v3", "gzip"):
        memory.put(f"{FOLDER}/manifest", manifest(*(f"{number}-file" for number in range(count))))
        memory.put(f"{FOLDER}/left-by-an-attempt", b"nonsense")
    memory.put(f"{FOLDER}/_SUCCESS", b"")
    files, complete = pipeline_files(memory, f"{FOLDER}/manifest" if form == "v3" else FOLDER)
    assert complete == (form in ("v3", "gzip"))
    assert len(files) == count
    assert ContentHash.of(read(memory)) == ContentHash.of(canonical_item(one) for one in items if one)


def test_what_awss_importer_loses_is_kept() -> None:
    memory = MemoryStore()
    memory.put(f"{FOLDER}/a", b'{"a":{"l":[]},"b":{"m":{}},"c":{"nULLValue":true},"d":{"nULL":true},"e":{"s":""}}\n\n')
    assert read(memory) == [b'{"a":{"L":[]},"b":{"M":{}},"c":{"NULL":true},"d":{"NULL":true},"e":{"S":""}}']


@pytest.mark.parametrize(
    ("files", "error", "why"),
    [
        ({}, BadInputError, "there are no files"),
        ({"_SUCCESS": b""}, BadInputError, "there are no files"),
        ({"manifest": manifest("a", version=4), "a": b""}, BadInputError, "version 4"),
        ({"manifest": b"{", "a": b""}, IntegrityError, "manifest cannot be read"),
        ({"manifest": manifest("a", "b"), "a": b""}, IntegrityError, r"the file .*/b is missing"),
        ({"manifest": manifest("a", "a"), "a": b""}, IntegrityError, "a file twice"),
        ({"a": b'{"a":{"s":"secret"}}\n{"a":'}, IntegrityError, "line 2: it is no item"),
        ({"a": b'{"a":{"x":"secret"}}'}, IntegrityError, "line 1: an attribute has an unknown type"),
        ({"a": b'{"a":{"s":"secret","n":"1"}}'}, IntegrityError, "not exactly one type"),
        ({"a": b"secret"}, IntegrityError, "an attribute has no value"),
        ({"a": b'x\x03{"s":"1"}\x02x\x03{"s":"2"}'}, IntegrityError, "there twice"),
        ({"a": gzip.compress(b'{"a":{"s":"secret"}}')[:-9]}, IntegrityError, "damaged gzip"),
        ({"a": b"{" + b" " * 9_000_000}, IntegrityError, "longer than any item"),
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_damaged_or_unknown_is_refused(files: dict[str, bytes], error: Any, why: str) -> None:
    memory = MemoryStore()
    for name, body in files.items():
        memory.put(f"{FOLDER}/{name}", body)
    with pytest.raises(error, match=why) as caught:
        read(memory)
    assert "secret" not in str(caught.value)


def test_the_folders_name_tells_the_time() -> None:
    assert folder_time(FOLDER) == datetime(2020, 1, 31, 2, tzinfo=UTC)
    assert folder_time(f"{FOLDER}/manifest") == datetime(2020, 1, 31, 2, tzinfo=UTC)
    assert folder_time("old/2020-13-31-02-00-00") is None
    assert folder_time("old/backup") is None


def imported(**more: Any) -> Any:
    return import_set(
        **(
            {
                "clients": clients(), "clock": SystemClock(), "progress": NoProgress(), "source": f"s3://{BUCKET}/{FOLDER}", "to": ROOT,
                "table": "orders", "key": KEY, "actor": "t", "run": "t",
            }
            | more
        )
    )  # fmt: skip


@pytest.fixture
def old(local_aws: Any) -> Any:
    """A backup of the orders, as Data Pipeline left it."""
    make_bucket(local_aws)
    store = S3Store(clients(), BUCKET)
    for number in range(3):
        body = b"".join(line(one) + b"\n" for one in orders()[number::3])
        store.put(f"{FOLDER}/{number}", body)
    store.put(f"{FOLDER}/manifest", manifest("0", "1", "2"))
    return local_aws


def test_it_becomes_a_verified_set_that_equals_the_table(old: Any) -> None:
    report = imported()
    made = open_backup(clients(), report.backup).manifest
    assert (made.engine, made.items, made.as_of) == ("datapipeline", 40, datetime(2020, 1, 31, 2, tzinfo=UTC))
    proof = verify_backup(
        clients=clients(), clock=SystemClock(), progress=NoProgress(), backup=report.backup, actor="t", run="t", level="full"
    )  # fmt: skip
    assert proof.ok
    make_table(old, "orders", orders())
    assert export("orders").content_hash == report.content_hash
    live = imported(key=None)  # the key is the table's own
    assert live.content_hash == report.content_hash


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"table": None}, "does not tell its table"),
        ({"table": "a/b"}, "reading the table name"),
        ({"key": None}, "no such table"),
        ({"source": f"s3://{BUCKET}/nowhere"}, "there are no files"),
    ],
    ids=["table", "name", "key", "nowhere"],
)
def test_what_it_does_not_tell_must_be_given(old: Any, given: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        imported(**given)


def test_a_time_is_asked_for_when_the_folder_has_none(old: Any) -> None:
    store = S3Store(clients(), BUCKET)
    store.put("somewhere/file", line(orders()[0]))
    with pytest.raises(BadInputError, match="--as-of"):
        imported(source=f"s3://{BUCKET}/somewhere")
    moment = datetime(2019, 5, 1, tzinfo=UTC)
    assert imported(source=f"s3://{BUCKET}/somewhere", as_of=moment).as_of == "2019-05-01T00:00:00.000Z"


def test_files_of_two_backups_in_one_folder_are_refused(old: Any) -> None:
    store = S3Store(clients(), BUCKET)
    store.delete(f"{FOLDER}/manifest")
    store.put(f"{FOLDER}/3", line(orders()[0]))
    with pytest.raises(IntegrityError, match="more than once"):
        imported()
