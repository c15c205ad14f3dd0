"""A drill that dies between a service's call and its marks: its table is known all the same, and no other table is taken for it."""

import functools
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import parse_utc, utc_text
from tablekeep.engine.drills.drill import run_drill
from tablekeep.engine.drills.marks import PREFIX, scratch_tags
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.drills.scratch import scratch_name, sweep, tear_down
from tablekeep.engine.errors import PermanentError, TransientError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import making
from tablekeep.engine.restore.intents import Intent, Intents
from tests.engine.drills import killed
from tests.local_aws.test_aws_backup import recovery_point
from tests.local_aws.test_ondemand import backed_up
from tests.past import recovery
from tests.processes import exit_code
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")


class Tomorrow(killed.Quick):
    """When the runs of today are dead."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=25)


@pytest.fixture
def aws(local_aws: Any) -> Any:
    """A table of one item with recovery on, and a set of a moment, by DynamoDB's own export."""
    moment = killed.Quick().now().replace(microsecond=0) - timedelta(minutes=30)  # the service knows whole seconds
    make_bucket(local_aws)
    switch(local_aws.endpoint, "dynamodb", {"now": moment.isoformat()})
    make_table(local_aws, "orders", orders(1))
    recovery(local_aws, True)
    switch(local_aws.endpoint, "dynamodb", {"now": ""})
    export("orders", engine="pitr", as_of=moment)
    return local_aws


def request(aws: Any, path: str) -> DrillRequest:
    if path == "recovery point":
        switch(aws.endpoint, "backup", {"restore_polls": 2})
        return killed.of("backup", recovery_point(aws))
    switch(aws.endpoint, "dynamodb", {"restore_polls": 2})
    return killed.of(path, backed_up(aws) if path == "backup" else None)


def in_a_process(at: int, after: bool, asked: DrillRequest, run: str) -> int:
    return exit_code(killed.drill, at, after, asked, run)


def tables(aws: Any) -> list[str]:
    names: list[str] = aws.client("dynamodb").list_tables()["TableNames"]
    return names


def intents() -> Intents:
    return Intents(S3Store(once(), BUCKET), SHELF)


def written() -> list[Intent]:
    return list(intents().all("123456789012", "us-east-1"))


def staged() -> list[str]:
    return [one.key for one in S3Store(once(), BUCKET).list(f"{SHELF.prefix}/_restores/")]


@functools.cache
def once() -> SessionClients:
    """One for all tests of this file: clients take longer to make than drills."""
    return clients()


def again(asked: DrillRequest, run: str) -> Any:
    return run_drill(asked, clients=once(), clock=killed.Quick(), progress=NoProgress(), actor="t", run=run)


@pytest.mark.parametrize("path", ["import-table", "backup", "recovery point"])
def test_killed_at_every_call_a_retry_of_its_run_leaves_nothing(
    aws: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "POLL_SECONDS", 0.01)
    asked, at = request(aws, path), 1
    while in_a_process(at, False, asked, f"run-{at}") == -signal.SIGKILL:
        report = again(asked, f"run-{at}")
        assert report.passed, (at, report.problems)
        assert (tables(aws), written(), staged()) == (["orders"], [], []), at
        at += 1
    assert at == (8 if path == "import-table" else 6), "intent, call, marks, removal, and what was written down"
    assert tables(aws) == ["orders"]


@pytest.mark.parametrize("path", ["import-table", "pitr", "recovery point"])
def test_killed_after_every_call_the_sweeper_finds_it_a_day_later(aws: Any, path: str) -> None:
    asked, at = request(aws, path), 1
    folder = [intents()]
    while in_a_process(at, True, asked, f"run-{at}") == -signal.SIGKILL:
        left = [name for name in tables(aws) if name.startswith(PREFIX)]
        assert [one.table for one in sweep(once(), killed.Quick(), intents=folder).tables] == [], "it may be alive"
        sweep(once(), Tomorrow(), intents=folder, dry_run=True)
        assert left == [name for name in tables(aws) if name.startswith(PREFIX)], "it was only looked at"
        for _ in range(4):  # one that is still being made is left to a later sweeper
            swept = sweep(once(), Tomorrow(), intents=folder)
            if not swept.left_alone:
                break
        assert [one.why for one in swept.left_alone] == [], at
        assert (tables(aws), written(), staged()) == (["orders"], [], []), at
        at += 1
    assert at == (8 if path == "import-table" else 6)


def dead_intent(source: dict[str, str], **more: str) -> Intent:
    """As a run left it an hour ago."""
    now = killed.Quick().now()
    name = scratch_name("orders", "dead")
    made = Intent(
        name, "123456789012", "us-east-1", "dead", "backup", utc_text(now - timedelta(hours=1)),
        utc_text(now + timedelta(hours=23)), source, scratch_tags("dead", killed.Quick()),
    )  # fmt: skip
    return replace(made, **more)


@pytest.mark.parametrize(
    ("case", "change", "why"),
    [
        ("ours", lambda intent, arn: intent, ""),
        (
            "another backup",
            lambda intent, arn: replace(intent, source={"SourceBackupArn": arn + "0"}),
            "not made of what",
        ),
        ("no source", lambda intent, arn: replace(intent, source={}), "not made of what"),
        (
            "an import",
            lambda intent, arn: replace(intent, source={"bucket": BUCKET, "prefix": "x"}),
            "not made of what",
        ),
        ("a job", lambda intent, arn: replace(intent, source={"RecoveryPointArn": "x"}), "not made of what"),
        (
            "before the intent",
            lambda intent, arn: replace(intent, at=utc_text(parse_utc(intent.at) + timedelta(hours=2))),
            "not made when",
        ),
        ("after its end", lambda intent, arn: replace(intent, until=utc_text(parse_utc(intent.at))), "not made when"),
        ("another name", lambda intent, arn: replace(intent, table="tablekeep-drill-other"), "no mark"),
        ("elsewhere", lambda intent, arn: replace(intent, region="eu-west-1"), "no mark"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_an_intent_stands_for_marks_only_when_name_source_and_time_are_its_own(
    aws: Any, case: str, change: Callable[[Intent, str], Intent], why: str
) -> None:
    client, kept = aws.client("dynamodb"), backed_up(aws)
    name = scratch_name("orders", "dead")
    client.restore_table_from_backup(TargetTableName=name, BackupArn=kept)
    intents().write(change(dead_intent({"SourceBackupArn": kept}), kept))
    swept = sweep(once(), Tomorrow(), intents=[intents()])
    assert (name in tables(aws)) == bool(why)
    assert [one.table for one in swept.tables] == ([] if why else [name])
    assert [why in one.why for one in swept.left_alone] == ([True] if why else [])
    if why:
        arn = client.describe_table(TableName=name)["Table"]["TableArn"]
        assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == [], "it is not touched"


def test_a_table_of_that_name_that_another_made_stops_the_run(aws: Any) -> None:
    kept = backed_up(aws)
    make_table(aws, scratch_name("orders", "dead"), orders(1))
    intents().write(dead_intent({"SourceBackupArn": kept}))
    with pytest.raises(PermanentError, match="not made of what"):
        tear_down(once(), scratch_name("orders", "dead"), "dead", killed.Quick(), intents())
    with pytest.raises(PermanentError, match="not made of what"):
        again(killed.of("backup"), "dead")
    assert scratch_name("orders", "dead") in tables(aws)


def test_an_intent_that_cannot_be_read_stands_for_nothing(aws: Any) -> None:
    name = scratch_name("orders", "dead")
    aws.client("dynamodb").restore_table_from_backup(TargetTableName=name, BackupArn=backed_up(aws))
    store = S3Store(once(), BUCKET)
    for text in (b"?", b"[]", b'{"version": 2}', b'{"version": 1, "table": "x"}'):
        store.put(f"{SHELF.prefix}/_intents/123456789012-us-east-1-{name}.json", text)
        (left,) = sweep(once(), Tomorrow(), intents=[intents()]).left_alone
        assert "no mark" in left.why
    assert name in tables(aws)


def test_a_restore_that_fails_before_its_marks_is_torn_down_at_once(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = making.mark, list[int]()

    def dying(*given: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise TransientError("tagging", "the network is gone")
        real(*given)

    monkeypatch.setattr(making, "mark", dying)
    report = again(killed.of("pitr"), "once")
    assert not report.proved
    assert report.torn_down
    assert (tables(aws), written()) == (["orders"], [])


def test_a_drill_names_what_it_leaves_alone(aws: Any) -> None:
    make_table(aws, f"{PREFIX}by-hand", orders(1))
    report = again(killed.of("pitr"), "now")
    assert report.passed
    assert [one["table"] for one in report.left_alone] == [f"{PREFIX}by-hand"]
