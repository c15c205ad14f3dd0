"""What keeps a backup from being deleted, one reason at a time, over backups in memory."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tablekeep.engine.backups.catalog import verifications
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.retention import Keep, expire
from tablekeep.engine.backups.store import AlreadyExistsError, MemoryStore
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import TransientError
from tablekeep.engine.leases import Lease
from tablekeep.engine.progress import NoProgress
from tests.engine.backups.in_memory import History

DAY = 24.0


@pytest.fixture
def history() -> History:
    return History()


def run(history: History, keep: Keep, confirm: bool = True, **more: Any) -> Any:
    return expire(
        history.store, history.shelf, keep, clock=SystemClock(), progress=NoProgress(), actor="t", run="t", confirm=confirm, **more
    )  # fmt: skip


def days(history: History, count: int) -> list[str]:
    """One verified set a day, the newest first."""
    return [history.add(1 + DAY * day) for day in range(count)]


def test_nothing_goes_unless_it_is_confirmed(history: History) -> None:
    sets = days(history, 4)
    looked = run(history, Keep(daily=1, minimum=1), confirm=False)
    assert [one.backup_id for one in looked.sets if not one.kept] == sets[1:]
    assert history.manifests() == sorted(sets)


def test_the_minimum_of_verified_sets_stays(history: History) -> None:
    sets = days(history, 5)
    run(history, Keep(daily=1, minimum=3))
    assert history.manifests() == sorted(sets[:3])


def test_a_set_that_was_never_verified_does_not_count(history: History) -> None:
    sets = [history.add(1 + DAY * day, verified=day != 1) for day in range(4)]
    run(history, Keep(daily=1, minimum=2))
    assert history.manifests() == sorted([sets[0], sets[2]])


def test_a_set_that_was_found_wrong_does_not_count(history: History) -> None:
    sets = days(history, 5)
    history.judge(sets[1], False)
    run(history, Keep(daily=2, minimum=3))
    assert history.manifests() == sorted([sets[0], *sets[2:4]]), "three that are whole, two of them of two days"


def test_a_set_that_was_found_wrong_takes_no_days_place(history: History) -> None:
    sets = days(history, 4)
    history.judge(sets[1], False)
    run(history, Keep(daily=2, minimum=1))
    assert history.manifests() == sorted([sets[0], sets[2]])


def test_the_newest_stays_verified_or_not(history: History) -> None:
    days(history, 2)
    newest = history.add(0.5, verified=False)
    history.judge(newest, False)
    run(history, Keep(daily=1, minimum=1))
    assert newest in history.manifests()


def test_the_verification_that_is_told_is_the_one_that_says_most(history: History) -> None:
    (name,) = days(history, 1)

    def told(*looks: tuple[str, bool]) -> tuple[str, bool]:
        for level, ok in looks:
            history.record("verify", name, {"ok": ok, "level": level})
        found = verifications(history.store, history.shelf)[name]["result"]
        return found["level"], found["ok"]

    assert told() == ("full", True)
    assert told(("list", True), ("sample", True)) == ("full", True), "a lighter look does not hide the full one"
    assert told(("checksum", False), ("sample", True)) == ("checksum", False)
    assert told(("full", True)) == ("full", True), "read whole again, and found whole"
    assert told(("confirm", False), ("full", True)) == ("confirm", False), "what a full export disproved stays so"


def test_pinned_sets_stay_until_they_are_unpinned(history: History) -> None:
    sets = days(history, 4)
    for name in sets[2:]:
        history.record("pin", name, {"why": "audit"})
    history.record("unpin", sets[2], {"why": "it is over"})
    run(history, Keep(daily=1, minimum=1))
    assert history.manifests() == sorted([sets[0], sets[3]])


def test_a_kept_increment_keeps_its_chain(history: History) -> None:
    full = history.add(3 * DAY)
    chain = [full, history.add(2.5 * DAY, full=False), history.add(2 * DAY, full=False)]
    history.record("pin", chain[-1], {"why": "audit"})
    newest = history.add(1)
    run(history, Keep(daily=1, minimum=1))
    assert history.manifests() == sorted([*chain, newest])


def test_nothing_goes_while_the_newest_is_old(history: History) -> None:
    sets = [history.add(DAY * day) for day in (9, 10, 11)]
    assert "hours old" in run(history, Keep(daily=1, minimum=1)).stopped
    assert history.manifests() == sorted(sets)


def test_nothing_goes_while_a_manifest_cannot_be_trusted(history: History) -> None:
    sets = days(history, 4)
    key = history.shelf.set(sets[1]).manifest_key
    history.store.put(key, history.store.get(key)[:-9])
    assert "cannot be trusted" in run(history, Keep(daily=1, minimum=1)).stopped
    assert history.manifests() == sorted(sets)


def test_nothing_goes_while_too_few_are_verified(history: History) -> None:
    sets = [history.add(1 + DAY * day, verified=day < 1) for day in range(4)]
    assert "fewer than 2 verified" in run(history, Keep(daily=1, minimum=2)).stopped
    assert history.manifests() == sorted(sets)


def test_nothing_goes_while_the_table_is_backed_up(history: History) -> None:
    sets = days(history, 3)
    given: dict[str, Any] = {"holder": "ana", "run": "r", "clock": SystemClock(), "conflict": AlreadyExistsError}
    with Lease(history.store, history.shelf.lease_key, **given), pytest.raises(TransientError, match="ana holds it"):
        run(history, Keep(daily=1, minimum=1))
    assert history.manifests() == sorted(sets)


def test_what_the_store_locks_stays(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = days(history, 3)

    def locked(self: MemoryStore, key: str) -> datetime | None:
        return self.now() + timedelta(days=1) if sets[2] in key else None

    monkeypatch.setattr(MemoryStore, "locked_until", locked)
    run(history, Keep(daily=1, minimum=1))
    assert history.manifests() == sorted([sets[0], sets[2]])


def test_the_manifest_goes_first_and_a_record_before_it(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    sets, gone = days(history, 2), list[str]()
    real = MemoryStore.delete

    def delete(self: MemoryStore, key: str) -> None:
        told = [one["backup_id"] for one in read_records(history.store, history.shelf, "delete")]
        assert sets[1] in told, "what is deleted was recorded before"
        gone.append(key.rsplit("/", 1)[1])
        real(self, key)

    monkeypatch.setattr(MemoryStore, "delete", delete)
    run(history, Keep(daily=1, minimum=1))
    assert gone[0] == "manifest.json"
    assert len(gone) == 2


def test_a_folder_without_a_manifest_rests_before_it_is_swept(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    days(history, 2)
    beginning = f"{history.shelf.set('20260101T000000Z-0a0b0c0d').prefix}/data/part"
    history.store.put(beginning, b"x")
    run(history, Keep(daily=9, minimum=1))
    assert history.store.head(beginning), "a run may be at work there"
    monkeypatch.setattr("tablekeep.engine.backups.retention.GRACE", timedelta(microseconds=-1))
    run(history, Keep(daily=9, minimum=1))
    assert history.store.head(beginning) is None
