"""Verification of a share: each part comes round, damage is found, and a sample never passes for a proof."""

from typing import Any

import pytest

from tablekeep.engine.backups.catalog import newest_verified, usable_sets
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.verify import VerifyReport, verify_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.progress import NoProgress
from tests.tables import clients, export, make_bucket, make_table, orders


@pytest.fixture
def backup(local_aws: Any) -> str:
    """A set of five parts."""
    make_bucket(local_aws)
    make_table(local_aws, "orders", [item | {"pk": {"S": f"customer-{n}"}} for n, item in enumerate(orders())])
    return export("orders", segments=5).backup


class Ticking(SystemClock):
    """Every look at it takes a second."""

    def __init__(self) -> None:
        self.ticks = 0.0

    def monotonic(self) -> float:
        self.ticks += 1
        return self.ticks


def sample(backup: str, share: tuple[int, int] | None = None, seconds: float | None = None) -> VerifyReport:
    return verify_backup(
        clients=clients(),
        clock=Ticking(),
        progress=NoProgress(),
        backup=backup,
        actor="t",
        run="t",
        share=share,
        max_seconds=seconds,
    )


def flip(backup: str, number: int) -> None:
    opened = open_backup(clients(), backup)
    key = opened.manifest.location.key(opened.manifest.parts[number].name)
    content = opened.store.get(key)
    opened.store.put(key, content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])


def test_every_part_comes_round(backup: str) -> None:
    assert len(open_backup(clients(), backup).manifest.parts) == 5
    read = [sample(backup, (0, 3)) for _ in range(3)]
    assert [(one.parts_read, one.next_part) for one in read] == [(2, 2), (2, 4), (2, 1)]
    assert all(one.ok for one in read)
    assert [sample(backup, (number, 3)).parts_read for number in (1, 2, 3)] == [2, 2, 1]


def test_damage_is_found_when_its_turn_comes(backup: str) -> None:
    flip(backup, 3)
    assert [sample(backup, (0, 5)).ok for _ in range(5)] == [True, True, True, False, True]


def test_what_another_part_looks_like_does_not_make_a_damaged_set_good(backup: str) -> None:
    opened = open_backup(clients(), backup)
    flip(backup, 0)
    assert not sample(backup, (1, 5)).ok
    assert sample(backup, (2, 5)).ok
    usable, wrong = usable_sets(opened.store, opened.manifest.location.shelf)
    assert (usable, [one.uri for one in wrong]) == ([], [backup])
    flip(backup, 0)
    whole = verify_backup(clients=clients(), clock=Ticking(), progress=NoProgress(), backup=backup, actor="t", run="t")
    assert whole.ok
    assert usable_sets(opened.store, opened.manifest.location.shelf)[1] == []


def test_when_the_time_is_over_the_next_run_goes_on(backup: str) -> None:
    read = [sample(backup, seconds=4.5) for _ in range(6)]
    assert all(1 <= one.parts_read < 5 for one in read)
    at = 0
    for one in read:
        assert one.next_part == (at + one.parts_read) % 5
        at = one.next_part


def test_a_sample_is_no_proof(backup: str) -> None:
    opened = open_backup(clients(), backup)
    for _ in range(5):
        assert sample(backup, (0, 5)).level == "sample"
    assert newest_verified(opened.store, opened.manifest.location.shelf) is None


@pytest.mark.parametrize("share", [(4, 3), (-1, 3), (0, 0)])
def test_a_share_that_is_none_is_refused(backup: str, share: tuple[int, int]) -> None:
    with pytest.raises(BadInputError, match="is none"):
        sample(backup, share)
