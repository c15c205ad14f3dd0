"""The token bucket, read budgets, and waiting."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.dynamodb.budget import TokenBucket, read_budget
from tablekeep.engine.dynamodb.pacing import Backoff, Brake, Halt, Halted
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.wire import WireThrottled
from tablekeep.engine.errors import BadInputError, ThrottledError, TransientError
from tests.engine.dynamodb.scripted import TestClock


@given(
    st.floats(0.5, 1000),
    st.lists(st.tuples(st.floats(0, 300), st.floats(0, 300), st.floats(0, 10)), max_size=40),
)
def test_spending_never_exceeds_the_rate_by_more_than_a_second_and_one_request(
    rate: float, requests: list[tuple[float, float, float]]
) -> None:
    clock = TestClock()
    bucket = TokenBucket(rate, clock)
    spent = 0.0
    for expected, actual, idle in requests:
        clock.sleep(idle)
        bucket.acquire(expected)
        assert spent <= rate * (clock.monotonic() + 1) + 1e-6 * (1 + spent)
        bucket.settle(expected, actual)
        spent += actual


def test_an_idle_hour_saves_up_one_second() -> None:
    clock = TestClock()
    bucket = TokenBucket(10, clock)
    clock.sleep(3600)
    for _ in range(3):
        bucket.acquire(10)
    assert clock.monotonic() - 3600 == pytest.approx(1, abs=0.1)


def test_waiting_uses_the_callers_sleep() -> None:
    clock = TestClock()
    bucket = TokenBucket(1, clock)
    bucket.acquire(100)

    def stop(seconds: float) -> None:
        raise Halted

    with pytest.raises(Halted):
        bucket.acquire(1, stop)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_is_positive(rate: float) -> None:
    with pytest.raises(BadInputError, match="not more than zero"):
        TokenBucket(rate, TestClock())


PROVISIONED = {
    "version": 1,
    "answers": {
        "DescribeTable": {
            "answer": {
                "Table": {
                    "TableName": "orders",
                    "ProvisionedThroughput": {"ReadCapacityUnits": 200, "WriteCapacityUnits": 50},
                }
            }
        }
    },
}


def on_demand(**fields: Any) -> TableSettings:
    document = copy.deepcopy(PROVISIONED)
    table: dict[str, Any] = document["answers"]["DescribeTable"]["answer"]["Table"]  # type: ignore[index]
    table |= {
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ProvisionedThroughput": {"ReadCapacityUnits": 0},
        **fields,
    }
    return TableSettings(document)


@pytest.mark.parametrize(
    ("budget", "rcu"),
    [("25%", 50), (" 12.5 % ".replace(" %", "%"), 25), ("100%", 200), ("100", 100), (100, 100), (0.5, 0.5)],
)
def test_a_share_of_provisioned_capacity_or_a_number(budget: str | float, rcu: float) -> None:
    found = read_budget(TableSettings(PROVISIONED), budget)
    assert found.rcu == rcu
    assert f"{rcu:g} RCU a second" in found.explanation


def test_on_demand_the_maximum_goes_before_the_warm_throughput() -> None:
    warm = {"WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000}}
    assert read_budget(on_demand(**warm), "25%").rcu == 3000
    assert "warm throughput" in read_budget(on_demand(**warm), "25%").explanation
    assert read_budget(on_demand(OnDemandThroughput={"MaxReadRequestUnits": -1}, **warm), "25%").rcu == 3000
    most = read_budget(on_demand(OnDemandThroughput={"MaxReadRequestUnits": 400}, **warm), "25%")
    assert most.rcu == 100
    assert "MaxReadRequestUnits" in most.explanation
    assert read_budget(on_demand(), 70).rcu == 70


@pytest.mark.parametrize("budget", ["", "%", "fast", "0", "0%", "-5", "101%", "nan", "inf", "25 %%", "1e12"])
def test_other_budgets_are_refused_with_an_example(budget: str) -> None:
    with pytest.raises(BadInputError) as caught:
        read_budget(TableSettings(PROVISIONED), budget)
    assert "100" in caught.value.todo


def test_a_share_of_nothing_known_is_refused() -> None:
    with pytest.raises(BadInputError, match="warm throughput is known") as caught:
        read_budget(on_demand(), "25%")
    assert "100" in caught.value.todo


class Dice(TestClock):
    """A clock whose tokens are given."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def token(self, byte_count: int = 4) -> str:
        return self._token


def test_backoff_is_full_jitter_below_a_doubling_ceiling() -> None:
    highest, lowest = Backoff("x", Dice("ffffffff"), 1e9), Backoff("x", Dice("00000000"), 1e9)
    throttle = ThrottledError("x", "y")
    assert [round(highest.delay(throttle), 3) for _ in range(10)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20]
    assert [lowest.delay(throttle) for _ in range(3)] == [0, 0, 0]
    highest.progressed()
    assert round(highest.delay(throttle), 3) == 0.1


def test_backoff_gives_up_with_the_family_and_reasons_of_the_last_failure() -> None:
    clock = TestClock()
    backoff = Backoff("reading", clock, 10)
    backoff.delay(TransientError("a", "lost"))
    clock.sleep(9)
    backoff.delay(TransientError("a", "lost"))
    backoff.progressed()
    clock.sleep(9)
    backoff.delay(TransientError("a", "lost"))
    clock.sleep(10)
    with pytest.raises(WireThrottled, match="reading: no progress in 10 seconds") as caught:
        backoff.delay(WireThrottled("a", "slow", "", ("Reason",)))
    assert caught.value.reasons == ("Reason",)


def test_a_halt_ends_a_wait() -> None:
    clock = TestClock()
    halt = Halt(clock)
    halt.sleep(3)
    assert clock.monotonic() == pytest.approx(3)
    assert max(clock.slept) <= 0.25
    halt.set()
    with pytest.raises(Halted):
        halt.sleep(1000)
    assert clock.monotonic() == pytest.approx(3)


def test_a_brake_holds_everybody_and_is_only_ever_lengthened() -> None:
    clock = TestClock()
    brake = Brake(clock)
    brake.wait(clock.sleep)
    assert clock.monotonic() == 0
    brake.hold(5)
    brake.hold(1)
    brake.wait(clock.sleep)
    assert clock.monotonic() == pytest.approx(5)
