"""Drills of a sample: by keys where AWS restores the whole table, by reading it whole where it holds the sample alone."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills.drill import run_drill
from tablekeep.engine.drills.report import DrillReport, Objectives
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.items.canonical import parse_item
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import table as table_module
from tests.engine.drills.test_drill import page_of
from tests.engine.drills.test_restore_test import meddled, table_of, told, validate
from tests.engine.restore.test_kept import later, pitr_set
from tests.local_aws.test_aws_backup import recovery_point, restore_test
from tests.local_aws.test_ondemand import backed_up
from tests.past import NIGHT, StandingClock, put
from tests.tables import ROOT, clients, export, for_boto, make_bucket, make_table, orders

Item = dict[str, Any]
EXTRA = {"pk": {"S": "nobody"}, "sk": {"N": "1"}}
CANNOT = "a sample cannot find extra items"


@pytest.fixture
def backup(clock: StandingClock) -> str:
    """Of several parts, of one moment."""
    clock.set(NIGHT + timedelta(minutes=10))
    made = pitr_set(clock)
    assert len(open_backup(clients(), made).manifest.parts) > 1
    return made


def drill(clock: Any, run: str = "drill-1", **more: Any) -> DrillReport:
    request = DrillRequest(ROOT, "orders", **({"path": "pitr", "percent": 30.0} | more))
    return run_drill(request, clients=clients(), clock=clock, progress=NoProgress(), actor="test", run=run)


def meddle(monkeypatch: pytest.MonkeyPatch, aws: Any, how: str) -> None:
    """Between the restore and its proof: with an item of the sample, or with one that no backup has."""
    real = table_module.prove_restore

    def first(opened: BackupSet, sample: Any) -> Item:
        (part,) = [one for one in opened.manifest.parts if one.name == sample[0]]
        return parse_item(next(opened.items(part))[0])

    def meddling(prepared: Any, *given: Any, **more: Any) -> Any:
        client, table = aws.client("dynamodb"), prepared.plan.to_table
        opened = BackupSet(prepared.source.store, prepared.source.full)
        item = EXTRA if how == "extra" else first(opened, more["sample"] or [opened.manifest.parts[0].name])
        wanted = {name: for_boto(value) for name, value in item.items()}
        if how == "missing":
            client.delete_item(TableName=table, Key={name: wanted[name] for name in ("pk", "sk")})
        else:
            client.put_item(TableName=table, Item=wanted | ({"price": {"N": "0.5"}} if how == "changed" else {}))
        return real(prepared, *given, **more)

    monkeypatch.setattr(table_module, "prove_restore", meddling)


@pytest.mark.parametrize("path", ["pitr", "backup"])
def test_a_sample_of_what_aws_restores_is_asked_for_by_key(
    local_aws: Any, clock: StandingClock, backup: str, path: str
) -> None:
    if path == "backup":
        backed_up(local_aws)
    switch(local_aws.endpoint, "dynamodb", {"unprocessed_every": 2, "throttle_every": 7})
    report = drill(SystemClock() if path == "backup" else clock, path=path, objectives=Objectives(rto_seconds=600))
    assert report.passed, report.problems
    assert report.compared == "keys"
    manifest = open_backup(clients(), backup).manifest
    assert 12 <= report.items < 40
    assert report.all_items == 40
    assert report.selection
    assert report.selection.endswith(f"of {len(manifest.parts)} parts, at random")
    assert CANNOT in report.scope
    page = page_of(report)
    assert CANNOT in page
    assert f"of 40 items every one of a sample of {report.items} items came back exactly" in page
    opened = open_backup(clients(), backup)
    (record,) = read_records(opened.store, manifest.location.shelf, "drill")
    assert (record["result"]["compared"], record["result"]["scope"]) == ("keys", report.scope)
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_an_item_of_the_sample_that_is_missing_is_found(
    local_aws: Any, clock: StandingClock, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddle(monkeypatch, local_aws, "missing")
    report = drill(clock)
    assert not report.proved
    assert "1 missing in the table, of " in report.problems[0]
    assert [one["state"] for one in report.differing] == ["missing in the table"]
    assert "customer-" not in str(report.as_dict())
    assert "NOT be proved" in page_of(report)


def test_an_item_of_the_sample_that_was_changed_is_found_with_its_attribute(
    local_aws: Any, clock: StandingClock, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddle(monkeypatch, local_aws, "changed")
    report = drill(clock)
    assert not report.proved
    assert "1 different" in report.problems[0]
    (one,) = report.differing
    assert (one["state"], one["attributes"]) == ("different", [{"path": "price", "left": "N", "right": "N"}])


def test_an_extra_item_is_not_found_by_a_sample_and_the_report_says_so(
    local_aws: Any, clock: StandingClock, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddle(monkeypatch, local_aws, "extra")
    report = drill(clock)
    assert report.proved
    assert CANNOT in report.scope
    assert not drill(clock, "whole", percent=None).proved, "the whole table's content finds it"


@pytest.mark.parametrize("path", ["batch-write", "import-table"])
def test_a_table_that_holds_the_sample_alone_is_read_whole(
    local_aws: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    export("orders", segments=5)
    report = drill(SystemClock(), path=path)
    assert report.passed, report.problems
    assert report.compared == "scan"
    assert "read whole" in report.scope
    assert CANNOT not in report.scope
    meddle(monkeypatch, local_aws, "extra")
    found = drill(SystemClock(), "again", path=path)
    assert not found.proved
    assert "1 not in the backup" in found.problems[0]


@pytest.mark.parametrize("percent", [None, 30.0])
def test_the_comparison_keeps_to_its_read_budget(clock: StandingClock, backup: str, percent: float | None) -> None:
    class Slow(SystemClock):
        slept = 0.0

        def now(self) -> datetime:
            return clock.moment

        def monotonic(self) -> float:
            return self.slept

        def sleep(self, seconds: float) -> None:
            self.slept += seconds

    slow = Slow()
    assert drill(slow, percent=percent).passed
    before, slow.slept = slow.slept, 0.0
    assert drill(slow, "limited", percent=percent, max_rcu=0.1).passed
    assert slow.slept > before + 5


def test_a_restore_test_of_aws_backup_is_validated_by_a_sample(
    local_aws: Any, clock: StandingClock, backup: str
) -> None:
    job = restore_test(local_aws, recovery_point(local_aws))
    local_aws.client("dynamodb").put_item(TableName=table_of(job), Item=EXTRA)
    report = validate(clock, job, percent=30.0)
    assert report.passed, report.problems
    assert (report.compared, 12 <= report.items < 40) == ("keys", True)
    status, message = told(local_aws, job)
    assert status == "SUCCESSFUL"
    assert CANNOT in message, "who reads it at AWS Backup knows, too"
    whole = validate(clock, job)
    assert not whole.proved
    assert "1 not in the backup" in whole.problems[0]


def test_a_wrong_item_of_a_restore_test_is_found_by_a_sample_that_has_it(
    local_aws: Any, clock: StandingClock, backup: str
) -> None:
    later(clock, minutes=1)
    put(local_aws, [])
    job = restore_test(local_aws, recovery_point(local_aws))
    meddled(local_aws, job, "changed")
    found = [validate(clock, job, percent=75.0) for _ in range(12)]
    wrong = [one for one in found if not one.proved]
    assert wrong, "customer-1 is in most samples"
    assert all("1 different" in one.problems[0] for one in wrong)
    assert all(one["state"] == "different" for report in wrong for one in report.differing)
