"""Retention: over arbitrary histories it never deletes what must stay; on a real bucket it deletes what it said, manifest first."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.backups.catalog import list_shelf
from tablekeep.engine.backups.chains import chain
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.locks import held, lock_warning
from tablekeep.engine.backups.manifest import Manifest, Window
from tablekeep.engine.backups.records import read_records, write_record
from tablekeep.engine.backups.retention import GRACE, Keep, expire, judge_sets, pins
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.store import AlreadyExistsError
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.leases import Lease
from tablekeep.engine.progress import NoProgress
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders, verify

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")
BEGIN = datetime(2026, 1, 1, 2, tzinfo=UTC)


class AtTime(SystemClock):
    """Exports at times that a test sets."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@pytest.fixture(scope="module")
def pattern(local_aws_server: Any) -> Manifest:
    """A manifest from which others are made."""
    make_bucket(local_aws_server, "pattern")
    make_table(local_aws_server, "pattern", orders(3))
    return open_backup(clients(), export("pattern", to="s3://pattern/backups").backup).manifest


def made(pattern: Manifest, hours: int, window_from: int | None = None) -> Manifest:
    """A set of that hour; an increment since `window_from`."""
    as_of = BEGIN + timedelta(hours=hours)
    location = SHELF.set(f"{as_of:%Y%m%dT%H%M%SZ}-{hours:08x}")
    window = Window(BEGIN + timedelta(hours=window_from), as_of, True) if window_from is not None else None
    moment = timedelta(minutes=1)
    return dataclasses.replace(
        pattern, location=location, as_of=as_of, consistent=(as_of - moment, as_of + moment), window=window, parents=()
    )


@st.composite
def histories(draw: Any) -> list[tuple[int, bool]]:
    """(hours between sets, whether it is full), the first full."""
    steps = draw(st.lists(st.tuples(st.integers(1, 24 * 45), st.booleans()), max_size=40))
    return [(0, True), *steps]


keeps = st.builds(
    Keep,
    daily=st.integers(1, 8),
    weekly=st.integers(0, 4),
    monthly=st.integers(0, 6),
    yearly=st.integers(0, 3),
    minimum=st.integers(1, 4),
)


@given(histories(), keeps, st.data())
def test_whatever_happened_what_must_stay_stays(
    pattern: Manifest, history: list[tuple[int, bool]], keep: Keep, data: Any
) -> None:
    sets, at = list[Manifest](), 0
    for hours, full in history:
        before, at = at, at + hours
        sets.append(made(pattern, at, None if full else max(0, before - 1)))
    sets.reverse()
    ids = [one.backup_id for one in sets]
    verified = data.draw(st.sets(st.sampled_from(ids)))
    pinned = data.draw(st.sets(st.sampled_from(ids), max_size=3))
    wrong = data.draw(st.sets(st.sampled_from(ids), max_size=2))
    verdicts = {
        one.backup_id: one for one in judge_sets(sets, keep, verified=verified - wrong, pinned=pinned, wrong=wrong)
    }
    kept = [one for one in sets if verdicts[one.backup_id].kept]
    full = [one for one in sets if one.window is None]
    assert sets[0] in kept
    assert full[0] in kept
    assert all(verdicts[name].kept for name in pinned)
    good = [one for one in full if one.backup_id in verified - wrong]
    assert all(one in kept for one in good[: keep.minimum])
    days = list(dict.fromkeys(one.as_of.date() for one in full if one.backup_id not in wrong))[: keep.daily]
    for day in days:
        assert any(one.as_of.date() == day and one.window is None for one in kept)
    for one in kept:
        if one.window:  # every increment that stays can still be reached from a full set that stays, as before
            whole = chain(sets, table_id=one.table_id, until=one.as_of)
            left = chain(kept, table_id=one.table_id, until=one.as_of)
            assert whole
            assert left
            assert left.newest.as_of >= whole.newest.as_of
    for one in sets:
        if one not in kept:
            assert one.backup_id not in pinned


@pytest.fixture
def month(local_aws: Any) -> list[str]:
    """A set for each of ten days until today, newest first, all verified; and a dead run's folder."""
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders(3))
    found = []
    for day in range(9, -1, -1):
        clock = AtTime(datetime.now(UTC) - timedelta(days=day))
        backup = export("orders", clock=clock).backup
        verify(backup)
        found.insert(0, backup)
    return found


def run(keep: Keep, confirm: bool = True, **more: Any) -> Any:
    common: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress(), "actor": "t", "run": "t"}
    return expire(S3Store(clients(), BUCKET), SHELF, keep, confirm=confirm, **(common | more))


def left() -> list[str]:
    return [one.uri for one in list_shelf(S3Store(clients(), BUCKET), SHELF).backups]


def test_the_list_is_shown_and_then_deleted_exactly(month: list[str]) -> None:
    looked = run(Keep(daily=4, minimum=2), confirm=False)
    assert left() == month
    assert [one.backup for one in looked.sets if not one.kept] == month[4:]
    assert looked.bytes > 0
    done = run(Keep(daily=4, minimum=2))
    assert left() == month[:4]
    assert len(done.deleted) == 6
    store = S3Store(clients(), BUCKET)
    keys = [info.key for info in store.list(SHELF.prefix + "/")]
    assert not [key for key in keys for name in done.deleted if f"/{name}/" in key], "nothing of them is left"
    records = list(read_records(store, SHELF, "delete"))
    assert [one["backup_id"] for one in records] == done.deleted
    assert run(Keep(daily=4, minimum=2)).deleted == []


def test_the_minimum_the_pinned_and_the_newest_stay(month: list[str]) -> None:
    store = S3Store(clients(), BUCKET)
    pin = [open_backup(clients(), uri).manifest.backup_id for uri in month[8:]]
    for name in pin:
        write_record(store, SHELF, "pin", {"why": "audit"}, backup_id=name, actor="t", run="t", clock=SystemClock())
    write_record(store, SHELF, "unpin", {"why": "over"}, backup_id=pin[1], actor="t", run="t", clock=SystemClock())
    assert pins(store, SHELF) == {pin[0]}
    run(Keep(daily=1, minimum=3))
    assert left() == [*month[:3], month[8]]


def test_nothing_is_deleted_while_the_newest_is_old_or_too_few_are_verified(month: list[str], local_aws: Any) -> None:
    assert "hours old" in run(Keep(daily=1), stale=timedelta(seconds=-10)).stopped
    assert "fewer than 11 verified" in run(Keep(daily=1, minimum=11)).stopped
    manifest = open_backup(clients(), month[3]).manifest
    store = S3Store(clients(), BUCKET)
    text = store.get(manifest.location.manifest_key)
    store.put(manifest.location.manifest_key, text.replace(b'"items"', b'"itemz"', 1))
    assert "cannot be trusted" in run(Keep(daily=1)).stopped
    store.put(manifest.location.manifest_key, text)
    assert left() == month
    lease = Lease(store, SHELF.lease_key, holder="ana", run="r", clock=SystemClock(), conflict=AlreadyExistsError)
    with lease, pytest.raises(TransientError, match="ana holds it"):
        run(Keep(daily=1))
    assert left() == month


def test_a_manifest_goes_first_and_what_a_crash_leaves_is_swept_after_a_grace(
    month: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = S3Store.delete, list[str]()

    def dying(self: S3Store, key: str) -> None:
        calls.append(key)
        if len(calls) == 2:
            raise TransientError("deleting", "the network is gone")
        real(self, key)

    monkeypatch.setattr(S3Store, "delete", dying)
    with pytest.raises(TransientError):
        run(Keep(daily=9, minimum=1))
    assert calls[0].endswith("/manifest.json")
    monkeypatch.undo()
    assert left() == month[:9]
    assert run(Keep(daily=10)).deleted == [], "it may be a run that is still at work"
    monkeypatch.setattr("tablekeep.engine.backups.retention.GRACE", timedelta(microseconds=-1))
    done = run(Keep(daily=10))
    assert list(done.orphans) == done.deleted == [calls[0].split("/")[-2]]
    assert left() == month[:9]
    assert timedelta(days=1) < GRACE


def test_a_locked_backup_is_kept(local_aws: Any) -> None:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    make_table(local_aws, "orders", orders(3))
    backups = []
    for day in (2, 1, 0):
        backup = export("orders", clock=AtTime(datetime.now(UTC) - timedelta(days=day))).backup
        verify(backup)
        backups.append(backup)
    until = datetime.now(UTC) + timedelta(days=30)
    key = open_backup(clients(), backups[0]).manifest.location.manifest_key
    s3.put_object_retention(Bucket=BUCKET, Key=key, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    done = run(Keep(daily=1, minimum=1))
    assert sorted(left()) == sorted([backups[0], backups[2]])
    assert next(one.why for one in done.sets if one.backup == backups[0])[0].startswith("locked until")


def locking_bucket(aws: Any, days: int) -> None:
    """Three daily backups in a bucket that locks what is new."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": days}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration=lock)
    make_table(aws, "orders", orders(3))
    for day in (2, 1, 0):
        verify(export("orders", clock=AtTime(datetime.now(UTC) - timedelta(days=day))).backup)


def test_a_lock_that_outlasts_the_rules_is_told_once_with_both_periods(local_aws: Any) -> None:
    locking_bucket(local_aws, 90)
    done = run(Keep(daily=1, minimum=1))
    assert done.deleted == []
    assert done.warning.count("Object Lock") == 1
    for part in (
        "for about 1 day (daily: 1)",
        "Object Lock keeps it for 90 days (the bucket's default retention)",
        "; 2 that no rule keeps",
    ):
        assert part in done.warning, part
    wide = run(Keep(daily=35, minimum=1))
    assert "for about 35 days (daily: 35)" in wide.warning, "nothing is to be deleted yet, and it is told beforehand"
    assert "no rule keeps" not in wide.warning
    assert run(Keep(daily=90, minimum=1)).warning == ""


def test_locks_of_objects_are_compared_with_the_rules_too(local_aws: Any) -> None:
    locking_bucket(local_aws, 1)
    assert run(Keep(daily=3, minimum=1)).warning == ""
    key = open_backup(clients(), left()[-1]).manifest.location.manifest_key
    until = datetime.now(UTC) + timedelta(days=30)
    local_aws.client("s3").put_object_retention(
        Bucket=BUCKET, Key=key, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until}
    )
    told = run(Keep(daily=1, minimum=1)).warning
    assert "Object Lock keeps it for 32 days (set on the objects)" in told
    assert "2 that no rule keeps stay by their lock alone" in told


def test_backups_that_are_rarer_than_days_are_held_for_longer() -> None:
    weekly = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(weeks=n) for n in range(5)]
    assert held(35, weekly) == timedelta(weeks=35)
    assert held(35, []) == held(35, weekly[:1]) == timedelta(days=35)
    assert lock_warning(35, weekly, timedelta(days=90), [], weekly[-1]) == ""
    forever = datetime.max.replace(tzinfo=UTC)
    assert lock_warning(1, weekly, None, [(weekly[0], forever)], weekly[-1]) == "", "a legal hold is no period"


@pytest.mark.parametrize("keep", [Keep(), Keep(daily=-1, weekly=2), Keep(daily=1, minimum=0)])
def test_rules_that_make_no_sense_are_refused(keep: Keep) -> None:
    with pytest.raises(BadInputError):
        keep.check()
