"""A plan's hash holds for four hours after the plan was shown, by a clock that tests set."""

from typing import Any

import pytest

from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import steps
from tablekeep.engine.restore.plan import plan_restore
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.shown import PLAN_HOLDS, record_plan
from tablekeep.engine.restore.table import restore_table
from tests.engine.restore.test_kept import later
from tests.past import StandingClock
from tests.tables import clients, export


@pytest.fixture
def backup(clock: StandingClock) -> str:
    return export("orders", segments=3, clock=clock).backup


def show(backup: str, clock: StandingClock, recorded: bool = True) -> str:
    """The hash of a plan that was shown now."""
    prepared = plan_restore(
        RestoreRequest("again", backup), clients=clients(), clock=clock, progress=NoProgress(), prices=load_prices()
    )
    if recorded:
        record_plan(prepared, actor="t", run="t", clock=clock)
    return prepared.plan.hash


def restore(backup: str, clock: StandingClock, plan: str | None) -> Any:
    return restore_table(
        RestoreRequest("again", backup), clients=clients(), clock=clock, progress=NoProgress(), actor="t", run="t",
        plan_hash=plan, plan_holds=PLAN_HOLDS,
    )  # fmt: skip


def tables(aws: Any) -> list[str]:
    return list(aws.client("dynamodb").list_tables()["TableNames"])


def test_a_plan_is_carried_out_within_four_hours_and_refused_after_them(
    local_aws: Any, clock: StandingClock, backup: str
) -> None:
    plan = show(backup, clock)
    later(clock, hours=4, seconds=1)
    with pytest.raises(BadInputError) as refused:
        restore(backup, clock, plan[:16])
    for part in (
        "was shown at 2026-11-20T02:00:00Z, more than 4 hours ago",
        "look at it again with `tablekeep plan restore`",
    ):
        assert part in str(refused.value), part
    assert tables(local_aws) == ["orders"]
    assert show(backup, clock) == plan, "nothing has changed, and it was looked at again"
    later(clock, hours=4)
    assert restore(backup, clock, plan[:16]).proved


def test_a_plan_that_nobody_has_recorded_is_not_taken(local_aws: Any, clock: StandingClock, backup: str) -> None:
    plan = show(backup, clock, recorded=False)
    with pytest.raises(BadInputError, match="no record beside the backups says when"):
        restore(backup, clock, plan)
    assert tables(local_aws) == ["orders"]
    assert restore(backup, clock, None).proved, "without a plan there is nothing to age"


def test_a_restore_that_was_begun_in_time_is_gone_on_with(
    clock: StandingClock, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = show(backup, clock)
    later(clock, hours=3)

    def dying(*given: Any, **more: Any) -> None:
        raise TransientError("loading", "the network is gone")

    with monkeypatch.context() as patch:
        patch.setattr(steps, "load_units", dying)
        with pytest.raises(TransientError):
            restore(backup, clock, plan)
    later(clock, hours=9)
    assert restore(backup, clock, plan).proved
