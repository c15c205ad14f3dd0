"""Exports of real tables in the stand-in: exact, complete, and never half-made. Verification that catches every lie."""

import dataclasses
import json
from typing import Any

import duckdb
import pytest

from tablekeep.engine.backups.catalog import list_backups, newest_verified
from tablekeep.engine.backups.manifest import Manifest, parse_manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sealed import seal, unseal
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.backups.verify import VerifyReport, verify_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import NoProgress
from tests.tables import BUCKET, ROOT, clients, export, make_bucket, make_table, orders


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    return local_aws


def opened(uri: str) -> BackupSet:
    return open_backup(clients(), uri)


def all_items(backup: BackupSet) -> list[bytes]:
    return sorted(item for part in backup.manifest.parts for items in backup.items(part) for item in items)


def verify(uri: str, level: Any = "full") -> VerifyReport:
    return verify_backup(
        clients=clients(), clock=SystemClock(), progress=NoProgress(), backup=uri, level=level, actor="test", run="test"
    )


def test_export_holds_exactly_the_tables_items(aws: Any) -> None:
    items = orders()
    make_table(aws, "orders", items)
    report = export("orders", segments=3)
    expected = sorted(canonical_item(item) for item in items)
    backup = opened(report.backup)
    assert all_items(backup) == expected
    assert report.content_hash == str(ContentHash.of(expected))
    assert report.items == len(items)
    assert verify(report.backup).ok
    assert [one.uri for one in list_backups(backup.store, BUCKET, "backups").backups] == [report.backup]


def test_content_hash_does_not_depend_on_segments(aws: Any) -> None:
    make_table(aws, "orders", orders())
    hashes = {export("orders", segments=segments).content_hash for segments in (1, 3, 17)}
    assert len(hashes) == 1


def test_an_empty_table_is_a_valid_backup(aws: Any) -> None:
    make_table(aws, "empty", [])
    report = export("empty", segments=2)
    assert (report.items, report.parts) == (0, 0)
    assert verify(report.backup).ok
    assert [column.attribute for column in opened(report.backup).manifest.layout.columns] == ["pk", "sk"]


def test_numbers_that_the_sample_did_not_suggest_are_in_their_column_anyway(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tablekeep.engine.export.begin.SAMPLED_SEGMENTS", 0)
    items = [{"pk": {"S": f"p{n}"}, "sk": {"N": "1.5" if n else "7"}} for n in range(9)]
    make_table(aws, "numbers", items)
    report = export("numbers", segments=3)
    backup = opened(report.backup)
    assert all_items(backup) == sorted(canonical_item(item) for item in items)
    figures = backup.manifest.columns["sk"]
    assert (figures.nulls, figures.misfits) == (0, 0)
    assert not verify(report.backup).orphans


def test_parts_roll_and_any_reader_opens_them(aws: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("tablekeep.engine.backups.parts.ROW_GROUP_BYTES", 1)
    monkeypatch.setattr("tablekeep.engine.export.segments.PART_BYTES", 1)
    make_table(aws, "orders", [{**item, "pad": {"S": "x" * 200_000}} for item in orders(20)])
    report = export("orders", segments=1)
    assert report.parts > 1
    assert verify(report.backup).ok
    backup = opened(report.backup)
    for number, part in enumerate(backup.manifest.parts):
        (tmp_path / f"{number}.parquet").write_bytes(backup.store.get(backup.manifest.location.key(part.name)))
    rows = duckdb.sql(
        f"""select count(*), sum("price~2"), count(distinct pk) from '{tmp_path}/*.parquet' """
    ).fetchall()
    count, total, customers = rows[0]
    assert (count, str(total), customers) == (20, "195.000000", 7)


def test_columns_stay_from_night_to_night(aws: Any) -> None:
    make_table(aws, "orders", orders(10))
    first = opened(export("orders").backup).manifest.layout
    aws.client("dynamodb").put_item(
        TableName="orders", Item={"pk": {"S": "x"}, "sk": {"N": "1"}, "aaa": {"S": "new"}, "PRICE": {"N": "1"}}
    )
    second = opened(export("orders").backup).manifest.layout
    assert second.columns[: len(first.columns)] == first.columns
    assert second.schema == first.schema + 1
    assert opened(export("orders").backup).manifest.layout == second


def damaged(aws: Any, damage: Any) -> VerifyReport:
    make_table(aws, "orders", orders())
    report = export("orders", segments=2)
    damage(opened(report.backup))
    return verify(report.backup)


def test_verify_names_a_flipped_bit(aws: Any) -> None:
    def flip(backup: BackupSet) -> None:
        key = backup.manifest.location.key(backup.manifest.parts[0].name)
        body = bytearray(backup.store.get(key))
        body[len(body) // 2] ^= 1
        backup.store.put(key, bytes(body))

    report = damaged(aws, flip)
    assert not report.ok
    assert any("part-00000" in one and "damaged" in one for one in report.problems)
    assert not verify(report.backup, "checksum").ok
    assert verify(report.backup, "list").ok


def test_verify_names_a_missing_part_and_swapped_parts(aws: Any) -> None:
    def swap(backup: BackupSet) -> None:
        keys = [backup.manifest.location.key(part.name) for part in backup.manifest.parts]
        backup.store.put(keys[0], backup.store.get(keys[1]))
        backup.store.delete(keys[1])

    report = damaged(aws, swap)
    assert any("part-00001" in one and "missing" in one for one in report.problems)
    assert any("part-00000" in one for one in report.problems)
    assert not verify(report.backup, "list").ok


def test_verify_names_damaged_settings_and_reports_orphans(aws: Any) -> None:
    def edit(backup: BackupSet) -> None:
        backup.store.put(backup.manifest.location.key("table.json"), b"{}")
        backup.store.put(backup.manifest.location.key("data/part-00009-000000-0.parquet"), b"?")

    report = damaged(aws, edit)
    assert any("table.json" in one for one in report.problems)
    assert report.orphans == ["data/part-00009-000000-0.parquet"]


def republished(backup: BackupSet, edit: Any, *, reseal: bool) -> None:
    """Edits the manifest in place, as a person with a text editor or a liar with a hash would."""
    key = backup.manifest.location.manifest_key
    text = backup.store.get(key)
    if reseal:
        document = unseal(text, "it")
        edit(document)
        backup.store.put(key, seal(document))
    else:
        backup.store.put(key, edit(text))


def test_an_edited_manifest_is_refused_by_name(aws: Any) -> None:
    make_table(aws, "orders", orders())
    report = export("orders")
    republished(opened(report.backup), lambda text: text.replace(b'"engine":"scan"', b'"engine":"pitr"'), reseal=False)
    with pytest.raises(IntegrityError, match=r"manifest\.json.*SHA-256"):
        verify(report.backup)
    listing = list_backups(S3Store(clients(), BUCKET), BUCKET, "backups")
    assert not listing.backups
    assert listing.damaged[0].uri == report.backup


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda d: d["parts"].pop(), "add up"),
        (lambda d: d["parts"].append(dict(d["parts"][0])), "add up"),
        (lambda d: d["parts"][0].update(name="data/../../x.parquet"), "not the name of a part"),
        (lambda d: d["segments"].pop(0), "segment"),
        (lambda d: d["version"].update(major=2), "version 2"),
        (lambda d: d.update(backup_id="20200101T000000Z-00000000"), "lies elsewhere"),
        (lambda d: d["buckets"].clear(), "buckets"),
        (lambda d: d.pop("layout"), "layout"),
        (lambda d: d.update(parts="x"), "manifest"),
        (lambda d: d["files"].pop(), "named"),
    ],
)
def test_a_resealed_forgery_that_contradicts_itself_is_refused(aws: Any, edit: Any, why: str) -> None:
    make_table(aws, "orders", orders(8))
    report = export("orders", segments=2)
    republished(opened(report.backup), edit, reseal=True)
    with pytest.raises(IntegrityError, match=why):
        opened(report.backup)


def test_verify_finds_a_key_that_was_written_twice(aws: Any) -> None:
    make_table(aws, "orders", orders(12))
    once = opened(export("orders", segments=1).backup)
    # a consistent forgery: the same part under two segments, all sums adding up
    location = once.manifest.location.shelf.set("20300101T000000Z-00000000")
    from tablekeep.engine.backups.manifest import Segment
    from tablekeep.engine.backups.sets import publish, put_file
    from tablekeep.engine.export.segments import SegmentWriter
    from tablekeep.engine.items.codec import Encoder

    encoders, parts, segments = [], [], []
    for number in range(2):
        writer = SegmentWriter(once.store, location, number, 0, Encoder(once.manifest.layout, ["pk", "sk"]))
        writer.add(all_items(once))
        parts += writer.finish()
        encoders.append(writer.encoder)
        segments.append(Segment(number, 1, 12, "x", "y"))
    encoders[0].merge(encoders[1])
    files = (
        put_file(once.store, location, "table", once.document("table"), 1),
        put_file(once.store, location, "census", encoders[0].census.as_json(), 1),
    )
    figures = {
        name: type(once.manifest.columns["pk"])(one.nulls, one.misfits) for name, one in encoders[0].counts.items()
    }
    twice: Manifest = dataclasses.replace(
        once.manifest, location=location, content=encoders[0].hasher.whole, buckets=tuple(encoders[0].hasher.buckets), columns=figures,
        rest_rows=encoders[0].rest_rows, segments=tuple(segments), parts=tuple(parts), files=files,
    )  # fmt: skip
    report = verify(publish(once.store, twice).uri)
    assert [one for one in report.problems if "twice" in one]
    assert len(report.problems) == 12
    assert "customer" not in json.dumps(report.as_dict())


def test_a_try_that_finds_its_set_published_makes_no_second_one(aws: Any) -> None:
    make_table(aws, "orders", orders(5))
    first = export("orders", backup_id="20260101T000000Z-0a0b0c0d")
    before = list(S3Store(clients(), BUCKET).list(""))
    again = export("orders", backup_id=first.backup_id)
    assert again.reused
    assert not first.reused
    assert (again.backup, again.items, again.content_hash) == (first.backup, 5, first.content_hash)
    assert list(S3Store(clients(), BUCKET).list("")) == before


def test_a_second_worker_cannot_publish_the_same_backup(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_table(aws, "orders", orders(5))
    report = export("orders")
    before = opened(report.backup).manifest
    real = S3Store.head

    def not_yet(self: S3Store, key: str) -> Any:
        monkeypatch.setattr(S3Store, "head", real)
        return None

    monkeypatch.setattr(S3Store, "head", not_yet)  # both looked before either had published
    with pytest.raises(PermanentError, match="another worker"):
        export("orders", backup_id=report.backup_id)
    assert opened(report.backup).manifest == before
    proof = verify(report.backup)
    assert proof.ok
    assert len(proof.orphans) == 3  # what the loser wrote lies beside the set, named by nothing


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"table": "not-there"}, "no such table"),
        ({"table": "a/b"}, "3 to 255"),
        ({"table": "orders", "to": "s3://not-there-bucket/x"}, "no such bucket"),
        ({"table": "orders", "to": "bucket"}, "s3://"),
        ({"table": "orders", "segments": 0}, "1 to 1,000,000"),
        ({"table": "orders", "read_budget": 0}, "not more than zero"),
        ({"table": "orders", "read_budget": float("nan")}, "not more than zero"),
        ({"table": "orders", "owner": "999999999999"}, "999999999999"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(aws: Any, arguments: dict[str, Any], why: str) -> None:
    from tablekeep.engine.export.table import export_table

    make_table(aws, "orders", [])
    with pytest.raises(BadInputError, match=why):
        export_table(
            **(
                {
                    "clients": clients(),
                    "clock": SystemClock(),
                    "progress": NoProgress(),
                    "to": ROOT,
                    "actor": "t",
                    "run": "t",
                }
                | arguments
            )
        )
    assert not list(S3Store(clients(), BUCKET).list(""))


def test_a_failing_store_leaves_no_backup(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_table(aws, "orders", orders())
    real = S3Store.head

    def lost(self: S3Store, key: str) -> Any:
        return None if "part-" in key else real(self, key)

    monkeypatch.setattr(S3Store, "head", lost)
    with pytest.raises(IntegrityError, match="reading back"):
        export("orders")
    monkeypatch.undo()
    assert not list_backups(S3Store(clients(), BUCKET), BUCKET, "backups").backups


def test_manifest_text_reads_back_as_it_was(aws: Any) -> None:
    make_table(aws, "orders", orders())
    manifest = opened(export("orders").backup).manifest
    again = parse_manifest(manifest.text(), manifest.location)
    assert again == manifest


def test_a_share_of_the_tables_capacity_is_its_budget(aws: Any) -> None:
    make_table(aws, "orders", orders(5))
    database = aws.client("dynamodb")
    database.update_table(
        TableName="orders",
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 40, "WriteCapacityUnits": 5},
    )
    notes: list[str] = []

    class Listening(NoProgress):
        def note(self, text: str) -> None:
            notes.append(text)

    export("orders", read_budget="25%", progress=Listening())
    assert any("10 RCU a second: 25% of 40" in note for note in notes)


def test_the_newest_verified_set_stays_so_after_a_lighter_look_and_not_after_a_bad_one(aws: Any) -> None:
    make_table(aws, "orders", orders(5))
    old, new = export("orders").backup, export("orders").backup
    store, shelf = S3Store(clients(), BUCKET), opened(old).manifest.location.shelf

    def look(backup: str, level: Any) -> None:
        verify_backup(
            clients=clients(),
            clock=SystemClock(),
            progress=NoProgress(),
            backup=backup,
            level=level,
            actor="t",
            run="t",
        )

    def chosen() -> str | None:
        manifest = newest_verified(store, shelf)
        return manifest.uri if manifest else None

    assert chosen() is None
    look(old, "full")
    look(new, "checksum")
    assert chosen() == old
    look(new, "full")
    look(new, "list")
    assert chosen() == new
    part = opened(new).manifest.parts[0]
    store.delete(opened(new).manifest.location.key(part.name))
    look(new, "list")
    assert chosen() == old


def test_several_processes_make_the_same_backup(aws: Any) -> None:
    make_table(aws, "orders", orders(60))
    alone, together = export("orders", segments=5), export("orders", segments=5, workers=2)
    assert together.content_hash == alone.content_hash
    assert together.segments == 5
    assert verify(together.backup).ok
