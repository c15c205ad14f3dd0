"""The DAGs of `kind: rds-instance`, run whole by `dag.test()` on real servers."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.observability.stats import Stats

from local_aws.server import switch
from tablekeep.engine.backups.records import Kind, read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.drills.instance_scratch import scratch_instance
from tablekeep.engine.drills.marks import DRILL_TAG, UNTIL_TAG
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.rds.instances.record import shelf_of
from tests.dags.test_secrets_of_copies import assert_nowhere
from tests.rds import BUCKET, PASSWORD, ROOT, USER, clients, connect, describe, groups, make_instance
from tests.tables import make_bucket

AWAY = "eu-west-1"
PIPELINE = f"""
version: 1
kind: rds-instance
database: shop
region: us-east-1
records: {ROOT}
contents: {{conn_id: shop_pg, marker: public.tablekeep_marker}}
snapshot:
  schedule: "0 2 * * *"
  copy_to: {{region: {AWAY}}}
  keep: {{daily: 1, minimum: 1}}
drill:
  schedule: "0 6 * * 0"
  objectives: {{rto: 2h, rpo: 26h}}
  checks:
    - {{name: orders, sql: "SELECT count(*) > 0 FROM orders"}}
restore: {{patterns_refused: ["prod-*"], people: [ana, ben]}}
limits: {{max_usd: 20}}
"""


@pytest.fixture
def shop(local_aws: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An instance, a bucket and a pipeline; waits ask every tenth of a second."""
    monkeypatch.setattr("tablekeep.operators.instances.POLL_SECONDS", 0.1)
    make_bucket(local_aws, BUCKET)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_PG", f"postgresql://{USER}:{PASSWORD}@not-the-host:1/shop")
    pipelines(shop=PIPELINE)
    return make_instance(local_aws)


def tasks(run: Any) -> dict[str, str]:
    return {one.task_id: str(one.state) for one in run.get_task_instances()}


def records(kind: Kind) -> list[dict[str, Any]]:
    shelf = shelf_of(ROOT, clients().account(), "us-east-1", "shop")
    return [one["result"] for one in read_records(S3Store(clients(), BUCKET), shelf, kind)]


def names(client: Any) -> set[str]:
    return {one["DBInstanceIdentifier"] for one in client.describe_db_instances()["DBInstances"]}


def snapshots(region: str) -> list[str]:
    found = clients(region).client("rds").describe_db_snapshots()["DBSnapshots"]
    return [one["DBSnapshotIdentifier"] for one in found]


def answered(monkeypatch: pytest.MonkeyPatch, by: str, requester: str = "ana") -> None:
    """The person's part: `dag.test` has nobody to ask."""

    def ask(self: Any, context: Any) -> Any:
        return self.execute_complete(
            context, {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": by, "name": by}}
        )

    monkeypatch.setattr(ApprovalOperator, "execute", ask)
    monkeypatch.setattr("tablekeep.operators.approve.requester", lambda context: requester)


def test_a_night_from_the_snapshot_to_its_copy_and_the_drill(local_aws: Any, shop: Any, dags: Any) -> None:
    switch(local_aws.endpoint, "rds", {"polls": 2})
    found = dags()
    night = found["snapshot__shop"].test()
    assert tasks(night) == {"snapshot": "success", "copy": "success", "expire": "success"}
    (record,) = records("snapshot")
    assert record["before"]["shop"]["tables"]["public.orders"]["rows"] == 1000
    assert snapshots("us-east-1") == snapshots(AWAY) == [record["snapshot"]]
    drilled = found["drill__shop"].test()
    assert tasks(drilled) == {"drill": "success", "sweep": "success", "done": "success"}
    (report,) = records("drill")
    assert (report["passed"], report["snapshot"], report["equal"]) == (True, record["snapshot"], 2)
    assert names(shop) == {"shop"}
    switch(local_aws.endpoint, "rds", {"polls": 0})
    again = found["snapshot__shop"].test(logical_date=datetime.now(UTC))
    assert tasks(again)["expire"] == "success"
    assert snapshots("us-east-1") == snapshots(AWAY) == [records("snapshot")[1]["snapshot"]], (
        "one a day is kept, in each Region"
    )
    assert PASSWORD not in json.dumps(records("snapshot") + records("drill"))


def test_the_password_of_an_instance_appears_nowhere(
    local_aws: Any, shop: Any, dags: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In no log, XCom, rendered template or object; neither when snapshot and drill are green nor when the database refuses."""
    caplog.set_level(logging.DEBUG)
    for name in ("botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.INFO)
    found = dags()
    assert tasks(found["snapshot__shop"].test())["snapshot"] == "success"
    assert tasks(found["drill__shop"].test())["drill"] == "success"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_PG", f"postgresql://{USER}:planted-4711@not-the-host:1/shop")
    assert tasks(found["snapshot__shop"].test(logical_date=datetime.now(UTC)))["snapshot"] == "failed"
    assert tasks(found["drill__shop"].test(logical_date=datetime.now(UTC)))["drill"] == "failed"
    assert_nowhere(local_aws, caplog, capfd, "shop", (PASSWORD, "planted-4711"))


def test_a_drill_that_finds_damage_is_red_and_tells_it(
    local_aws: Any, shop: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "tablekeep.operators.drill.publish", lambda topic, subject, text, **more: told.append((subject, text))
    )
    found = dags()
    found["snapshot__shop"].test()
    measured: list[str] = []
    monkeypatch.setattr(Stats, "gauge", lambda name, value, **more: measured.append(name))
    from tablekeep.engine.drills import instances as drill_module

    real = drill_module.read_first

    def read(record: Any, reading: Any, endpoint: Any, **more: Any) -> Any:
        with reading.login.connect(endpoint, "damaging") as connection:
            connection.execute("DELETE FROM orders WHERE id = 5")
        return real(record, reading, endpoint, **more)

    monkeypatch.setattr(drill_module, "read_first", read)
    assert tasks(found["drill__shop"].test()) == {"drill": "failed", "sweep": "success", "done": "upstream_failed"}
    ((subject, text),) = told
    assert subject == "Drill of shop FAILED"
    assert "999 rows instead of 1,000" in text
    assert names(shop) == {"shop"}
    assert set(measured) == {"tablekeep.drill.passed", "tablekeep.drill.rpo_seconds"}, (
        "no time to restore: nothing was proved"
    )


def test_what_a_dead_drill_left_is_swept_by_its_own_run_and_by_time(
    local_aws: Any, shop: Any, dags: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tablekeep.engine.drills.instances.tear_down_instance", lambda *given: True)
    found = dags()
    found["snapshot__shop"].test()
    make_instance(
        local_aws, scratch_instance("shop", "dead"), Engine="mysql", sql="",
        Tags=[{"Key": key, "Value": value} for key, value in marks("dead").items()],
    )  # fmt: skip
    # the drill believes that it has torn down; the teardown task looks by itself
    assert tasks(found["drill__shop"].test()) == {"drill": "success", "sweep": "success", "done": "success"}
    assert names(shop) == {"shop"}


def marks(run: str) -> dict[str, str]:
    from tablekeep.engine.clock import SystemClock
    from tablekeep.engine.drills.marks import scratch_tags

    found = scratch_tags(run, SystemClock()) | {RUN_TAG: run, UNTIL_TAG: "2020-01-01T00:00:00.000Z"}
    assert DRILL_TAG in found
    return found


def test_a_restore_is_planned_approved_and_done(
    local_aws: Any, shop: Any, dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dags()
    found["snapshot__shop"].test()
    answered(monkeypatch, "ben")
    switch(local_aws.endpoint, "rds", {"polls": 2})
    run = found["restore__shop"].test(run_conf={"to": "shop-again", "instance_class": "db.r6g.large"})
    assert tasks(run) == {"plan": "success", "approve": "success", "restore": "success"}
    assert describe(shop, "shop-again")["DBInstanceClass"] == "db.r6g.large"
    (approval,), (report,), (plan,) = records("approval"), records("restore"), records("plan")
    assert approval["plan"] == report["plan"] == plan["hash"]
    assert (report["proved"], report["equal"]) == (True, 2)
    with connect(shop, "shop-again") as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1000,)


def test_nobody_restores_alone_or_to_a_refused_name(shop: Any, dags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dags()
    found["snapshot__shop"].test()
    answered(monkeypatch, "ana")
    assert tasks(found["restore__shop"].test(run_conf={"to": "shop-again"}))["approve"] == "failed"
    answered(monkeypatch, "ben", requester="eve")
    assert tasks(dags()["restore__shop"].test(run_conf={"to": "shop-again"}))["plan"] == "failed"
    answered(monkeypatch, "ben")
    assert tasks(dags()["restore__shop"].test(run_conf={"to": "prod-shop"}))["plan"] == "failed"
    assert [one["why"][:20] for one in records("approval")] == ["ana asked for it and", "eve asks for it, and"]
    assert names(shop) == {"shop"}


def test_a_snapshot_of_the_past_is_refused(shop: Any, dags: Any) -> None:
    run = dags()["snapshot__shop"].test(logical_date=datetime.now(UTC) - timedelta(days=2))
    assert tasks(run)["snapshot"] == "failed"
    assert snapshots("us-east-1") == []


def test_an_instance_is_drilled_in_another_region(local_aws: Any, shop: Any, dags: Any, pipelines: Any) -> None:
    group = groups(local_aws, AWAY)
    pipelines(shop=PIPELINE.replace("drill:\n", f"drill:\n  region: {AWAY}\n  security_groups: [{group}]\n"))
    found = dags()
    found["snapshot__shop"].test()
    assert tasks(found["drill__shop"].test()) == {"drill": "success", "sweep": "success", "done": "success"}
    (report,) = records("drill")
    assert (report["passed"], report["region"], report["source_region"]) == (True, AWAY, "us-east-1")
    assert names(clients(AWAY).client("rds")) == set()
