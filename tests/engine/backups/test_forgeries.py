"""Manifests that agree with themselves and not with the items: a full verification finds each by the check that is for it."""

import dataclasses
import hashlib
import io
from typing import Any

import pyarrow.parquet as pq
import pytest

from tablekeep.engine.backups.sets import BackupSet, publish, put_file
from tablekeep.engine.backups.store import MemoryStore
from tablekeep.engine.backups.verify import Level, VerifyReport, verify_set
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import NoProgress
from tests.engine.backups.in_memory import forged, golden


@pytest.fixture
def backup() -> BackupSet:
    return golden()


def verify(backup: BackupSet, level: Level = "full") -> VerifyReport:
    return verify_set(backup, level, clock=SystemClock(), progress=NoProgress())


def shifted(text: str) -> str:
    one = ContentHash.parse(text)
    return str(ContentHash(one.count, one.total + 1))


def another_item(document: dict[str, Any]) -> None:
    """One item would have another hash: everywhere, so that all adds up."""
    first = next(iter(document["buckets"]))
    document["buckets"][first] = shifted(document["buckets"][first])
    document["content_hash"] = shifted(document["content_hash"])
    document["parts"][0]["content_hash"] = shifted(document["parts"][0]["content_hash"])


def other_buckets(document: dict[str, Any]) -> None:
    """Two buckets trade places; their sum stays."""
    first, second = list(document["buckets"])[:2]
    buckets = document["buckets"]
    buckets[first], buckets[second] = buckets[second], buckets[first]


def other_figures(document: dict[str, Any]) -> None:
    name = next(iter(document["columns"]))
    document["columns"][name]["nulls"] += 1


def other_rest(document: dict[str, Any]) -> None:
    document["rest_rows"] += 1


def nothing(_document: dict[str, Any]) -> None:
    return None


@pytest.mark.parametrize(
    ("edit", "files", "why"),
    [
        (another_item, {}, "its content hash is"),
        (other_buckets, {}, "the items' buckets differ"),
        (other_figures, {}, "nulls and misfits differ"),
        (other_rest, {}, "nulls and misfits differ"),
        (nothing, {"census": {"attributes": {}}}, "census.json differs"),
    ],
)
def test_what_the_items_do_not_say_is_found(backup: BackupSet, edit: Any, files: dict[str, Any], why: str) -> None:
    assert verify(backup).ok
    report = verify(forged(backup, edit, files))
    assert not report.ok
    assert [one for one in report.problems if why in one]
    assert len(report.problems) == 1


def test_damage_that_the_store_does_not_know_of_is_found_by_reading(backup: BackupSet) -> None:
    part = backup.manifest.parts[0]
    key = backup.manifest.location.key(part.name)
    content = bytearray(backup.store.get(key))
    content[len(content) // 2] ^= 1
    backup.store.put(key, bytes(content))
    assert not verify(backup, "checksum").ok
    assert not verify(backup).ok


def test_settings_that_were_edited_are_refused(backup: BackupSet) -> None:
    key = backup.manifest.location.key("table.json")
    text = backup.store.get(key)
    backup.store.put(key, text.replace(b'"orders"', b'"others"', 1))
    assert backup.store.get(key) != text
    (problem,) = verify(backup, "list").problems
    assert "table.json" in problem
    with pytest.raises(IntegrityError, match="SHA-256"):
        backup.document("table")


def test_an_object_of_another_size_is_found_without_reading(backup: BackupSet) -> None:
    part = backup.manifest.parts[0]
    key = backup.manifest.location.key(part.name)
    backup.store.put(key, backup.store.get(key) + b"x")
    assert "bytes, the manifest says" in verify(backup, "list").problems[0]
    backup.store.delete(key)
    assert "is missing" in verify(backup, "list").problems[0]


def test_a_part_that_is_not_named_is_missed(backup: BackupSet) -> None:
    with pytest.raises(IntegrityError, match="the parts do not add up"):
        forged(backup, lambda document: document["parts"].pop())


def rewritten(backup: BackupSet, **changes: Any) -> BackupSet:
    """The first part with other metadata, or fewer rows, and a manifest that names its new SHA-256."""
    part = backup.manifest.parts[0]
    key, sink = backup.manifest.location.key(part.name), io.BytesIO()
    table = pq.read_table(io.BytesIO(backup.store.get(key)))
    metadata = dict(table.schema.metadata) | changes.get("metadata", {})
    table = table.slice(0, changes.get("rows", len(table))).replace_schema_metadata(metadata)
    pq.write_table(table, sink)
    text = sink.getvalue()
    backup.store.put(key, text)

    def edit(document: dict[str, Any]) -> None:
        document["parts"][0] |= {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}

    return forged(backup, edit)


def read(backup: BackupSet) -> list[bytes]:
    return [item for part in backup.manifest.parts for page in backup.items(part) for item in page]


def test_a_part_that_says_that_it_is_anothers_is_refused(backup: BackupSet) -> None:
    assert len(read(rewritten(backup))) == 25, "written anew as it was, it is read"
    other = rewritten(backup, metadata={b"tablekeep.backup": b"20200101T000000Z-00000000"})
    with pytest.raises(IntegrityError, match="belongs to another backup or place"):
        read(other)


def test_a_part_with_other_rows_than_it_should_have_is_refused(backup: BackupSet) -> None:
    rows = backup.manifest.parts[0].rows
    with pytest.raises(IntegrityError, match=f"it holds {rows - 1} rows instead of {rows}"):
        read(rewritten(backup, rows=rows - 1))


def test_a_part_of_another_size_is_told_by_its_size(backup: BackupSet) -> None:
    part = backup.manifest.parts[0]
    key = backup.manifest.location.key(part.name)
    backup.store.put(key, backup.store.get(key)[:-9])
    with pytest.raises(IntegrityError, match="bytes instead of"):
        read(backup)


def test_what_contradicts_itself_is_not_published(backup: BackupSet) -> None:
    location = backup.manifest.location.shelf.set("20300101T000000Z-0a0b0c0d")
    wrong = dataclasses.replace(backup.manifest, location=location, parts=())
    with pytest.raises(IntegrityError, match="nothing was published"):
        publish(backup.store, wrong)
    assert backup.store.head(location.manifest_key) is None


def test_settings_that_the_store_did_not_keep_are_missed() -> None:
    class Forgetful(MemoryStore):
        def put(self, key: str, body: bytes, **more: Any) -> Any:
            return super().put(key, body[:-5], **more)

    location = golden().manifest.location
    with pytest.raises(IntegrityError, match="holds something else than was sent"):
        put_file(Forgetful(), location, "table", {"version": 1}, 1)
