"""Several processes restore one table: the same content, one budget, one lease; and whoever comes after a crash goes on, alone or not."""

import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import boto3
import pytest

from tablekeep.engine import leases
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import steps
from tablekeep.engine.restore.order import distant
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.source import REST
from tablekeep.engine.restore.state import Loaded, RestoreState
from tablekeep.engine.restore.table import restore_table
from tests.engine.restore import killed
from tests.engine.restore.conftest import Calls
from tests.past import StandingClock, two_increments
from tests.processes import exit_code
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")
INDEX = {
    "IndexName": "by-status",
    "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}


@pytest.fixture
def backup(local_aws: Any) -> str:
    """Six parts of a table with an index and a tag."""
    make_bucket(local_aws)
    items = [{**item, "pk": {"S": f"customer-{n}"}} for n, item in enumerate(orders(60))]
    make_table(
        local_aws, "orders", items, GlobalSecondaryIndexes=[INDEX], Tags=[{"Key": "team", "Value": "shop"}],
        AttributeDefinitions=[{"AttributeName": "status", "AttributeType": "S"}],
    )  # fmt: skip
    return export("orders", segments=6).backup


def restore(to_table: str, backup: str | None = None, workers: int = 2, **more: Any) -> Any:
    run: dict[str, Any] = {
        "clients": clients(),
        "clock": SystemClock(),
        "progress": NoProgress(),
        "actor": "t",
        "run": "t",
    }
    run |= {name: more.pop(name) for name in ("record", "run", "clients", "clock", "prove") if name in more}
    return restore_table(RestoreRequest(to_table, backup, **more), workers=workers, **run)


def content(backup: str) -> str:
    return str(open_backup(clients(), backup).manifest.content)


def kept(to_table: str = "again") -> dict[str, Loaded]:
    """The parts that are loaded, as they are kept."""
    state = RestoreState(S3Store(clients(), BUCKET), SHELF, "123456789012", "us-east-1", to_table)
    found = state.load()
    return state.units(found.token) if found else {}


def test_processes_give_the_same_table_by_either_path(backup: str, calls: Calls) -> None:
    for path in ("batch-write", "import-table"):
        calls.reset()
        report = restore(f"by-{path}", backup, path=path)
        assert report.proved
        assert (report.items, report.written, report.workers) == (60, 60, 2)
        assert report.content_hash == content(backup)
        assert not report.settings_differ
        assert len(kept(f"by-{path}")) == 6
    alone = restore("nothing-kept", backup, record=False)
    assert (alone.proved, alone.content_hash) == (True, content(backup))


def test_a_past_time_by_processes(local_aws: Any, clock: StandingClock) -> None:
    *_, expected = two_increments(local_aws, clock)
    report = restore("then", shelf=SHELF, as_of=clock.now())
    assert (report.proved, report.content_hash) == (True, expected)


def test_what_the_increments_added_is_known_to_whoever_goes_on(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, expected = two_increments(local_aws, clock)
    real = steps.Restoring._load_rest
    monkeypatch.setattr(steps.Restoring, "_load_rest", broken)
    with pytest.raises(TransientError, match="the network is gone"):
        restore("then", shelf=SHELF, as_of=clock.now())
    monkeypatch.setattr(steps.Restoring, "_load_rest", real)
    before = kept("then")
    assert before
    assert REST not in before
    assert sum(len(one.memo) for one in before.values()) == 4 * 16, "two were changed, and two deleted"
    report = restore("then", workers=1, shelf=SHELF, as_of=clock.now())
    assert report.resumed == len(before)
    assert (report.proved, report.content_hash) == (True, expected)


def broken(*given: Any, **more: Any) -> Any:
    raise TransientError("loading", "the network is gone")


def in_a_process(calls: Calls, workers: int, backup: str, to_table: str) -> int:
    """Restores in a process of its own, which the fixture's kill is aimed at; its exit code."""
    return exit_code(killed.restore_by, workers, backup, to_table, begun=lambda pid: setattr(calls, "kill", pid))


def test_killed_at_any_changing_call_it_goes_on_with_another_number_of_workers(backup: str, calls: Calls) -> None:
    expected = content(backup)
    restore("undisturbed", backup)
    most = len(calls.names)
    assert calls.names.count("BatchWriteItem") >= 6
    resumed = 0
    for at in range(1, most, 4):  # with each kind of call among them; `test_resume` tries every single one
        name = f"again-{at}"
        calls.reset(at, after=at % 8 == 1)
        assert in_a_process(calls, 2, backup, name) == -signal.SIGKILL, at
        calls.reset()
        report = restore(name, backup, workers=3 if at == 9 else 1)
        assert (report.proved, report.content_hash, report.items) == (True, expected, 60), at
        assert report.indexes == ["by-status"]
        assert not report.settings_differ
        resumed += report.resumed
    assert resumed > 6, "what was loaded before the kill is not loaded again"


def test_the_write_budget_holds_across_processes(local_aws: Any, calls: Calls) -> None:
    make_bucket(local_aws)
    make_table(local_aws, "orders", [{"pk": {"S": f"c-{n}"}, "sk": {"N": "1"}} for n in range(400)])
    backup = export("orders", segments=8).backup
    rate = 50.0
    assert restore("again", backup, max_wcu=rate, prove=False).items == 400
    for first, (began, _) in enumerate(calls.items):
        spent = 0
        for at, units in calls.items[first:]:
            spent += units
            # a second's worth at once, and a request of each process that is under way
            assert spent <= rate * (at - began + 1) + 2 * 25, (began, at)


def test_a_killed_worker_ends_the_restore_and_the_next_one_goes_on(backup: str) -> None:
    def kill_one() -> None:
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        os.kill(children[0].pid or 0, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(TransientError, match=r"restore-\d ended with -9"):
        restore("again", backup)
    killer.join()
    assert not multiprocessing.active_children()
    assert restore("again", backup, workers=3).content_hash == content(backup)


def test_a_damaged_part_is_told_by_the_process_that_found_it(backup: str) -> None:
    opened = open_backup(clients(), backup)
    part = opened.manifest.parts[3]
    key = opened.manifest.location.key(part.name)
    whole = opened.store.get(key)
    opened.store.put(key, whole[:-1] + b"?")
    with pytest.raises(IntegrityError, match=f"{part.name}.*damaged"):
        restore("again", backup)
    assert part.name not in kept()
    opened.store.put(key, whole)
    assert restore("again", backup).proved


def test_missing_items_by_processes_are_counted_one_by_one(backup: str, local_aws: Any) -> None:
    database = local_aws.client("dynamodb")
    for n in range(7):
        database.delete_item(TableName="orders", Key={"pk": {"S": f"customer-{n}"}, "sk": {"N": str(n)}})
    database.put_item(TableName="orders", Item={"pk": {"S": "customer-9"}, "sk": {"N": "9"}, "mine": {"BOOL": True}})
    report = restore("orders", backup, mode="missing-only")
    assert (report.proved, report.written, report.equal, report.kept) == (True, 7, 52, 1)


def test_listed_items_are_overwritten_by_processes(backup: str, local_aws: Any) -> None:
    database = local_aws.client("dynamodb")
    keys = tuple(json.dumps({"pk": f"customer-{n}", "sk": n}) for n in range(20))
    for n in range(30):
        item = {"pk": {"S": f"customer-{n}"}, "sk": {"N": str(n)}, "mine": {"BOOL": True}}
        database.put_item(TableName="orders", Item=item)
    report = restore("orders", backup, mode="overwrite-listed-keys", keys=keys)
    assert (report.proved, report.written, report.replaced, report.workers) == (True, 20, 20, 2)
    mine = [one for one in database.scan(TableName="orders")["Items"] if "mine" in one]
    assert len(mine) == 10, "what is not listed stays"


def test_credentials_that_cannot_be_handed_on_are_told_before_the_table_is_loaded(backup: str) -> None:
    foreign = SessionClients(boto3.session.Session(region_name="us-east-1"))
    with pytest.raises(BadInputError, match="cannot be handed to other processes"):
        restore("again", backup, clients=foreign)
    assert restore("again", backup, workers=1, clients=foreign).proved


@pytest.mark.parametrize("workers", [0, 65])
def test_nobody_wants_so_many_workers(backup: str, workers: int) -> None:
    with pytest.raises(BadInputError, match=f"{workers} workers"):
        restore("again", backup, workers=workers)


def test_a_worker_that_was_thought_dead_writes_nothing_more(backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sleeps so long, in the middle of a part, that somebody else begins anew under the same name; then it wakes."""
    one_part = export("orders", segments=1).backup
    asleep, real, write = [0.0], leases.time.monotonic, WireClient.batch_write
    monkeypatch.setattr(leases.time, "monotonic", lambda: real() + asleep[0])
    written = list[int]()

    def sleep(self: WireClient, table: str, items: Any) -> Any:
        monkeypatch.setattr(WireClient, "batch_write", write)
        asleep[0] += 10_000
        state = RestoreState(S3Store(clients(), BUCKET), SHELF, "123456789012", "us-east-1", "again")
        held = state._store.get(f"{state._base}/lease.json")
        state._store.put(
            f"{state._base}/lease.json", held.replace(b'"ttl":120.0', b'"ttl":-1.0')
        )  # there time has passed, too
        clients().client("dynamodb").delete_table(TableName="again")
        assert restore("again", one_part, workers=1, run="another", max_wcu=1000.0).proved
        monkeypatch.setattr(
            WireClient,
            "batch_write",
            lambda self, table, items: written.append(len(items)) or write(self, table, items),
        )
        return write(self, table, items)  # what was on its way

    monkeypatch.setattr(WireClient, "batch_write", sleep)
    with pytest.raises(PermanentError, match="another worker has taken it over"):
        restore("again", one_part, workers=1)
    assert written == []


def test_neighbours_in_the_order_lie_far_apart() -> None:
    units = [f"{n:02d}" for n in range(32)]
    for at_once in (1, 4, 8, 32, 50):
        order = distant([*units, REST], at_once)
        assert sorted(order[:-1]) == units
        assert order[-1] == REST
        first = sorted(int(one) for one in order[: min(at_once, 32)])
        assert min((b - a for a, b in itertools.pairwise(first)), default=32) >= 32 // min(at_once, 32)
    assert distant([], 4) == []
