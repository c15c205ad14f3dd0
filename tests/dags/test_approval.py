"""Who may approve a restore, and what is done without an approval: the operators alone, without a scheduler."""

from types import SimpleNamespace
from typing import Any

import pytest

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tests.tables import BUCKET, ROOT, clients, export, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")


@pytest.fixture
def backup(local_aws: Any) -> str:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders(3))
    return export("orders").backup


def context(requester: str) -> dict[str, Any]:
    run = SimpleNamespace(
        dag_id="restore__orders", run_id="manual__1", triggering_user_name=requester, conf={"to_table": "again"}
    )
    return {"dag_run": run, "dag": SimpleNamespace(params={"to_table": None, "key_prefix": None})}


def approve(asked_by: str, answer: dict[str, Any], people: tuple[str, ...] = ("ana", "ben")) -> Any:
    from tablekeep.operators.approve import ApproveRestoreOperator

    operator = ApproveRestoreOperator(
        task_id="approve", subject="x", body="x", plan_hash="a" * 64, table="orders", to=ROOT, people=people, region_name="us-east-1"
    )  # fmt: skip
    return operator.execute_complete(context(asked_by), answer)


def answered(by: str, option: str = "Approve") -> dict[str, Any]:
    return {"chosen_options": [option], "params_input": {}, "responded_by_user": {"id": by, "name": by}}


def kept() -> list[tuple[bool, str]]:
    records = read_records(S3Store(clients(), BUCKET), SHELF, "approval")
    return [(one["result"]["approved"], one["result"]["why"]) for one in records]


def test_two_of_the_named_people_approve(backup: str) -> None:
    assert approve("ana", answered("ben")) == {"plan": "a" * 64, "approver": "ben"}
    assert approve("", answered("eve"), people=()) == {"plan": "a" * 64, "approver": "eve"}
    assert kept() == [(True, ""), (True, "")]


@pytest.mark.parametrize(
    ("asked_by", "answer", "why"),
    [
        ("ana", answered("ana"), "these must be two"),
        ("ana", answered("eve"), "restore.people names ana, ben"),
        ("ana", answered("ben", "Reject"), "ben rejected it"),
        ("ana", {"error": "x", "error_type": "timeout"}, "nobody answered"),
    ],
)
def test_everything_else_is_refused_and_recorded(backup: str, asked_by: str, answer: dict[str, Any], why: str) -> None:
    from tablekeep.engine.errors import PermanentError

    with pytest.raises(PermanentError, match=why):
        approve(asked_by, answer)
    assert [one for one, _ in kept()] == [False]
    assert why in kept()[0][1]


def operator(kind: str, **more: Any) -> Any:
    from tablekeep.operators import restore

    given = {"task_id": "x", "to_table": "again", "table": "orders", "to": ROOT, "region_name": "us-east-1"}
    return getattr(restore, kind)(**given, **more)


@pytest.mark.parametrize("plan", ["", "None"])
def test_without_an_approved_plan_nothing_is_restored(backup: str, plan: str, local_aws: Any) -> None:
    from tablekeep.engine.errors import BadInputError

    with pytest.raises(BadInputError, match="nobody has approved it"):
        operator("ParquetToDynamoDBOperator", backup=backup, plan_hash=plan).execute(context("ana") | {"ti": ti()})
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_a_stranger_may_not_even_ask_and_it_is_recorded(backup: str) -> None:
    from tablekeep.engine.errors import BadInputError

    asked = operator("PlanRestoreOperator", backup=backup, people=["ana", "ben"])
    with pytest.raises(BadInputError, match="eve asks for it"):
        asked.execute(context("eve") | {"ti": ti()})
    assert [one for one, _ in kept()] == [False]


def test_a_field_that_the_form_does_not_have_is_refused(backup: str) -> None:
    from tablekeep.engine.errors import BadInputError

    given = context("ana") | {"ti": ti()}
    given["dag_run"].conf["key_perfix"] = "pk=customer-1"
    with pytest.raises(BadInputError, match="no field key_perfix"):
        operator("PlanRestoreOperator", backup=backup).execute(given)


def ti() -> Any:
    return SimpleNamespace(try_number=1, map_index=-1, task_id="x", xcom_push=lambda *_: None, stats_tags={})
