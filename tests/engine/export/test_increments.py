"""Incremental backups: every window exactly, no gap unseen, and a merged set that equals the table."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tablekeep.engine.backups.catalog import list_shelf, newest_verified, usable_sets
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.backups.verify import VerifyReport, verify_backup
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError
from tablekeep.engine.export.begin import ExportOptions, get_ready
from tablekeep.engine.export.increments import export_changes
from tablekeep.engine.export.merge import confirm_merge, merge_backups
from tablekeep.engine.items.changes import parse_change
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.compare import compare
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.past import ID, NIGHT, StandingClock, hash_of, put, recovery
from tests.tables import BUCKET, ROOT, clients, export, for_boto, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def common(clock: StandingClock) -> dict[str, Any]:
    return {"clients": clients(), "clock": clock, "progress": NoProgress(), "actor": "t", "run": "t"}


def full(clock: StandingClock, as_of: datetime) -> Any:
    return export("orders", engine="pitr", clock=clock, as_of=as_of)


def increments(clock: StandingClock, as_of: datetime | None = None, **more: Any) -> list[Any]:
    ready = get_ready(clients(), clock, ExportOptions("orders", ROOT))
    return export_changes(ready, as_of=as_of, **({"run_id": ID} | common(clock) | more))


def merged(clock: StandingClock, **more: Any) -> Any:
    return merge_backups(shelf=SHELF, **common(clock), **more)


def proof(clock: StandingClock, backup: str) -> VerifyReport:
    return verify_backup(backup=backup, level="full", **common(clock))


def changes_of(backup: str) -> list[Any]:
    opened = open_backup(clients(), backup, incremental=True)
    names = opened.manifest.key_names
    return [parse_change(one, names) for part in opened.manifest.parts for page in opened.items(part) for one in page]


def paid() -> int:
    """Exports that the service was asked for."""
    return len(clients().client("dynamodb").list_exports()["ExportSummaries"])


def delete(aws: Any, item: dict[str, Any]) -> None:
    key = {name: for_boto(item[name]) for name in ("pk", "sk")}
    aws.client("dynamodb").delete_item(TableName="orders", Key=key)


@pytest.fixture
def chained(local_aws: Any, clock: StandingClock) -> StandingClock:
    """A full set of ten minutes past the night, then three changes in two hours. It is three hours later now."""
    clock.set(NIGHT + 10 * MINUTE)
    full(clock, NIGHT + 10 * MINUTE)
    first = orders()
    clock.set(NIGHT + HOUR)
    put(local_aws, [first[0] | {"price": {"N": "0.001"}, "gift": {"BOOL": True}}])
    delete(local_aws, first[1])
    clock.set(NIGHT + 2 * HOUR)
    put(local_aws, [first[2] | {"pk": {"S": "new"}}])
    clock.set(NIGHT + 3 * HOUR)
    return clock


def after() -> list[dict[str, Any]]:
    """What the table of `chained` holds in the end."""
    first = orders()
    changed = first[0] | {"price": {"N": "0.001"}, "gift": {"BOOL": True}}
    return [changed, *first[2:], first[2] | {"pk": {"S": "new"}}]


def test_an_increment_holds_exactly_what_was_changed(chained: StandingClock) -> None:
    (made,) = increments(chained)
    manifest = open_backup(clients(), made.backup, incremental=True).manifest
    assert (made.kind, made.items, manifest.engine) == ("incremental", 3, "pitr")
    assert manifest.window
    assert (manifest.window.since, manifest.window.to) == (NIGHT + 8 * MINUTE, NIGHT + 3 * HOUR)
    assert [one.backup_id for one in manifest.parents] == [
        one.backup_id for one in list_shelf(S3Store(clients(), BUCKET), SHELF).backups if one.window is None
    ]
    found = {one.key["sk"]["N"] + one.key["pk"]["S"]: one for one in changes_of(made.backup)}
    update, deletion, insert = found["0customer-0"], found["1customer-1"], found["2new"]
    assert update.new["price"] == {"N": "0.001"}
    assert update.old["price"] == {"N": "0.25"}
    assert deletion.new is None
    assert deletion.old["price"] == {"N": "1.25"}
    assert insert.old is None
    assert update.written == (NIGHT + HOUR).timestamp() * 1e6
    report = proof(chained, made.backup)
    assert report.ok, report.problems
    assert not report.orphans


def test_a_merge_equals_the_table_and_touches_it_not(chained: StandingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    increments(chained)
    fresh = full(chained, NIGHT + 3 * HOUR)
    S3Store(clients(), BUCKET).delete(fresh.backup.removeprefix(f"s3://{BUCKET}/"))  # so that the chain is still needed
    monkeypatch.setattr("tablekeep.engine.clients.SessionClients.client", _no_dynamodb(clients().client))
    made = merged(chained)
    assert made.content_hash == hash_of(after()) == fresh.content_hash
    assert (made.boundary, made.kind, made.as_of) == (0, "full", "2026-11-20T05:00:00.000Z")
    manifest = open_backup(clients(), made.backup).manifest
    assert manifest.engine == "merge"
    assert len(manifest.parents) == 2
    assert "gift" in {one.column for one in manifest.layout.columns}
    price = manifest.layout.column_of("price")
    assert price
    assert (manifest.columns[price.column].misfits, price.scale) == (0, 6)
    assert proof(chained, made.backup).ok
    assert merged(chained).backup == made.backup  # nothing follows it


def _no_dynamodb(real: Any) -> Any:
    def client(self: Any, service: str, *more: Any, **options: Any) -> Any:
        assert service != "dynamodb"
        return real(service, *more, **options)

    return client


def test_nothing_is_paid_twice_and_nothing_when_nothing_is_missing(
    chained: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tablekeep.engine.export.convert.wait_for_native", crash)
        with pytest.raises(KeyboardInterrupt):
            increments(chained, NIGHT + 3 * HOUR)
    assert paid() == 2
    (made,) = increments(chained, NIGHT + 3 * HOUR)  # the retry of the same run
    assert increments(chained, NIGHT + 3 * HOUR, run_id="20300101T000000Z-ffffffff") == []
    assert paid() == 2
    assert merged(chained).content_hash == hash_of(after())
    assert made.items == 3


def test_resume_goes_on_with_the_window_that_was_begun(chained: StandingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tablekeep.engine.export.convert.wait_for_native", crash)
        with pytest.raises(KeyboardInterrupt):
            increments(chained)
    chained.set(NIGHT + 4 * HOUR)
    first, second = increments(chained, run_id="20300101T000000Z-ffffffff", resume="newest")
    assert (first.as_of, second.as_of) == ("2026-11-20T05:00:00.000Z", "2026-11-20T06:00:00.000Z")
    assert (first.items, second.items, paid()) == (3, 0, 3)


def test_after_an_outage_windows_of_a_day_follow_each_other(local_aws: Any, clock: StandingClock) -> None:
    clock.set(NIGHT + 10 * MINUTE)
    full(clock, NIGHT + 10 * MINUTE)
    expected = orders()
    for day in range(1, 4):
        clock.set(NIGHT + timedelta(days=day))
        expected = [expected[0] | {"day": {"N": str(day)}}, *expected[1:]]
        put(local_aws, expected[:1])
    made = increments(clock, NIGHT + timedelta(days=3))
    assert [one.items for one in made] == [1, 1, 0]  # the end is not part of a window
    clock.set(NIGHT + timedelta(days=3, minutes=5))
    (short,) = increments(clock)  # five minutes are too short: it begins earlier, and overlaps
    window = open_backup(clients(), short.backup, incremental=True).manifest.window
    assert window
    assert window.to - window.since == 15 * MINUTE
    assert short.items == 1
    result = merged(clock)
    assert result.content_hash == hash_of(expected)
    assert len(open_backup(clients(), result.backup).manifest.parents) == 5
    assert merged(clock, as_of=NIGHT + timedelta(days=2)).content_hash == hash_of(
        [orders()[0] | {"day": {"N": "1"}}, *orders()[1:]]
    )


def test_overlap_is_counted_as_boundary_and_does_no_harm(local_aws: Any, clock: StandingClock) -> None:
    clock.set(NIGHT + 9 * MINUTE)
    put(local_aws, [orders()[0] | {"price": {"N": "7"}}])  # before the cut, within the first window
    clock.set(NIGHT + 10 * MINUTE)
    full(clock, NIGHT + 10 * MINUTE)
    clock.set(NIGHT + HOUR)
    increments(clock)
    result = merged(clock)
    assert result.boundary == 1
    assert result.content_hash == hash_of([orders()[0] | {"price": {"N": "7"}}, *orders()[1:]])


def test_a_gap_breaks_the_chain_and_a_full_backup_mends_it(chained: StandingClock) -> None:
    (first,) = increments(chained, NIGHT + 2 * HOUR)
    (second,) = increments(chained)
    S3Store(clients(), BUCKET).delete(first.backup.removeprefix(f"s3://{BUCKET}/"))
    for attempt in (lambda: merged(chained), lambda: increments(chained, NIGHT + 4 * HOUR)):
        chained.set(NIGHT + 4 * HOUR)
        with pytest.raises(
            BadInputError, match=r"nothing holds the changes from 2026-11-20T02:08.* to 2026-11-20T04:00"
        ):
            attempt()
    chained.set(NIGHT + 4 * HOUR)
    whole = full(chained, NIGHT + 4 * HOUR)
    assert merged(chained).backup == whole.backup
    assert second.items == 1


def test_what_the_service_keeps_no_more_is_a_gap(chained: StandingClock) -> None:
    chained.set(NIGHT + timedelta(days=36))
    before = paid()
    with pytest.raises(BadInputError, match=r"chain is broken: nothing holds the changes from 2026-11-20T02:08"):
        increments(chained)
    recovery_was_off_and_on(chained)
    with pytest.raises(BadInputError, match=r"chain is broken|not yet 15 minutes"):
        increments(chained)
    assert paid() == before


def recovery_was_off_and_on(clock: StandingClock) -> None:
    aws = type("Aws", (), {"client": staticmethod(lambda name: clients().client(name))})
    recovery(aws, False)
    clock.set(clock.now() + MINUTE)
    recovery(aws, True)


def test_changes_of_a_table_without_full_backup_or_without_recovery_are_refused(
    local_aws: Any, clock: StandingClock
) -> None:
    with pytest.raises(BadInputError, match="no full backup"):
        increments(clock, NIGHT)
    with pytest.raises(BadInputError, match="no full backup"):
        merged(clock)
    full(clock, NIGHT)
    clock.set(NIGHT + HOUR)
    recovery(local_aws, False)
    with pytest.raises(BadInputError, match="point-in-time recovery is off"):
        increments(clock)


def test_a_time_to_come_is_refused(chained: StandingClock) -> None:
    with pytest.raises(BadInputError, match="in the future"):
        increments(chained, NIGHT + 4 * HOUR)


def test_a_table_made_anew_begins_a_new_chain(local_aws: Any, chained: StandingClock) -> None:
    increments(chained)
    local_aws.client("dynamodb").delete_table(TableName="orders")
    make_table(local_aws, "orders", [])
    recovery(local_aws, True)
    chained.set(NIGHT + 5 * HOUR)
    with pytest.raises(BadInputError, match="no full backup"):
        increments(chained)


def test_a_scan_can_begin_a_chain(local_aws: Any, clock: StandingClock) -> None:
    clock.set(NIGHT + 10 * MINUTE)
    export("orders", clock=clock)
    clock.set(NIGHT + HOUR)
    put(local_aws, [orders()[3] | {"price": {"N": "8"}}])
    clock.set(NIGHT + 2 * HOUR)
    increments(clock)
    assert merged(clock).content_hash == full(clock, NIGHT + 2 * HOUR).content_hash


def test_an_increment_is_no_table(chained: StandingClock) -> None:
    (made,) = increments(chained)
    proof(chained, made.backup)
    store = S3Store(clients(), BUCKET)
    assert newest_verified(store, SHELF) is None
    for use in (
        lambda: restore_table(RestoreRequest("again", made.backup), **common(chained)),
        lambda: compare(clients=clients(), clock=chained, progress=NoProgress(), left=made.backup, right="orders"),
    ):
        with pytest.raises(BadInputError, match="tablekeep merge"):
            use()
    assert clients().client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_a_damaged_increment_makes_no_merged_set(chained: StandingClock) -> None:
    (made,) = increments(chained)
    manifest = open_backup(clients(), made.backup, incremental=True).manifest
    key = manifest.location.key(manifest.parts[0].name)
    body = clients().client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    flipped = body[:50] + bytes([body[50] ^ 1]) + body[51:]
    clients().client("s3").put_object(Bucket=BUCKET, Key=key, Body=flipped)
    with pytest.raises(IntegrityError, match="damaged"):
        merged(chained)
    assert not proof(chained, made.backup).ok
    with pytest.raises(IntegrityError, match=r"a verification found .* wrong, and nothing else holds its changes"):
        merged(chained)
    assert len(list_shelf(S3Store(clients(), BUCKET), SHELF).backups) == 2
    chained.set(NIGHT + 4 * HOUR)
    (again,) = increments(chained)  # the service still has them
    assert again.items == 3
    assert merged(chained).content_hash == hash_of(after())


def test_a_set_that_follows_another_manifest_than_the_one_there_is_not_used(
    chained: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    increments(chained)
    from dataclasses import replace

    from tablekeep.engine.export import merge as merge_module

    real = merge_module.usable_sets

    def forged(*given: Any) -> Any:
        usable, wrong = real(*given)
        return [replace(one, seal="0" * 64) if not one.window else one for one in usable], wrong

    monkeypatch.setattr(merge_module, "usable_sets", forged)
    with pytest.raises(IntegrityError, match="another manifest"):
        merged(chained)


@pytest.mark.parametrize("dies_at", range(1, 5))
def test_a_merge_that_dies_goes_on(chained: StandingClock, monkeypatch: pytest.MonkeyPatch, dies_at: int) -> None:
    monkeypatch.setattr("tablekeep.engine.export.segments.PART_BYTES", 1)
    more = full(chained, NIGHT + 20 * MINUTE)
    assert more.parts >= 3
    increments(chained)
    calls: list[str] = []
    real = S3Store.open_write

    def dying(self: S3Store, key: str) -> Any:
        calls.append(key)
        if len(calls) == dies_at:
            raise PermanentError("writing", "broken")
        return real(self, key)

    monkeypatch.setattr(S3Store, "open_write", dying)
    backup_id = "20261120T050000Z-0a0b0c0d"
    with pytest.raises(PermanentError, match="broken"):
        merged(chained, backup_id=backup_id)
    assert len([one for one in list_shelf(S3Store(clients(), BUCKET), SHELF).backups if not one.window]) == 2
    made = merged(chained, backup_id=backup_id)
    assert made.content_hash == hash_of(after())
    assert made.boundary == 0
    assert len(calls) == made.parts + 1  # no finished part was written again
    assert proof(chained, made.backup).ok
    assert merged(chained, backup_id=backup_id).reused


def test_a_quiet_table_confirms_a_merged_set(chained: StandingClock) -> None:
    increments(chained)
    made = merged(chained)
    proof(chained, made.backup)
    fresh = full(chained, NIGHT + 3 * HOUR)
    found = confirm_merge(merged=made.backup, full=fresh.backup, **common(chained))
    assert (found.ok, found.equal) == (True, True)
    with pytest.raises(BadInputError, match="not a merged set"):
        confirm_merge(merged=fresh.backup, full=fresh.backup, **common(chained))
    with pytest.raises(BadInputError, match="no export"):
        confirm_merge(merged=made.backup, full=made.backup, **common(chained))


def test_what_was_written_between_the_cuts_is_explained_and_nothing_else(
    local_aws: Any, chained: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = full(chained, NIGHT + 3 * HOUR - 2 * MINUTE)
    store = S3Store(clients(), BUCKET)
    text = store.get(fresh.backup.removeprefix(f"s3://{BUCKET}/"))
    store.delete(fresh.backup.removeprefix(f"s3://{BUCKET}/"))
    chained.set(NIGHT + 3 * HOUR - MINUTE)
    put(local_aws, [orders()[5] | {"price": {"N": "55"}}])
    chained.set(NIGHT + 3 * HOUR)
    increments(chained)
    made = merged(chained)
    proof(chained, made.backup)
    store.put(fresh.backup.removeprefix(f"s3://{BUCKET}/"), text)
    found = confirm_merge(merged=made.backup, full=fresh.backup, **common(chained))
    assert (found.ok, found.equal, found.explained, found.unexplained) == (True, False, 1, 0)
    assert newest_verified(store, SHELF).uri == made.backup  # type: ignore[union-attr]
    # an older export differs in keys that were written long before its own cut, as the increments tell
    chained.set(NIGHT + 4 * HOUR)
    old = full(chained, NIGHT + 2 * HOUR - MINUTE)
    monkeypatch.setattr("tablekeep.engine.export.merge.CUT", timedelta(hours=-1, minutes=-30))
    found = confirm_merge(merged=made.backup, full=old.backup, **common(chained))
    assert (found.ok, found.explained, found.unexplained) == (False, 0, 2)
    assert len(found.keys) == 2
    newest = newest_verified(store, SHELF)
    assert newest is None or newest.uri != made.backup  # what was disproved is verified no more
    chained.set(NIGHT + 4 * HOUR + MINUTE)
    assert proof(chained, made.backup).ok  # it is stored as it was written; that does not make it right
    newest = newest_verified(store, SHELF)
    assert newest is None or newest.uri != made.backup
    assert made.backup in {one.uri for one in usable_sets(store, SHELF)[1]}
    (more,) = increments(chained)  # the chain goes on from the full set and the increments
    assert open_backup(clients(), more.backup, incremental=True).manifest.parents[0].backup_id != made.backup_id


Steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "delete", "wait", "backup", "full"]), st.integers(0, 5), st.integers(1, 2000)
    ),
    min_size=3, max_size=14,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(Steps)
def test_whatever_happens_the_merged_set_equals_the_table(local_aws: Any, steps: list[tuple[str, int, int]]) -> None:
    local_aws.reset()
    clock = StandingClock(local_aws.endpoint)
    make_bucket(local_aws)
    make_table(local_aws, "orders", [])
    recovery(local_aws, True)
    model: dict[int, dict[str, Any]] = {}
    clock.set(NIGHT + HOUR)
    full(clock, NIGHT + HOUR)
    for action, number, minutes in [*steps, ("backup", 0, 20)]:
        clock.set(clock.now() + minutes * MINUTE)
        if action == "put":
            model[number] = orders()[number] | {"at": {"N": str(minutes * 10 ** (number * 7))}}
            put(local_aws, [model[number]])
        elif action == "delete":
            delete(local_aws, orders()[number])
            model.pop(number, None)
        elif action == "full":
            full(clock, clock.now())
        elif action == "backup":
            clock.set(clock.now() + MINUTE)
            increments(clock, run_id=f"20300101T000000Z-{minutes:08d}")
    result = merged(clock)
    assert result.content_hash == hash_of(list(model.values()))
    assert proof(clock, result.backup).ok
    assert BackupSet(S3Store(clients(), BUCKET), open_backup(clients(), result.backup).manifest).document("table")
