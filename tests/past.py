"""A table whose past the stand-in keeps, under a clock that tests set."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.export.begin import ExportOptions, get_ready
from tablekeep.engine.export.increments import export_changes
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import NoProgress
from tests.tables import ROOT, clients, export, for_boto, make_bucket, make_table, orders

NIGHT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
ID = "20300101T000000Z-0a0b0c0d"


class StandingClock(SystemClock):
    """At a time that tests set, in the stand-in too; sleeping moves both."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.slept = 0.0
        self.set(NIGHT)

    def set(self, moment: datetime) -> None:
        self.moment = moment
        switch(self.endpoint, "dynamodb", {"now": moment.isoformat()})

    def now(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.set(self.moment + timedelta(seconds=seconds))


@pytest.fixture
def clock(local_aws: Any) -> StandingClock:
    """A table with recovery on, of 40 items written on the night."""
    clock = StandingClock(local_aws.endpoint)
    make_bucket(local_aws)
    make_table(local_aws, "orders", [])
    recovery(local_aws, True)
    put(local_aws, orders())
    return clock


def recovery(aws: Any, on: bool) -> None:
    aws.client("dynamodb").update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on}
    )


def put(aws: Any, items: list[dict[str, Any]]) -> None:
    client = aws.client("dynamodb")
    for item in items:
        client.put_item(TableName="orders", Item={name: for_boto(value) for name, value in item.items()})


def hash_of(items: list[dict[str, Any]]) -> str:
    return str(ContentHash.of(map(canonical_item, items)))


def two_increments(aws: Any, clock: StandingClock) -> list[str]:
    """A full backup ten minutes after the night began, and two increments an hour apart, in each of which an item changes, one comes
    and one goes. The content hashes of the three states.
    """
    clock.set(NIGHT + timedelta(minutes=10))
    export("orders", engine="pitr", as_of=clock.now(), clock=clock)
    items, states = orders(), [hash_of(orders())]
    for hour in (1, 2):
        clock.set(NIGHT + timedelta(hours=hour))
        items[hour] = items[hour] | {"price": {"N": str(hour)}}
        items.append(items[0] | {"sk": {"N": str(1000 + hour)}})
        put(aws, [items[hour], items[-1]])
        gone = items.pop(10)
        aws.client("dynamodb").delete_item(
            TableName="orders", Key={name: for_boto(gone[name]) for name in ("pk", "sk")}
        )
        states.append(hash_of(items))
        clock.set(NIGHT + timedelta(hours=hour, minutes=30))
        back_up_changes(clock, hour)
    return states


def back_up_changes(clock: StandingClock, number: int) -> None:
    """An increment up to now; each of a test has a number of its own."""
    ready, run_id = get_ready(clients(), clock, ExportOptions("orders", ROOT)), f"20300101T00000{number}Z-0a0b0c0d"
    export_changes(ready, clients=clients(), clock=clock, progress=NoProgress(), actor="t", run="t", run_id=run_id)
