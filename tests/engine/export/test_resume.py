"""A run that dies anywhere goes on: nothing finished is read again, and the result is the same as that of an undisturbed run."""

import json
import multiprocessing
import os
import signal
import threading
import time
from datetime import datetime
from typing import Any

import pytest

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb.scan import ParallelScan
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.export.begin import ExportOptions, Ready, get_ready
from tablekeep.engine.export.groups import begin_export, finish_group, read_group
from tablekeep.engine.progress import NoProgress
from tests.engine.export import killed
from tests.processes import exit_code
from tests.tables import BUCKET, ROOT, clients, export, make_bucket, make_table, orders

ID = "20300101T000000Z-0a0b0c0d"
SEGMENTS = 2


@pytest.fixture
def aws(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    make_bucket(local_aws)
    make_table(local_aws, "big", [{**item, "pad": {"S": "x" * 300_000}} for item in orders(14)])
    monkeypatch.setattr("tablekeep.engine.backups.parts.ROW_GROUP_BYTES", 1)
    monkeypatch.setattr("tablekeep.engine.export.segments.PART_BYTES", 1)
    return local_aws


def store() -> S3Store:
    return S3Store(clients(), BUCKET)


def state_objects() -> list[str]:
    return [info.key for info in store().list("") if "/_state/" in info.key]


def finished_parts() -> set[str]:
    """The parts that the states name."""
    found = set()
    for key in state_objects():
        if "segment-" in key:
            found |= {part["name"] for part in json.loads(store().get(key))["parts"]}
    return found


def verified(uri: str) -> Any:
    report = verify_backup(
        clients=clients(), clock=SystemClock(), progress=NoProgress(), backup=uri, actor="t", run="t", level="full"
    )
    assert report.ok, report.problems
    return report


def in_a_process(at: int, after: bool, run: str = "run-1") -> int:
    """Exports in a process of its own; its exit code."""
    return exit_code(killed.export, at, after, to=ROOT, segments=SEGMENTS, backup_id=ID, run=run)


def undisturbed() -> tuple[Any, int]:
    """The report of a run that nobody disturbs, and how many changing calls it takes."""
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    called = killed.export(environment, 0, False, to=ROOT, segments=SEGMENTS, run="alone")
    (uri,) = [f"s3://{BUCKET}/{info.key}" for info in store().list("") if info.key.endswith("/manifest.json")]
    return open_backup(clients(), uri).manifest, len(called)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("half", [0, 1])
def test_killed_at_every_changing_call(aws: Any, after: bool, half: int) -> None:
    expected, calls = undisturbed()
    assert calls > 20
    assert len(expected.parts) >= 4
    for at in range(1 + half, calls + 1, 2):
        for info in list(store().list("")):
            store().delete(info.key)
        code = in_a_process(at, after)
        kept = finished_parts()
        if code == 0:  # the order of two threads differs from run to run: this one had fewer calls
            assert at > calls - 3
            continue
        assert code == -signal.SIGKILL
        report = export("big", segments=SEGMENTS, backup_id=ID, run="run-1")
        assert report.content_hash == str(expected.content), at
        manifest = open_backup(clients(), report.backup).manifest
        assert kept <= {part.name for part in manifest.parts}, at
        assert len(manifest.parts) == len(expected.parts)
        verified(report.backup)
        assert not state_objects()


def test_finished_segments_are_not_read_again(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ParallelScan._read
    asked: list[tuple[int, bytes | None]] = []

    def failing(self: ParallelScan, segment: int, key: bytes | None) -> Any:
        if segment == 1 and key is not None:
            raise PermanentError("reading", "broken")
        asked.append((segment, key))
        return real(self, segment, key)

    monkeypatch.setattr(ParallelScan, "_read", failing)
    monkeypatch.setattr("tablekeep.engine.dynamodb.scan.MOST_WORKERS", 1)  # segment 0 is done before 1 begins
    with pytest.raises(PermanentError, match="broken"):
        export("big", segments=SEGMENTS, backup_id=ID)
    monkeypatch.setattr(ParallelScan, "_read", lambda self, *given: asked.append(given) or real(self, *given))
    first = len(asked)
    report = export("big", segments=SEGMENTS, backup_id=ID)
    assert report.resumed
    assert all(segment == 1 and key is not None for segment, key in asked[first:])
    assert len(set(asked)) == len(asked)  # no page twice
    verified(report.backup)


def test_an_unfinished_export_is_not_gone_on_with_under_other_conditions(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tablekeep.engine.export.table.finish_export", broken)
    with pytest.raises(PermanentError, match="broken"):
        export("big", segments=SEGMENTS, backup_id=ID)
    monkeypatch.undo()
    with pytest.raises(BadInputError, match=r"begun with segments 2, and now it is 3"):
        export("big", segments=3, backup_id=ID)
    with pytest.raises(BadInputError, match=r"begun with read_budget None"):
        export("big", segments=SEGMENTS, read_budget=100, backup_id=ID)
    aws.client("dynamodb").delete_table(TableName="big")
    make_table(aws, "big", orders(3))
    with pytest.raises(BadInputError, match="made anew"):
        export("big", segments=SEGMENTS, backup_id=ID)
    assert not [info for info in store().list("") if info.key.endswith("manifest.json")]


def broken(*_: Any, **__: Any) -> Any:
    raise PermanentError("publishing", "broken")


def test_resume_takes_the_newest_unfinished_export(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="there is none"):
        export("big", resume="newest")
    with pytest.raises(BadInputError, match="no export was begun"):
        export("big", resume=ID)
    whole = export("big", segments=SEGMENTS)
    monkeypatch.setattr("tablekeep.engine.export.table.finish_export", broken)
    for name in ("20300101T000000Z-00000000", ID):
        with pytest.raises(PermanentError, match="broken"):
            export("big", segments=SEGMENTS, backup_id=name)
    monkeypatch.undo()
    kept = finished_parts()
    report = export("big", segments=SEGMENTS, resume="newest")
    assert report.backup_id == ID
    assert report.resumed
    assert report.content_hash == whole.content_hash
    assert {part.name for part in open_backup(clients(), report.backup).manifest.parts} <= kept


def test_a_worker_that_was_thought_dead_stops(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first worker stands still in the middle, another finishes, the first wakes up."""
    real = ParallelScan._read
    done: list[Any] = []

    def slow(self: ParallelScan, segment: int, key: bytes | None) -> Any:
        if key is not None and not done:
            done.append(None)
            monkeypatch.setattr(ParallelScan, "_read", real)
            done[0] = export("big", segments=SEGMENTS, backup_id=ID)  # the same run: takes the lease over
        return real(self, segment, key)

    monkeypatch.setattr(ParallelScan, "_read", slow)
    monkeypatch.setattr("tablekeep.engine.dynamodb.scan.MOST_WORKERS", 1)
    with pytest.raises(PermanentError, match=r"another worker"):
        export("big", segments=SEGMENTS, backup_id=ID)
    verified(done[0].backup)


def ready(segments: int, read_budget: float | None = None) -> Ready:
    return get_ready(clients(), SystemClock(), ExportOptions("big", ROOT, segments, read_budget))


def test_groups_of_segments_by_workers_that_know_nothing_of_each_other(aws: Any) -> None:
    whole = export("big", segments=5)
    common: dict[str, Any] = {
        "clients": clients(), "clock": SystemClock(), "progress": NoProgress(), "actor": "airflow", "run": "dag/run-1",
    }  # fmt: skip
    begun = begin_export(ready=ready(5), backup_id=ID, **common)
    backup = begun.location.uri
    with pytest.raises(TransientError, match="dag/run-1"):  # the table is busy between the tasks, too
        export("big", run="somebody else")
    first = read_group(backup=backup, group=0, of=2, share=0.5, **common)
    with pytest.raises(TransientError, match=r"2 of 5 segments were not read .* 1\b"):
        finish_group(backup=backup, **common)
    again = read_group(backup=backup, group=0, of=2, **common)  # a retry of the task
    assert (again["segments"], again["kept_parts"]) == (3, first["parts"])
    second = read_group(backup=backup, group=1, of=2, **common)
    report = finish_group(backup=backup, **common)
    assert report.content_hash == whole.content_hash
    assert first["items"] + second["items"] == report.items
    assert finish_group(backup=backup, **common).reused
    verified(report.backup)
    assert export("big", run="somebody else").items == report.items  # the lease is free


def test_wider_columns_survive_a_death_in_the_middle_of_the_rewriting(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tablekeep.engine.export.begin.SAMPLED_SEGMENTS", 0)
    make_table(aws, "numbers", [{"pk": {"S": f"p{n}"}, "sk": {"N": "1.5" if n else "7"}} for n in range(9)])
    rewritten: list[int] = []
    real = S3Store.open_write

    def dying(self: S3Store, key: str) -> Any:
        rewritten.append(1)
        if len(rewritten) == 5:  # three segments, then the rewriting of two
            raise PermanentError("writing", "broken")
        return real(self, key)

    monkeypatch.setattr(S3Store, "open_write", dying)
    with pytest.raises(PermanentError, match="broken"):
        export("numbers", segments=3, backup_id=ID)
    report = export("numbers", segments=3, backup_id=ID)
    assert len(rewritten) == 7
    figures = open_backup(clients(), report.backup).manifest.columns["sk"]
    assert (figures.nulls, figures.misfits) == (0, 0)
    assert not verified(report.backup).orphans


def seconds_of(report: Any) -> float:
    """From the first request of the scan to its last answer."""
    begin, end = (
        datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (report.consistent_from, report.consistent_to)
    )
    return (end - begin).total_seconds()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_read_budget_holds_across_processes(aws: Any, workers: int) -> None:
    free = export("big", segments=4, workers=workers)
    held = export("big", segments=4, workers=workers, read_budget=free.consumed_rcu / 4)
    # one second's worth at once, and the last request of each of two workers is in flight; each took its share
    assert seconds_of(held) > 1.5
    assert held.content_hash == free.content_hash


def test_groups_share_the_budget(aws: Any) -> None:
    free = export("big", segments=4)
    common: dict[str, Any] = {
        "clients": clients(), "clock": SystemClock(), "progress": NoProgress(), "actor": "airflow", "run": "dag/run-1",
    }  # fmt: skip
    begun = begin_export(ready=ready(4, free.consumed_rcu), backup_id=ID, **common)
    began = time.monotonic()
    read_group(backup=begun.location.uri, group=0, of=1, share=0.2, **common)
    assert time.monotonic() - began > 2


def test_one_killed_worker_process_ends_the_export_and_the_next_goes_on(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export("big", segments=4)

    def kill_one() -> None:
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        os.kill(children[0].pid or 0, signal.SIGKILL)  # it has not even read its modules: it cannot have ended

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(TransientError, match=r"export-\d ended with -9"):
        export("big", segments=4, workers=2, backup_id=ID, read_budget=100)
    killer.join()
    assert not multiprocessing.active_children()
    report = export("big", segments=4, workers=2, backup_id=ID, read_budget=100)
    assert report.resumed
    assert report.content_hash == whole.content_hash


def test_a_workers_failure_is_told_as_it_is(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tablekeep.engine.export.table.begin", begin_and_delete(aws))
    with pytest.raises(PermanentError, match=r"table big.*(not there|ResourceNotFound)"):
        export("big", segments=4, workers=2)


def begin_and_delete(aws: Any) -> Any:
    from tablekeep.engine.export.begin import begin

    def both(*given: Any, **named: Any) -> Any:
        begun = begin(*given, **named)
        aws.client("dynamodb").delete_table(TableName="big")
        return begun

    return both
