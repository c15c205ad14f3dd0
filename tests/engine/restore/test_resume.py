"""A restore that dies anywhere is gone on with: the same table, nothing twice that need not be, and the same content."""

import signal
from typing import Any

import pytest

from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import load
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.state import RestoreState
from tablekeep.engine.restore.table import restore_table
from tests.engine.restore import killed
from tests.processes import exit_code
from tests.tables import clients, export, make_bucket, make_table, orders, verify

INDEX = {
    "IndexName": "by-note",
    "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}


@pytest.fixture
def backup(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A set of five parts, of a table with an index and a tag."""
    make_bucket(local_aws)
    make_table(
        local_aws, "orders", orders(60), GlobalSecondaryIndexes=[INDEX], Tags=[{"Key": "team", "Value": "shop"}],
        AttributeDefinitions=[{"AttributeName": "status", "AttributeType": "S"}],
    )  # fmt: skip
    return export("orders", segments=5).backup


def run(backup: str, to_table: str = "again", **more: Any) -> Any:
    common = {"clients": clients(), "clock": SystemClock(), "progress": NoProgress(), "actor": "t", "run": "t"}
    return restore_table(RestoreRequest(to_table, backup), **common | more)


def in_a_process(at: int, after: bool, backup: str, to_table: str) -> int:
    return exit_code(killed.restore, at, after, backup, to_table)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_changing_call_it_goes_on(backup: str, after: bool) -> None:
    expected = str(open_backup(clients(), backup).manifest.content)
    at, killed_at = 1, 0
    while True:
        name = f"again-{at}"
        code = in_a_process(at, after, backup, name)
        report = run(backup, name) if code == -signal.SIGKILL else None
        if report is None:
            assert code == 0
            break
        killed_at += 1
        assert report.proved
        assert report.content_hash == expected, at
        assert report.items == 60
        assert report.indexes == ["by-note"]
        assert not report.settings_differ
        at += 1
    assert killed_at >= 10, "create, five parts, their states, the index, the tag, the record"


def test_what_is_loaded_is_not_loaded_again(backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LANES", 1)
    real, sent = WireClient.batch_write, list[int]()

    def failing(self: WireClient, table: str, items: Any) -> Any:
        if len(sent) == 3:
            raise TransientError("writing", "the network is gone")
        sent.append(len(items))
        return real(self, table, items)

    monkeypatch.setattr(WireClient, "batch_write", failing)
    monkeypatch.setattr("tablekeep.engine.dynamodb.write.NO_PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(
        load.BatchWriter.__init__,
        "__kwdefaults__",
        load.BatchWriter.__init__.__kwdefaults__ | {"no_progress_seconds": 0.0},
    )
    with pytest.raises(TransientError, match="not written"):
        run(backup)
    monkeypatch.setattr(
        WireClient, "batch_write", lambda self, table, items: sent.append(len(items)) or real(self, table, items)
    )
    report = run(backup)
    assert report.proved
    assert report.resumed >= 1
    assert sum(sent) < 60 + max(sent) + 13, "only what was not finished is sent again"


def test_an_unfinished_restore_of_another_backup_is_not_mixed_in(backup: str, local_aws: Any) -> None:
    code = in_a_process(8, True, backup, "again")
    assert code == -signal.SIGKILL
    other = export("orders", segments=2).backup
    with pytest.raises(BadInputError, match="exists"):
        run(other)
    assert run(backup).proved


def test_an_unfinished_restore_is_not_gone_on_with_for_other_items(backup: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tablekeep.engine.restore.steps.add_indexes", broken)
        with pytest.raises(TransientError):
            run(backup)
    request = RestoreRequest("again", backup, where=("paid = true",))
    with pytest.raises(BadInputError, match="exists"):
        restore_table(
            request, clients=clients(), clock=SystemClock(), progress=NoProgress(), actor="t", run="t"
        )  # fmt: skip
    assert run(backup).proved


def test_a_table_that_was_removed_meanwhile_is_made_anew(backup: str, local_aws: Any) -> None:
    assert in_a_process(8, True, backup, "again") == -signal.SIGKILL
    local_aws.client("dynamodb").delete_table(TableName="again")
    report = run(backup)
    assert report.proved
    assert report.resumed == 0


def test_a_table_that_another_made_meanwhile_is_not_touched(backup: str, local_aws: Any) -> None:
    assert in_a_process(8, True, backup, "again") == -signal.SIGKILL
    local_aws.client("dynamodb").delete_table(TableName="again")
    make_table(local_aws, "again", orders(2))
    with pytest.raises(BadInputError, match="exists"):
        run(backup)
    assert local_aws.client("dynamodb").scan(TableName="again")["Count"] == 2


def test_two_restores_to_one_table_do_not_meet(backup: str) -> None:
    opened = open_backup(clients(), backup)
    state = RestoreState(opened.store, opened.manifest.location.shelf, "123456789012", "us-east-1", "again")
    with (
        state.lease(actor="ana", run="other", clock=SystemClock()),
        pytest.raises(TransientError, match="ana holds it"),
    ):
        run(backup)
    assert run(backup).proved


def test_a_restore_that_was_thought_dead_stops(backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first worker stands still in the middle, a new try of its run finishes, the first wakes up."""
    real, done = WireClient.batch_write, list[Any]()

    def slow(self: WireClient, table: str, items: Any) -> Any:
        monkeypatch.setattr(WireClient, "batch_write", real)
        done.append(run(backup))
        return real(self, table, items)

    monkeypatch.setattr(WireClient, "batch_write", slow)
    with pytest.raises(PermanentError, match="another worker has taken it over"):
        run(backup)
    assert done[0].proved


def test_a_finished_restore_is_told_to_its_own_run_and_refused_to_others(backup: str) -> None:
    first = run(backup)
    assert run(backup).as_dict() == first.as_dict()
    with pytest.raises(BadInputError, match="exists"):
        run(backup, run="another")


def test_without_a_record_nothing_is_written_beside_the_backups(backup: str) -> None:
    store = open_backup(clients(), backup).store
    before = {info.key for info in store.list("")}
    assert run(backup, record=False).proved
    assert {info.key for info in store.list("")} == before


def test_the_newest_backup_stays_the_one_that_was_begun_with(backup: str) -> None:
    shelf = open_backup(clients(), backup).manifest.location.shelf
    common: dict[str, Any] = {
        "clients": clients(),
        "clock": SystemClock(),
        "progress": NoProgress(),
        "actor": "t",
        "run": "t",
    }
    verify(backup)
    request = RestoreRequest("again", shelf=shelf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tablekeep.engine.restore.steps.add_indexes", broken)
        with pytest.raises(TransientError):
            restore_table(request, **common)
    verify(export("orders").backup)
    report = restore_table(request, **common)
    assert (report.backup, report.proved) == (backup, True)
    assert report.resumed == len(open_backup(clients(), backup).manifest.parts)


def broken(*given: Any, **more: Any) -> Any:
    raise TransientError("adding an index", "the network is gone")
