"""Undo: what a window changed is put back, what was written since is left alone, and what was new is never deleted."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.begin import ExportOptions, get_ready
from tablekeep.engine.export.increments import export_changes
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.undo import UndoReport, undo_window
from tests.engine.restore.test_parts_of_a_backup import held
from tests.past import NIGHT, StandingClock, put
from tests.tables import BUCKET, ROOT, clients, export, for_boto, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ACCIDENT = (NIGHT + HOUR, NIGHT + 2 * HOUR)


def increment(clock: StandingClock, number: int) -> None:
    ready = get_ready(clients(), clock, ExportOptions("orders", ROOT))
    identity = f"20300101T00000{number}Z-0a0b0c0d"
    export_changes(ready, clients=clients(), clock=clock, progress=NoProgress(), actor="t", run="t", run_id=identity)


def delete(aws: Any, item: dict[str, Any]) -> None:
    aws.client("dynamodb").delete_item(TableName="orders", Key={name: for_boto(item[name]) for name in ("pk", "sk")})


@pytest.fixture
def accident(local_aws: Any, clock: StandingClock) -> StandingClock:
    """In the hour after one, somebody sets prices to 0, deletes item 4, adds an item and a note; item 5 is changed once more, later."""
    clock.set(NIGHT + 10 * MINUTE)
    export("orders", engine="pitr", clock=clock, as_of=clock.now())
    clock.set(NIGHT + HOUR + 10 * MINUTE)
    items = orders()
    put(local_aws, [item | {"price": {"N": "0"}} for item in items[:3]])
    put(local_aws, [{name: value for name, value in items[3].items() if name != "price"} | {"added": {"S": "x"}}])
    delete(local_aws, items[4])
    put(local_aws, [items[5] | {"price": {"N": "0"}}, items[0] | {"pk": {"S": "intruder"}}])
    clock.set(NIGHT + 2 * HOUR + 10 * MINUTE)
    increment(clock, 1)
    put(local_aws, [items[5] | {"price": {"N": "99"}}])
    clock.set(NIGHT + 4 * HOUR)
    return clock


def undo(clock: StandingClock, window: tuple[datetime, datetime] = ACCIDENT, **more: Any) -> UndoReport:
    return undo_window(
        clients=clients(),
        clock=clock,
        progress=NoProgress(),
        shelf=SHELF,
        since=window[0],
        to=window[1],
        actor="t",
        run="t",
        **more,
    )


def test_the_window_is_undone_and_nothing_else(accident: StandingClock, local_aws: Any) -> None:
    items = orders()
    before = held(local_aws, "orders")
    looked = undo(accident)
    assert held(local_aws, "orders") == before
    assert (looked.changed, looked.put, looked.written_since, looked.new, looked.proved) == (7, 5, 1, 1, False)
    done = undo(accident, confirm=True)
    assert (done.changed, done.put, done.written_since, done.new, done.proved) == (7, 5, 1, 1, True)
    expected = {canonical_item(one) for n, one in enumerate(items) if n != 5}
    expected |= {
        canonical_item(items[5] | {"price": {"N": "99"}}),
        canonical_item(items[0] | {"pk": {"S": "intruder"}}),
    }
    assert held(local_aws, "orders") == expected
    assert sorted(one["why"] for one in done.keys) == ["new in the window", "written since"]
    assert "intruder" not in str(done.as_dict())
    again = undo(accident, confirm=True)
    assert (again.put, again.same) == (0, 5)


def test_some_items_and_a_file(accident: StandingClock, local_aws: Any, tmp_path: Path) -> None:
    before = held(local_aws, "orders")
    done = undo(accident, keys=['{"pk": "customer-1", "sk": 1}'], confirm=True)
    assert (done.changed, done.put) == (1, 1)
    assert len(held(local_aws, "orders") - before) == 1
    file = tmp_path / "before.json"
    written = undo(accident, file=file)
    found = {canonical_item(json.loads(line)["Item"]) for line in file.read_bytes().splitlines()}
    assert found == {canonical_item(one) for one in orders()[:6]}
    assert (written.put, written.new) == (6, 1)
    with pytest.raises(BadInputError, match="it exists"):
        undo(accident, file=file)


def test_what_is_written_between_the_look_and_the_write_is_left_alone(
    accident: StandingClock, local_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, first = WireClient.put, [True]
    fresh = orders()[1] | {"price": {"N": "0"}, "paid": {"BOOL": True}, "tags": {"SS": ["mine"]}}

    def meddling(self: WireClient, table: str, item: bytes, **more: Any) -> Any:
        if first.pop() if first else False:
            put(local_aws, [fresh])
        return real(self, table, item, **more)

    monkeypatch.setattr(WireClient, "put", meddling)
    done = undo(accident, keys=['{"pk": "customer-1", "sk": 1}'], confirm=True)
    assert (done.put, done.written_since) == (0, 1)
    assert canonical_item(fresh) in held(local_aws, "orders")


def test_a_window_that_is_not_covered_is_refused(accident: StandingClock) -> None:
    for window, why in (
        ((NIGHT + 3 * HOUR, NIGHT + 4 * HOUR), "no incremental backup holds that time"),
        ((NIGHT + HOUR, NIGHT + 4 * HOUR), "nothing holds the changes from"),
        ((NIGHT - HOUR, NIGHT + HOUR), "nothing holds the changes from"),
        ((NIGHT + HOUR, NIGHT + HOUR), "ends before it begins"),
    ):
        with pytest.raises(BadInputError, match=why):
            undo(accident, window)


def test_what_was_written_before_the_window_in_the_same_increment_is_not_its(accident: StandingClock) -> None:
    late = (NIGHT + HOUR + 30 * MINUTE, NIGHT + 2 * HOUR)
    assert undo(accident, late).changed == 0
