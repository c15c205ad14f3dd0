"""Drills on real tables: proved, measured, judged, torn down, told."""

import itertools
import re
from datetime import timedelta
from typing import Any

import pytest

from tablekeep.engine.backups.records import broken_links, read_records, write_record
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills.checks import Check
from tablekeep.engine.drills.drill import run_drill
from tablekeep.engine.drills.marks import DRILL_TAG, PREFIX, UNTIL_TAG, scratch_tags
from tablekeep.engine.drills.report import DrillReport, Objectives, history
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.drills.scratch import scratch_name, sweep, tear_down
from tablekeep.engine.drills.table_page import drill_page
from tablekeep.engine.dynamodb.tables import CreatedTable, delete_table_created_by_run
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import steps
from tablekeep.engine.restore import table as table_module
from tests.tables import ROOT, clients, export, make_bucket, make_table, orders


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return local_aws


def drill(run: str = "drill-1", **more: Any) -> DrillReport:
    return run_drill(
        DrillRequest(ROOT, "orders", **more),
        clients=clients(),
        clock=SystemClock(),
        progress=NoProgress(),
        actor="test",
        run=run,
    )


def tables(aws: Any) -> list[str]:
    names: list[str] = aws.client("dynamodb").list_tables()["TableNames"]
    return names


def test_a_drill_proves_measures_and_leaves_nothing(aws: Any) -> None:
    backup = export("orders").backup
    report = drill(objectives=Objectives(rto_seconds=600, rpo_seconds=3600))
    assert report.passed
    assert report.proved
    assert report.content_hash == str(open_backup(clients(), backup).manifest.content)
    assert {"find", "create", "load", "indexes", "proof"} <= report.phases.keys()
    assert 0 < report.rpo_seconds < 600
    assert tables(aws) == ["orders"]
    opened = open_backup(clients(), backup)
    (record,) = read_records(opened.store, opened.manifest.location.shelf, "drill")
    assert record["result"]["passed"]


def test_a_drill_fails_when_an_objective_is_missed(aws: Any) -> None:
    export("orders")
    report = drill(objectives=Objectives(rto_seconds=0.001, rpo_seconds=0.001))
    assert report.proved
    assert not report.passed
    assert [one.split()[0] for one in report.problems] == ["RTO", "RPO"]
    assert "the objective is 0.2 s" in drill("another", objectives=Objectives(rto_seconds=0.2)).problems[0]


def test_a_drill_of_a_damaged_backup_fails_and_leaves_nothing(aws: Any) -> None:
    opened = open_backup(clients(), export("orders").backup)
    key = opened.manifest.location.key(opened.manifest.parts[0].name)
    opened.store.put(key, b"?")
    report = drill()
    assert not report.passed
    assert not report.proved
    assert any("damaged" in one for one in report.problems)
    assert (report.rto_seconds, report.predicted_seconds) == (None, None), "nothing was proved: there is no such time"
    assert report.phases.keys() == {"find", "verify"}, "where the time went is told all the same"
    page = page_of(report)
    assert "<th>Time to restore (RTO)</th><td><strong>not reached</strong></td>" in page
    assert "No drill has proved anything yet." in page
    assert tables(aws) == ["orders"]


def test_a_drill_that_proved_nothing_has_no_time_in_the_history(aws: Any) -> None:
    opened = open_backup(clients(), export("orders").backup)
    key = opened.manifest.location.key(opened.manifest.parts[0].name)
    whole = opened.store.get(key)
    first = drill("first")
    opened.store.put(key, b"?")
    failed = drill("second", objectives=Objectives(rto_seconds=0.001))
    assert [one.split()[0] for one in failed.problems if "missed" in one] == []
    opened.store.put(key, whole)
    last = drill("third")
    shelf = opened.manifest.location.shelf
    assert [one["rto_seconds"] for one in history(opened.store, shelf)] == [first.rto_seconds, None, last.rto_seconds]
    picture = page_of(last)
    assert (picture.count("<circle"), picture.count("<path")) == (2, 1)
    assert ": not reached, 0 items</title>" in picture
    (line,) = re.findall(r'<polyline points="([^"]*)"', picture)
    assert len(line.split()) == 2, "no line goes to it"
    write_record(
        opened.store, shelf, "drill", failed.as_dict() | {"rto_seconds": 7.0}, backup_id=None, actor="t", run="t", clock=SystemClock()
    )  # fmt: skip
    assert history(opened.store, shelf)[-1]["rto_seconds"] is None, "as an older version has written it"


def test_a_drill_removes_nothing_that_another_run_made(aws: Any) -> None:
    make_table(aws, f"{PREFIX}orders-00000000", [])
    export("orders")
    assert drill().passed
    assert tables(aws) == ["orders", f"{PREFIX}orders-00000000"]


def test_a_drill_that_would_cost_too_much_is_not_begun(aws: Any) -> None:
    export("orders")
    with pytest.raises(BadInputError, match="it would cost"):
        drill(max_usd=0.0000001)
    assert tables(aws) == ["orders"]


def test_a_drill_without_a_backup_is_bad_input(aws: Any) -> None:
    with pytest.raises(BadInputError, match="no backup"):
        drill()


def test_a_changed_item_is_named_by_key_hash_and_attribute(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    export("orders")
    real = table_module.prove_restore

    def meddle(prepared: Any, *given: Any, **more: Any) -> Any:
        changed = {"pk": {"S": "customer-3"}, "sk": {"N": "3"}, "price": {"N": "0"}}
        aws.client("dynamodb").put_item(TableName=prepared.plan.to_table, Item=changed)
        return real(prepared, *given, **more)

    monkeypatch.setattr(table_module, "prove_restore", meddle)
    report = drill()
    assert not report.proved
    assert report.problems[0].startswith("comparing the scratch table with the backup: 1 different; ")
    assert report.items == 40
    assert {"load", "proof"} <= report.phases.keys(), "where the time went is told though it failed"
    assert report.rto_seconds is None
    (one,) = report.differing
    assert one["state"] == "different"
    assert {"price": "N", "tags": "SS"}.items() <= {place["path"]: place["left"] for place in one["attributes"]}.items()
    assert "customer-3" not in str(report.as_dict())
    page = page_of(report)
    assert one["key"] in page
    assert "NOT be proved" in page
    assert tables(aws) == ["orders"]


def test_a_missing_index_fails_the_drill_for_that_reason(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bucket(local_aws)
    index = {
        "IndexName": "by-status", "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}
    }  # fmt: skip
    make_table(
        local_aws, "orders", orders(), GlobalSecondaryIndexes=[index],
        AttributeDefinitions=[{"AttributeName": "status", "AttributeType": "S"}],
    )  # fmt: skip
    export("orders")
    assert drill().passed
    monkeypatch.setattr(steps, "add_indexes", lambda *given, **more: ())
    report = drill("second")
    assert report.proved
    assert not report.passed
    assert [one.split(" differs")[0] for one in report.problems] == ["setting index by-status"]
    assert "DIFFERS" in page_of(report)


def test_a_sample_restores_whole_parts_and_predicts_the_rest(aws: Any) -> None:
    made = open_backup(clients(), export("orders", segments=5).backup).manifest
    report = drill(percent=30.0, objectives=Objectives(rto_seconds=600))
    assert report.passed, report.problems
    assert report.selection
    assert 12 <= report.items < 40
    assert report.items in {
        sum(one.rows for one in some) for size in range(1, 5) for some in itertools.combinations(made.parts, size)
    }
    assert report.predicted_seconds > report.phases["load"]
    assert "sample" in page_of(report)
    late = drill("later", percent=30.0, objectives=Objectives(rto_seconds=0.001))
    assert "predicted for all items" in late.problems[0]


def test_which_backup_is_drilled_is_chosen_and_recorded(aws: Any) -> None:
    made = [export("orders").backup for _ in range(3)]
    assert drill("a").backup == made[2]
    oldest = drill("b", choose="oldest")
    assert oldest.backup == made[0]
    assert oldest.chosen == "the oldest of 3"
    found = {drill(f"r-{number}", choose="random").backup for number in range(12)}
    assert len(found) >= 2
    assert found <= set(made)
    with pytest.raises(BadInputError, match="so young"):
        drill("c", choose="random", within=timedelta(microseconds=1))


def no_orders(client: Any, table: str) -> bool:
    """A check of a team."""
    return bool(client.scan(TableName=table, Select="COUNT")["Count"] == 0)


def all_orders(client: Any, table: str) -> bool:
    """Another one."""
    return bool(client.scan(TableName=table, Select="COUNT")["Count"] == 40)


def test_checks_of_the_team_decide_too(aws: Any) -> None:
    export("orders", segments=3)
    here = "tests.engine.drills.test_drill"
    good = [
        Check("rows", sql="SELECT count(*) = 40 FROM items"), Check("sum", sql="SELECT sum(sk) = 780 FROM items"),
        Check("call", python=f"{here}:all_orders"),
    ]  # fmt: skip
    assert drill("good", checks=good).passed
    bad = [
        Check("false", sql="SELECT count(*) = 41 FROM items"), Check("number", sql="SELECT count(*) FROM items"),
        Check("two", sql="SELECT 1, 2"), Check("broken", sql="SELECT nothing FROM items"),
        Check("file", sql="SELECT count(*) > 0 FROM read_text('/etc/passwd')"), Check("call", python=f"{here}:no_orders"),
    ]  # fmt: skip
    report = drill("bad", checks=bad)
    assert report.proved
    assert [one.split()[1] for one in report.problems] == [check.name for check in bad]
    for wrong in (Check("none", python="no.such:thing"), Check("none", python=f"{here}:thing")):
        with pytest.raises(BadInputError, match="cannot be loaded"):
            drill("wrong", checks=[wrong])
    assert tables(aws) == ["orders"]


def test_a_killed_drill_leaves_nothing_behind_the_next_one(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    export("orders")
    monkeypatch.setattr("tablekeep.engine.drills.drill.tear_down", lambda *given, **more: False)
    report = drill("killed")
    assert not report.torn_down
    assert any(report.scratch_table in one for one in report.problems)
    monkeypatch.undo()
    assert len(tables(aws)) == 2
    assert drill("another").swept == [], "its time is not over, it may be alive"
    assert drill("killed").passed, "a retry of the same run removes what its first try has left"
    assert tables(aws) == ["orders"]


def test_the_sweeper_removes_only_what_carries_all_marks(aws: Any) -> None:
    over = {UNTIL_TAG: "2020-01-01T00:00:00.000Z"}
    marks = scratch_tags("dead", SystemClock()) | {"tablekeep:run": "dead"}
    cases: dict[str, dict[str, str]] = {
        scratch_name("orders", "dead"): marks | over,
        f"{PREFIX}no-marks": {},
        f"{PREFIX}no-run": {name: value for name, value in (marks | over).items() if name != "tablekeep:run"},
        f"{PREFIX}other-run": marks | over | {"tablekeep:run": "alive"},
        f"{PREFIX}no-drill": {name: value for name, value in (marks | over).items() if name != DRILL_TAG},
        f"{PREFIX}no-time": {name: value for name, value in marks.items() if name != UNTIL_TAG},
        f"{PREFIX}bad-time": marks | {UNTIL_TAG: "yesterday"},
        f"{PREFIX}still-alive": marks,
        "orders-marked": marks | over,
    }
    for name, tags in cases.items():
        make_table(aws, name, orders(1), Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    looked = sweep(clients(), SystemClock(), dry_run=True).tables
    assert [(one.table, one.removed) for one in looked] == [(scratch_name("orders", "dead"), False)]
    assert len(tables(aws)) == len(cases) + 1
    swept = sweep(clients(), SystemClock())
    assert [one.table for one in swept.tables] == [scratch_name("orders", "dead")]
    named = {one.table.removeprefix(PREFIX) for one in swept.left_alone}
    assert named == {"no-marks", "no-run", "other-run", "no-drill", "no-time", "bad-time"}, "named, and not touched"
    assert set(tables(aws)) == {"orders", *cases} - {scratch_name("orders", "dead")}
    created = CreatedTable(f"{PREFIX}other-run", table_id(aws, f"{PREFIX}other-run"), "arn", "us-east-1", "dead")
    with pytest.raises(PermanentError, match="does not name this run"):
        delete_table_created_by_run(clients(), created, run="dead", name_prefix=PREFIX, clock=SystemClock())
    assert tear_down(clients(), "orders", "dead", SystemClock()), "a table without our tag is none of ours"
    assert "orders" in tables(aws)


def table_id(aws: Any, name: str) -> str:
    return str(aws.client("dynamodb").describe_table(TableName=name)["Table"]["TableId"])


def page_of(report: DrillReport) -> str:
    bucket, key = report.page.removeprefix("s3://").split("/", 1)
    return clients().client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()  # type: ignore[no-any-return]


def test_the_page_says_what_the_record_says_and_runs_nothing(aws: Any) -> None:
    export("orders")
    drill("first", objectives=Objectives(rto_seconds=0.001))
    report = drill("second", objectives=Objectives(rto_seconds=60, rpo_seconds=3600))
    page = page_of(report)
    for part in (
        report.backup,
        report.content_hash,
        "40 of 40 items",
        "within",
        "nothing",
        "proof",
        report.started[:10],
        "objective of",
    ):
        assert part in page, part
    assert page.count("<circle") == 1
    assert page.count("<path") == 1, "the first drill missed its objective"
    assert not re.search(r"<script|<link|<img|\son\w+=|https?:", page)
    assert "default-src 'none'" in page
    shelf = open_backup(clients(), report.backup).manifest.location.shelf
    store = open_backup(clients(), report.backup).store
    assert [one["result"]["page"] for one in read_records(store, shelf, "drill")][-1] == report.page
    assert broken_links(store, shelf, "drill") == []


def test_names_of_others_cannot_write_into_the_page() -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=y>"
    report = DrillReport(
        evil, evil, evil, evil, evil, scope=evil, problems=[evil], as_of=evil, content_hash=evil, proved=True
    )
    report.settings = [{"name": evil, "expected": evil, "actual": evil, "told": False}]
    report.differing = [{"key": evil, "state": evil, "attributes": [{"path": evil, "left": "N", "right": None}]}]
    report.checks = [{"name": evil, "passed": False, "why": evil}]
    page = drill_page(report, [])
    assert "<script" not in page
    assert "<img" not in page
