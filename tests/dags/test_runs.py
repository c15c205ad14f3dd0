"""Whole DAGs, run by `dag.test()` against the stand-ins."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator

from local_aws.server import switch
from tablekeep.engine.backups.catalog import list_backups, newest_verified
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.restore.plan import RestorePlan
from tablekeep.engine.restore.selection import select
from tablekeep.engine.restore.words import plan_markdown
from tablekeep.operators.approve import ApproveRestoreOperator
from tests.local_aws.test_aws_backup import PLAN, recovery_point, restore_test
from tests.local_aws.test_ondemand import backed_up
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


GREEN = {"plan": "success", "backup": "success", "verify": "success", "publish": "success"}


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
    assert tasks(night) == GREEN
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


def answered(
    monkeypatch: pytest.MonkeyPatch, by: str = "ben", option: str = "Approve", requester: str = "ana", **event: Any
) -> None:
    """The person's part: `dag.test` has nobody to ask. The answer is judged as Airflow would hand it over."""
    given = {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "7", "name": by},
    }
    monkeypatch.setattr(
        ApproveRestoreOperator, "execute", lambda self, context: self.execute_complete(context, event or given)
    )
    monkeypatch.setattr("tablekeep.operators.approve.requester", lambda context: requester)


def records(kind: Any) -> list[dict[str, Any]]:
    (made, *_) = sets()
    return [one["result"] for one in read_records(S3Store(clients(), BUCKET), made.location.shelf, kind)]


def test_a_restore_is_planned_approved_and_done(project: Any, dags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(monkeypatch)
    found = dags()
    found["backup__orders"].test()
    run = found["restore__orders"].test(run_conf={"to_table": "orders-again"})
    assert tasks(run) == {"plan": "success", "approve": "success", "restore": "success"}
    assert clients().client("dynamodb").scan(TableName="orders-again")["Count"] == 40
    (plan,), (approval,), (restore,) = records("plan"), records("approval"), records("restore")
    assert plan["hash"] == approval["plan"] == restore["plan"]
    assert (approval["approved"], approval["requester"], approval["approver"]) == (True, "ana", "ben")
    refused = found["restore__orders"].test(run_conf={"to_table": "orders"})
    assert tasks(refused)["plan"] == "failed"
    keys = ['{"pk": "customer-1", "sk": 1}', '{"pk": "customer-2", "sk": 2}']
    part = found["restore__orders"].test(run_conf={"to_table": "some", "keys": keys, "where": ["price > 2"]})
    assert state(part) == "success"
    assert clients().client("dynamodb").scan(TableName="some")["Count"] == 1
    deleted = {"pk": {"S": "customer-1"}, "sk": {"N": "1"}}
    clients().client("dynamodb").delete_item(TableName="orders", Key=deleted)
    back = dags()["restore__orders"].test(
        run_conf={"to_table": "orders", "mode": "missing-only"}
    )  # anew: test() keeps params
    assert state(back) == "success"
    assert "Item" in clients().client("dynamodb").get_item(TableName="orders", Key=deleted)


def test_what_a_person_types_into_the_form_is_taken_as_it_is(
    project: Any, dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No template in a field is rendered, no markup reaches the page, and a field that is misspelt restores nothing."""
    answered(monkeypatch)
    found = dags()
    found["backup__orders"].test()
    hostile = "{{ 7 * 7 }}{{ conn.aws_default.password }}<script>|x"
    given = {"to_table": "again", "key_prefix": f"pk={hostile}", "where": [f"note = {json.dumps(hostile)}"]}
    assert tasks(found["restore__orders"].test(run_conf=given))["restore"] == "success"
    (plan,) = records("plan")
    wanted = select([("pk", "S"), ("sk", "N")], key_prefix=given["key_prefix"], where=given["where"])
    assert plan["selection"] == wanted.as_dict()
    assert "<script" not in plan_markdown(RestorePlan.from_dict(plan))
    misspelt = found["restore__orders"].test(run_conf={"to_table": "everything", "key_perfix": "pk=customer-1"})
    assert tasks(misspelt)["plan"] == "failed"
    assert "everything" not in clients().client("dynamodb").list_tables()["TableNames"]


PEOPLE = PIPELINE + "restore: {people: [ana, ben], patterns_refused: ['prod-*'], accounts: ['123456789012']}\n"


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ({"by": "ana"}, "asked for it and approved it"),
        ({"by": "eve"}, "eve approved it, and restore.people names ana, ben"),
        ({"option": "Reject"}, "ben rejected it"),
        ({"error": "timeout", "error_type": "timeout"}, "nobody answered within 4 hours"),
    ],
    ids=["himself", "stranger", "rejected", "nobody"],
)
def test_without_a_second_person_nothing_is_restored(
    project: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch, who: dict[str, Any], why: str
) -> None:
    pipelines(orders=PEOPLE)
    answered(monkeypatch, **who)
    found = dags()
    found["backup__orders"].test()
    run = found["restore__orders"].test(run_conf={"to_table": "orders-again"})
    assert tasks(run)["approve"] == "failed"
    assert tasks(run)["restore"] != "success"
    (approval,) = records("approval")
    assert not approval["approved"]
    assert why in approval["why"]
    assert clients().client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_with_people_two_of_them_restore_and_a_stranger_may_not_even_ask(
    project: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines(orders=PEOPLE)
    answered(monkeypatch)
    found = dags()
    found["backup__orders"].test()
    assert state(found["restore__orders"].test(run_conf={"to_table": "orders-again"})) == "success"
    assert tasks(found["restore__orders"].test(run_conf={"to_table": "prod-orders"}))["plan"] == "failed"
    answered(monkeypatch, requester="eve")
    assert tasks(found["restore__orders"].test(run_conf={"to_table": "another"}))["plan"] == "failed"
    refused = records("approval")[-1]
    assert (refused["approved"], refused["requester"]) == (False, "eve")
    assert "eve asks for it" in refused["why"]
    pipelines(orders=PEOPLE.replace("123456789012", "999999999999"))
    answered(monkeypatch)
    assert tasks(dags()["restore__orders"].test(run_conf={"to_table": "another"}))["plan"] == "failed"
    assert clients().client("dynamodb").list_tables()["TableNames"] == ["orders", "orders-again"]


SPREAD_RESTORE = (
    PIPELINE.replace("  to:", "  segments: 5\n  to:", 1)
    + "restore: {spread: {above_gb: ABOVE, tasks: 2}, max_wcu: 900}\n"
)


def test_a_large_restore_is_loaded_and_read_back_by_mapped_tasks_and_a_small_one_by_one(
    project: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablekeep.engine.restore.request import RestoreRequest

    rates, real = list[float](), RestoreRequest.budget
    monkeypatch.setattr(
        RestoreRequest, "budget", lambda self, clock, **more: rates.append(self.max_wcu * more["share"]) or real(self, clock, **more)
    )  # fmt: skip
    answered(monkeypatch)
    pipelines(orders=SPREAD_RESTORE.replace("ABOVE", "0"))
    found = dags()
    found["backup__orders"].test()
    parts = len(sets()[0].parts)
    run = found["restore__orders"].test(run_conf={"to_table": "orders-again"})
    states = [(one.task_id, one.map_index, str(one.state)) for one in run.get_task_instances()]
    assert sorted(states) == sorted([
        *((name, -1, "success") for name in ("plan", "approve", "restore", "complete", "finish")),
        *(("parts", number, "success") for number in range(parts)),
        *(("proof", number, "success") for number in range(4)),
    ])  # fmt: skip
    assert rates == [450.0] * parts, "two at a time, each with half of the budget"
    (restore,) = records("restore")
    assert (restore["proved"], restore["items"], restore["workers"]) == (True, 40, 2)
    assert restore["plan"] == records("approval")[0]["plan"]
    pipelines(orders=SPREAD_RESTORE.replace("ABOVE", "1"))
    small = dags()["restore__orders"].test(run_conf={"to_table": "orders-once-more"})
    assert tasks(small) == {
        "plan": "success", "approve": "success", "restore": "success", "parts": "skipped", "complete": "skipped", "proof": "skipped",
        "finish": "skipped",
    }  # fmt: skip
    assert state(small) == "success"
    assert [one["table"] for one in records("restore")] == ["orders-again", "orders-once-more"]


def test_missing_items_of_a_large_backup_are_put_back_by_mapped_tasks(
    project: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch)
    pipelines(orders=SPREAD_RESTORE.replace("ABOVE", "0"))
    found = dags()
    found["backup__orders"].test()
    parts = len(sets()[0].parts)
    run = found["restore__orders"].test(run_conf={"to_table": "orders", "mode": "missing-only"})
    states = [(one.task_id, str(one.state)) for one in run.get_task_instances()]
    assert set(states) == {
        (name, "success") for name in ("plan", "approve", "restore", "parts", "complete", "proof", "finish")
    }
    assert states.count(("parts", "success")) == parts
    (restore,) = records("restore")
    assert (restore["proved"], restore["compared"], restore["written"], restore["equal"]) == (True, "keys", 0, 40)


def test_a_group_of_parts_that_fails_is_no_restore(
    project: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablekeep.engine.errors import PermanentError
    from tablekeep.engine.restore.steps import Restoring

    real = Restoring.load_group

    def failing(self: Any, units: Any, turn: float, share: float) -> None:
        if turn >= 0.5:
            raise PermanentError("loading", "broken")
        real(self, units, turn, share)

    monkeypatch.setattr(Restoring, "load_group", failing)
    answered(monkeypatch)
    pipelines(orders=SPREAD_RESTORE.replace("ABOVE", "0"))
    found = dags()
    found["backup__orders"].test()
    run = found["restore__orders"].test(run_conf={"to_table": "orders-again"})
    states = {(one.task_id, one.map_index): str(one.state) for one in run.get_task_instances()}
    assert states["parts", 0] == "success"
    assert states["parts", len(sets()[0].parts) - 1] == "failed"
    assert {states["complete", -1], states["finish", -1]} == {"upstream_failed"}
    assert records("restore") == []


def test_a_restore_that_nobody_approved_is_refused(project: Any, dags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApproveRestoreOperator, "execute", lambda self, context: {"plan": None, "approver": ""})
    found = dags()
    found["backup__orders"].test()
    run = found["restore__orders"].test(run_conf={"to_table": "orders-again"})
    assert tasks(run)["restore"] == "failed"
    assert clients().client("dynamodb").list_tables()["TableNames"] == ["orders"]


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
        ("plan", -1, "success"),
        ("publish", -1, "success"),
        *(("segments", number, "success") for number in range(6)),
        ("verify", -1, "success"),
    ]
    pipelines(orders=SPREAD.replace("ABOVE", "1"))
    small = dags()["backup__orders"].test()
    assert tasks(small) == {
        "plan": "success", "backup": "success", "segments": "skipped", "finish": "skipped", "verify": "success", "publish": "success",
    }  # fmt: skip
    one, other = sets()
    assert one.items == other.items == 40
    assert str(one.content) == str(other.content)
    assert {len(one.segments), len(other.segments)} == {6}


def test_a_failed_group_is_no_backup(project: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tablekeep.engine.errors import PermanentError
    from tablekeep.engine.export import groups

    real = groups.read_segments

    def failing(clients: Any, store: Any, plan: Any, take: Any, **more: Any) -> Any:
        if (number := take()) == 3:
            raise PermanentError("reading", "broken")
        return real(clients, store, plan, groups.in_turn([number]), **more)

    monkeypatch.setattr(groups, "read_segments", failing)
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
    assert tasks(run) == GREEN
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


def test_the_files_of_the_services_export_are_converted_by_mapped_tasks(
    recoverable: Any, dags: Any, pipelines: Any
) -> None:
    pipelines(orders=PITR.replace("ENGINE", "pitr\n  spread: {above_gb: 0, tasks: 2}"))
    switch(recoverable.endpoint, "dynamodb", {"export_polls": 2})
    found = dags()["backup__orders"]
    found.get_task("backup").poll_seconds = 0.1
    run = found.test()
    states = {(one.task_id, one.map_index): str(one.state) for one in run.get_task_instances()}
    assert set(states.values()) == {"success"}
    assert len([one for one in states if one[0] == "segments"]) == 4  # the stand-in writes four files
    (made,) = sets()
    assert (made.engine, made.items) == ("pitr", 41)
    assert len(recoverable.client("dynamodb").list_exports()["ExportSummaries"]) == 1
    assert not [info.key for info in S3Store(clients(), BUCKET).list("") if "/_native/" in info.key]


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


@pytest.mark.parametrize(
    ("limits", "red"),
    [("{max_usd: 0.00001}", "plan"), ("{max_usd: 5}", "")],
)
def test_what_costs_more_than_the_limit_is_not_begun(
    project: Any, dags: Any, pipelines: Any, limits: str, red: str
) -> None:
    pipelines(orders=PIPELINE + f"limits: {limits}\n")
    found = dags()
    run = found["backup__orders"].test()
    assert [name for name, state in tasks(run).items() if state == "failed"] == ([red] if red else [])
    assert len(sets()) == (0 if red else 1)


def test_a_restore_or_drill_that_costs_too_much_is_not_begun(project: Any, dags: Any, pipelines: Any) -> None:
    dags()["backup__orders"].test()
    pipelines(orders=PIPELINE + "limits: {max_usd: 0.00001}\n")
    found = dags()
    assert tasks(found["drill__orders"].test())["drill"] == "failed"
    assert tasks(found["restore__orders"].test(run_conf={"to_table": "again"}))["plan"] == "failed"
    assert clients().client("dynamodb").list_tables()["TableNames"] == ["orders"]


MODE = PITR.replace("ENGINE", "pitr\n  mode: {full_every: 7d, merge: MERGE}")


def kinds() -> list[str]:
    """Newest first."""
    return ["incremental" if one.window else one.engine for one in sets()]


@pytest.fixture
def nights(recoverable: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the clock says, ours and the stand-in's, to five minutes after a night's time, and returns that."""
    from tablekeep.engine.clock import SystemClock

    now = datetime.now(UTC).replace(microsecond=0)
    moment = [now]
    monkeypatch.setattr(SystemClock, "now", lambda self: moment[0])

    def set_time(days: float) -> datetime:
        moment[0] = now + timedelta(days=days, minutes=5)  # as late as the service lags behind
        switch(recoverable.endpoint, "dynamodb", {"now": moment[0].isoformat()})
        return now + timedelta(days=days)

    return set_time


def test_full_backups_now_and_then_and_increments_in_between(
    recoverable: Any, nights: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tablekeep.runtime.STALE", timedelta(days=99))  # dag.test() makes manual runs
    pipelines(orders=MODE.replace("MERGE", "false"))
    dag = dags()["backup__orders"]
    first = dag.test(logical_date=nights(0))
    assert tasks(first) == GREEN
    client = recoverable.client("dynamodb")
    nights(0.5)
    client.put_item(TableName="orders", Item={"pk": {"S": "newer"}, "sk": {"N": "1"}})
    second = dag.test(logical_date=nights(1))
    assert tasks(second) == GREEN | {"publish": "skipped"}  # an increment is no table for copies
    # the first window begins two minutes before the full set's cut, so a day takes two
    assert kinds() == ["incremental", "incremental", "pitr"]
    assert [one.items for one in sets()] == [0, 1, 41]
    third = dag.test(logical_date=nights(3.5))  # two nights were missed: three windows, each verified
    assert tasks(third)["verify"] == "success"
    assert kinds() == ["incremental"] * 5 + ["pitr"]
    store = S3Store(clients(), BUCKET)
    from tablekeep.engine.backups.catalog import verifications

    assert set(verifications(store, sets()[0].location.shelf)) == {one.backup_id for one in sets()}
    asked = dag.test(logical_date=nights(4), run_conf={"full": True})
    assert tasks(asked) == GREEN
    assert kinds()[0] == "pitr"
    dag = dags()["backup__orders"]  # dag.test() keeps what a run was told in the DAG's params
    dag.test(logical_date=nights(5))
    dag.test(logical_date=nights(11))
    assert kinds()[:2] == ["pitr", "incremental"]  # seven days after the last full one


def test_merged_sets_are_used_and_proved_by_the_next_full_backup(
    recoverable: Any, nights: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tablekeep.runtime.STALE", timedelta(days=99))
    pipelines(orders=MODE.replace("MERGE", "true").replace("full_every: 7d", "full_every: 2d"))
    dag = dags()["backup__orders"]
    client, green = recoverable.client("dynamodb"), GREEN | {"merge": "success"}
    assert tasks(dag.test(logical_date=nights(0))) == green  # nothing to merge yet
    nights(0.5)
    client.put_item(TableName="orders", Item={"pk": {"S": "newer"}, "sk": {"N": "1"}})
    assert tasks(dag.test(logical_date=nights(1))) == green
    assert kinds().count("merge") == 1
    newest = newest_verified(S3Store(clients(), BUCKET), sets()[0].location.shelf)
    assert newest
    assert (newest.engine, newest.items) == ("merge", 42)
    nights(1.5)
    client.put_item(TableName="orders", Item={"pk": {"S": "newest"}, "sk": {"N": "1"}})
    run = dag.test(logical_date=nights(2))
    assert tasks(run) == green
    assert (kinds().count("merge"), kinds().count("pitr")) == (2, 2)
    one = next(one for one in run.get_task_instances() if one.task_id == "merge")
    assert one.xcom_pull(task_ids="merge", key="confirmed") is True
    # a set that is not what the table was is found by the next full backup
    lost = next(write for write in log(recoverable) if write.new and b"newest" in write.new)
    log(recoverable).remove(lost)
    nights(3)
    client.put_item(TableName="orders", Item={"pk": {"S": "last"}, "sk": {"N": "1"}})
    assert tasks(dag.test(logical_date=nights(3))) == green
    failed = dag.test(logical_date=nights(4))
    assert tasks(failed) == green | {"merge": "failed", "publish": "upstream_failed"}
    # the next night goes on from the full backup, not from what it has disproved
    assert tasks(dag.test(logical_date=nights(5))) == green
    newest = newest_verified(S3Store(clients(), BUCKET), sets()[0].location.shelf)
    assert newest
    full = next(one for one in sets() if one.engine == "pitr")
    assert full.link in newest.parents
    # a past day is a full set, and neither merged nor a proof of anything
    monkeypatch.setattr("tablekeep.runtime.STALE", timedelta(minutes=15))
    count = kinds().count("merge")
    assert tasks(dag.test(logical_date=nights(5) - timedelta(days=1))) == green | {"publish": "skipped"}
    assert kinds().count("merge") == count


def log(aws: Any) -> list[Any]:
    """The stand-in's log of writes to the table."""
    from moto.dynamodb.models import dynamodb_backends

    from local_aws.dynamodb.history import log_of

    return log_of(dynamodb_backends["123456789012"]["us-east-1"].get_table("orders"))


def test_a_broken_chain_is_red_until_a_full_backup(
    recoverable: Any, nights: Any, dags: Any, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tablekeep.runtime.STALE", timedelta(days=99))
    pipelines(orders=MODE.replace("MERGE", "true"))
    dag = dags()["backup__orders"]
    dag.test(logical_date=nights(0))
    for on in (False, True):
        nights(0.5)
        recovery = {"PointInTimeRecoveryEnabled": on}
        recoverable.client("dynamodb").update_continuous_backups(
            TableName="orders", PointInTimeRecoverySpecification=recovery
        )
    assert tasks(dag.test(logical_date=nights(1)))["backup"] == "failed"
    assert kinds() == ["pitr"]
    run = dag.test(logical_date=nights(1), run_conf={"full": True})
    assert tasks(run) == GREEN | {"merge": "success"}
    assert kinds() == ["pitr", "pitr"]


DRILLED = PIPELINE + "monitor: {notify: 'arn:aws:sns:us-east-1:123456789012:ops'}\n"


@pytest.fixture
def told(local_aws: Any) -> Any:
    """What the topic `ops` was told: the bodies that a queue of it holds."""
    sns, sqs = local_aws.client("sns"), local_aws.client("sqs")
    topic = sns.create_topic(Name="ops")["TopicArn"]
    queue = sqs.create_queue(QueueName="ops")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return lambda: [
        one["Body"] for one in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    ]


def test_a_drill_links_its_report_and_tells_when_it_fails(project: Any, dags: Any, pipelines: Any, told: Any) -> None:
    pipelines(orders=DRILLED)
    found = dags()
    found["backup__orders"].test()
    run = found["drill__orders"].test()
    assert tasks(run) == {"drill": "success", "sweep": "success", "done": "success"}
    drill = next(one for one in run.get_task_instances() if one.task_id == "drill")
    link = drill.xcom_pull(task_ids="drill", key="report_link")
    assert link.startswith(f"https://us-east-1.console.aws.amazon.com/s3/object/{BUCKET}?prefix=backups/v1/")
    assert link.endswith(".html")
    assert told() == []
    pipelines(orders=DRILLED.replace("rto: 2h", "rto: 1s").replace("rpo: 26h", "rpo: 1s"))
    failed = dags()["drill__orders"].test()
    assert tasks(failed) == {"drill": "failed", "sweep": "success", "done": "upstream_failed"}
    assert state(failed) == "failed"
    (message,) = told()
    assert "RPO missed" in message
    assert ".html" in message
    assert clients().client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_a_plan_that_waits_is_told(
    project: Any, dags: Any, pipelines: Any, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines(orders=DRILLED)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example")
    answer = {"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": {"id": "7", "name": "ben"}}
    monkeypatch.setattr(
        ApprovalOperator,
        "execute",
        lambda self, context: self.execute_complete(context, answer | {"responded_at": datetime.now(UTC)}),
    )
    found = dags()
    found["backup__orders"].test()
    assert state(found["restore__orders"].test(run_conf={"to_table": "orders-again"})) == "success"
    (message,) = told()
    assert "Approve or reject: http://airflow.example/dags/restore__orders/runs/" in message
    assert "| items | 40" in message


def test_what_a_killed_drill_left_is_swept_by_its_own_run(
    project: Any, dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dags()
    found["backup__orders"].test()
    monkeypatch.setattr("tablekeep.engine.drills.drill.tear_down", lambda *given: False)
    run = found["drill__orders"].test()
    assert tasks(run) == {"drill": "failed", "sweep": "success", "done": "upstream_failed"}
    assert state(run) == "failed"
    assert clients().client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_what_is_not_kept_is_deleted_after_the_backup_and_never_in_a_backfill(
    project: Any, dags: Any, pipelines: Any
) -> None:
    pipelines(orders=PIPELINE.replace("  schedule:", "  keep: {daily: 1, minimum: 1}\n  schedule:", 1))
    first = dags()["backup__orders"].test()
    assert tasks(first) == GREEN | {"expire": "success"}
    (old,) = sets()
    assert tasks(dags()["backup__orders"].test()) == GREEN | {"expire": "success"}
    (new,) = sets()
    assert new.backup_id != old.backup_id
    (gone,) = records("delete")
    assert gone["backup"] == old.uri
    assert state(dags()["drill__orders"].test()) == "success"


def test_what_aws_keeps_is_drilled_restored_and_validated(
    project: Any, pipelines: Any, dags: Any, local_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch)
    pipelines(orders=PIPELINE.replace("drill:\n", "drill:\n  path: backup\n"))
    kept = backed_up(local_aws)
    found = dags()
    found["backup__orders"].test()
    assert state(found["drill__orders"].test()) == "success"
    assert records("drill")[-1]["source_backup"] == kept
    run = found["restore__orders"].test(run_conf={"to_table": "orders-again", "path": "backup"})
    assert tasks(run) == {"plan": "success", "approve": "success", "restore": "success"}
    (plan,) = records("plan")
    assert plan["source_backup"]["arn"] == kept
    changed = {"pk": {"S": "customer-1"}, "sk": {"N": "1"}, "price": {"N": "0"}}
    local_aws.client("dynamodb").put_item(TableName="orders", Item=changed)
    backed_up(local_aws, "later")
    red = dags()["restore__orders"].test(run_conf={"to_table": "orders-third", "path": "backup"})
    assert tasks(red)["restore"] == "failed", "unverified is not green"
    assert "orders-third" in clients().client("dynamodb").list_tables()["TableNames"]
    pipelines(orders=PIPELINE.replace("drill:\n", f"drill:\n  restore_testing_plan: {PLAN}\n  validate_within: 1h\n"))
    nothing = dags()["drill__orders"].test()
    assert tasks(nothing)["drill"] == "failed", "the plan has restored nothing"
    restore_test(local_aws, recovery_point(local_aws))
    wrong = dags()["drill__orders"].test()
    assert tasks(wrong)["drill"] == "failed"
    assert records("drill")[-1]["posted"]["status"] == "FAILED"
    found["backup__orders"].test()
    job = restore_test(local_aws, recovery_point(local_aws))
    right = dags()["drill__orders"].test(run_conf={"restore_job": job["RestoreJobId"]})
    assert tasks(right) == {"drill": "success", "sweep": "success", "done": "success"}
    assert records("drill")[-1]["posted"]["status"] == "SUCCESSFUL"
