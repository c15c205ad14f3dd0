"""Whole DAGs, run by `dag.test()` against the stand-ins."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.catalog import list_backups, newest_verified
from tablekeep.engine.backups.s3 import S3Store
from tests.tables import BUCKET, ROOT, clients, make_bucket, make_table, orders

PIPELINE = f"""
version: 1
table: orders
region: us-east-1
backup:
  schedule: "0 2 * * *"
  to: {ROOT}
copies:
  - {{name: analytics, to: postgres, conn_id: analytics_pg, table: public.orders}}
verify: {{schedule: "0 5 * * 6"}}
drill:
  schedule: "0 6 * * 0"
  objectives: {{rto: 2h, rpo: 26h}}
"""


@pytest.fixture
def project(local_aws: Any, pipelines: Any, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The table orders with 40 items, a bucket, an empty database, and a pipeline."""
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    name = "analytics"
    monkeypatch.setenv("AIRFLOW_CONN_ANALYTICS_PG", postgres.create_database(name))
    pipelines(orders=PIPELINE)
    yield postgres
    postgres.drop_database(name)


def sets() -> list[Any]:
    return list_backups(S3Store(clients(), BUCKET), BUCKET, "backups").backups


def state(run: Any) -> str:
    return str(run.state)


def tasks(run: Any) -> dict[str, str]:
    return {one.task_id: str(one.state) for one in run.get_task_instances()}


def test_a_night_from_the_table_to_the_database_and_the_drill(project: Any, dags: Any) -> None:
    found = dags()
    night = found["backup__orders"].test()
    assert tasks(night) == {"backup": "success", "verify": "success", "publish": "success"}
    (made,) = sets()
    assert made.items == 40
    assert newest_verified(S3Store(clients(), BUCKET), made.location.shelf) is not None
    assert state(found["copy__orders__analytics"].test()) == "success"
    with project.connect("analytics") as connection:
        assert connection.execute("SELECT count(*) FROM public.orders").fetchone() == (40,)
        assert connection.execute("SELECT backup_id, rows FROM tablekeep_loads").fetchall() == [(made.backup_id, 40)]
    assert state(found["verify__orders"].test()) == "success"
    assert state(found["drill__orders"].test()) == "success"
    assert clients().client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_a_restore_makes_a_new_table_and_refuses_one_that_exists(project: Any, dags: Any) -> None:
    found = dags()
    found["backup__orders"].test()
    run = found["restore__orders"].test(run_conf={"to_table": "orders-again"})
    assert tasks(run) == {"plan": "success", "restore": "success"}
    assert clients().client("dynamodb").scan(TableName="orders-again")["Count"] == 40
    refused = found["restore__orders"].test(run_conf={"to_table": "orders"})
    assert tasks(refused)["plan"] == "failed"
    assert "restore" in tasks(refused)


def test_a_scan_is_refused_for_a_past_time(project: Any, dags: Any) -> None:
    past = datetime.now(UTC) - timedelta(days=3)
    run = dags()["backup__orders"].test(logical_date=past)
    assert tasks(run)["backup"] == "failed"
    assert not sets()


SPREAD = PIPELINE.replace("  schedule:", "  segments: 6\n  spread: {above_gb: ABOVE, tasks: 2}\n  schedule:", 1)


def test_a_large_table_is_read_by_mapped_tasks_and_a_small_one_by_one(project: Any, dags: Any, pipelines: Any) -> None:
    pipelines(orders=SPREAD.replace("ABOVE", "0"))
    large = dags()["backup__orders"].test()
    assert sorted((one.task_id, one.map_index, str(one.state)) for one in large.get_task_instances()) == [
        ("backup", -1, "success"),
        ("finish", -1, "success"),
        ("publish", -1, "success"),
        *(("segments", number, "success") for number in range(6)),
        ("verify", -1, "success"),
    ]
    pipelines(orders=SPREAD.replace("ABOVE", "1"))
    small = dags()["backup__orders"].test()
    assert tasks(small) == {
        "backup": "success", "segments": "skipped", "finish": "skipped", "verify": "success", "publish": "success",
    }  # fmt: skip
    one, other = sets()
    assert one.items == other.items == 40
    assert str(one.content) == str(other.content)
    assert {len(one.segments), len(other.segments)} == {6}


def test_a_failed_group_is_no_backup(project: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tablekeep.engine.errors import PermanentError
    from tablekeep.engine.export import table

    real = table.read_segments

    def failing(clients: Any, store: Any, plan: Any, take: Any, **more: Any) -> Any:
        if (number := take()) == 3:
            raise PermanentError("reading", "broken")
        return real(clients, store, plan, table.in_turn([number]), **more)

    monkeypatch.setattr(table, "read_segments", failing)
    pipelines(orders=SPREAD.replace("ABOVE", "0"))
    run = dags()["backup__orders"].test()
    found = {(one.task_id, one.map_index): str(one.state) for one in run.get_task_instances()}
    assert found["segments", 3] == "failed"
    assert found["segments", 2] == "success"
    assert found["finish", -1] == "upstream_failed"
    assert found["verify", -1] == "upstream_failed"
    assert not sets()


PITR = f"""
version: 1
table: orders
region: us-east-1
backup:
  engine: ENGINE
  to: {ROOT}
"""


@pytest.fixture
def recoverable(project: Any, local_aws: Any, pipelines: Any) -> Any:
    """The table with point-in-time recovery since two days, and an item that came yesterday."""
    client, now = local_aws.client("dynamodb"), datetime.now(UTC)
    client.delete_table(TableName="orders")
    switch(local_aws.endpoint, "dynamodb", {"now": (now - timedelta(days=2)).isoformat()})
    make_table(local_aws, "orders", orders())
    recovery = {"PointInTimeRecoveryEnabled": True}
    client.update_continuous_backups(TableName="orders", PointInTimeRecoverySpecification=recovery)
    switch(local_aws.endpoint, "dynamodb", {"now": (now - timedelta(days=1)).isoformat()})
    client.put_item(TableName="orders", Item={"pk": {"S": "new"}, "sk": {"N": "1"}})
    switch(local_aws.endpoint, "dynamodb", {"now": ""})
    pipelines(orders=PITR.replace("ENGINE", "pitr"))
    return local_aws


def test_a_past_time_by_the_services_export(recoverable: Any, dags: Any) -> None:
    found = dags()["backup__orders"]
    run = found.test(logical_date=datetime.now(UTC) - timedelta(days=1, hours=5))
    assert tasks(run) == {"backup": "success", "verify": "success", "publish": "success"}
    assert sets()[0].items == 40
    assert sets()[0].engine == "pitr"
    assert state(found.test()) == "success"
    assert [one.items for one in sets()] == [41, 40]
    late = found.test(logical_date=datetime.now(UTC) - timedelta(days=9))
    assert tasks(late)["backup"] == "failed"
    assert len(sets()) == 2


def test_a_task_waits_in_the_triggerer_and_starts_one_export(recoverable: Any, dags: Any, monkeypatch: Any) -> None:
    from tablekeep import triggers

    polled: list[str | None] = []
    real = triggers.NativeExportTrigger._ready
    monkeypatch.setattr(triggers.NativeExportTrigger, "_ready", lambda self: polled.append(self.arn) or real(self))
    switch(recoverable.endpoint, "dynamodb", {"export_polls": 3})
    found = dags()["backup__orders"]
    found.get_task("backup").poll_seconds = 0.1
    assert tasks(found.test())["backup"] == "success"
    assert len(polled) >= 2
    assert all(arn and "/export/" in arn for arn in polled)
    assert len(recoverable.client("dynamodb").list_exports()["ExportSummaries"]) == 1


def test_auto_turns_red_when_recovery_was_turned_off(recoverable: Any, dags: Any, pipelines: Any) -> None:
    pipelines(orders=PITR.replace("ENGINE", "auto"))
    found = dags()["backup__orders"]
    assert tasks(found.test())["backup"] == "success"
    assert sets()[0].engine == "pitr"
    recovery = {"PointInTimeRecoveryEnabled": False}
    recoverable.client("dynamodb").update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification=recovery
    )
    assert tasks(found.test())["backup"] == "failed"
    assert len(sets()) == 1
