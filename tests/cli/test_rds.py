"""`tablekeep rds` as a person uses it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tablekeep.cli import command
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
snapshot: {{keep: {{daily: 1, minimum: 1}}, copy_to: {{region: {AWAY}}}}}
drill: {{objectives: {{rto: 2h, rpo: 26h}}, checks: [{{name: orders, sql: "SELECT count(*) = 1000 FROM orders"}}]}}
restore: {{patterns_refused: ["prod-*"]}}
limits: {{max_usd: 20}}
"""


@pytest.fixture
def shop(local_aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "shop.yaml").write_text(PIPELINE)
    monkeypatch.setenv("TABLEKEEP_PIPELINES", str(folder))
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_PG", f"postgresql://{USER}:{PASSWORD}@nowhere/shop")
    make_bucket(local_aws, BUCKET)
    return make_instance(local_aws)


@pytest.fixture
def rds(shop: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs `tablekeep rds …` in this process and gives its document; with `words=True` what a person reads."""

    def run(*arguments: str, code: int = 0, words: bool = False) -> Any:
        capsys.readouterr()
        given = command.run(["rds", *arguments, *([] if words else ["--json"])])
        told = capsys.readouterr()
        assert given == code, told.out + told.err
        assert PASSWORD not in told.out + told.err
        return told.out if words else json.loads(told.out)

    return run


def test_the_way_from_a_snapshot_to_a_drill_and_a_restore(local_aws: Any, shop: Any, rds: Callable[..., Any]) -> None:
    made = rds("snapshot", "shop")
    assert (made["tables"], made["rows"]) == (2, 1200)
    assert rds("copy", "shop", "--as", "kept-for-audit")["snapshot"] == "kept-for-audit"
    copied = rds("copy", "shop")
    assert (copied["snapshot"], copied["region"]) == (made["snapshot"], AWAY)
    drilled = rds("drill", "shop")
    assert drilled["passed"]
    listed = rds("list", "shop", "--rpo", "1h")
    found = {(one["region"], one["compared"], one["drilled"]) for one in listed["snapshots"] if one["kind"] == "ours"}
    assert found == {("us-east-1", True, True), (AWAY, True, True)}
    plan = rds("plan", "shop", "--to", "again", "--class", "db.t4g.medium", "--without", "tags")
    assert plan["hash"]
    restored = rds(
        "restore", "shop", "--to", "again", "--class", "db.t4g.medium", "--without", "tags", "--plan", plan["hash"][:16]
    )
    assert (restored["proved"], restored["equal"]) == (True, 2)
    assert describe(shop, "again")["DBInstanceClass"] == "db.t4g.medium"
    text = rds("list", "shop", words=True)
    assert "ours" in text
    assert "passed" in text
    told = rds("plan", "shop", "--to", "third", words=True)
    assert "Nothing was changed." in told
    assert "dollars an hour while it is there" in told
    expired = rds("expire", "shop")
    assert [one["why"] for one in expired["snapshots"]] == [["daily", "minimum"]] * 2
    assert rds("sweep") == {"confirmed": False, "instances": [], "did": "sweep"}


def test_what_did_not_pass_is_told_by_exit_code_and_words(shop: Any, rds: Callable[..., Any]) -> None:
    assert rds("list", "shop", "--rpo", "1h", code=1)["missed"]
    rds("snapshot", "shop")
    with connect(shop, "shop") as connection:
        connection.execute("DELETE FROM orders WHERE id = 1")
    time.sleep(1.1)
    late = rds("drill", "shop", "--rpo", "1s", words=True, code=1)
    assert "FAILED" in late
    assert "nothing is left" in late
    assert " s until all was readable (find " in late
    rds("snapshot", "shop", "--unread")
    unproved = rds("drill", "shop", words=True, code=1)
    assert "RTO       not reached (find " in unproved
    assert "until all was readable" not in unproved
    assert rds("drill", "shop", code=1)["rto_seconds"] is None
    assert rds("restore", "shop", "--to", "again", "--no-proof", code=3)["compared"] is False
    for arguments, why in (
        (("restore", "shop", "--to", "prod-shop"), "refuses names like prod-*"), (("plan", "nothing", "--to", "x"), "has no such pipeline"),
        (("plan", "shop", "--to", "again", "--class", "db.t4g.small"), "of this name"), (("plan", "shop", "--to", "x", "--at", "yesterday"), "no time with its zone"),
        (("drill", "shop", "--max-usd", "0.01"), "it would cost about"), (("snapshot", "shop", "--login", "conn:x"), "leave it out"),
    ):  # fmt: skip
        refused = rds(*arguments, code=2)
        assert why in f"{refused['why']} {refused['todo']}", arguments


def test_an_instance_without_a_pipeline_also_in_another_region(
    local_aws: Any, rds: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, login = ("shop", "--records", ROOT), ("--login", "conn:shop_pg")
    made = rds("snapshot", *subject, *login, "--marker", "public.mark")
    assert made["marker"]["table"] == "public.mark"
    rds("copy", *subject, "--to-region", AWAY)
    assert "are not there" in rds("plan", *subject, "--to", "away", "--to-region", AWAY, code=2)["why"]
    group = groups(local_aws, AWAY)
    restored = rds("restore", *subject, "--to", "away", "--to-region", AWAY, "--security-group", group, *login)
    assert restored["proved"]
    assert describe(clients(AWAY).client("rds"), "away")["VpcSecurityGroups"][0]["VpcSecurityGroupId"] == group
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    drilled = rds("drill", "shop", "--records", ROOT, "--login", f"postgresql://{USER}@anywhere/shop")
    assert drilled["passed"]
    assert "how to look into" in rds("drill", "shop", "--records", ROOT, code=2)["why"]
    assert rds("snapshot", "shop", "--records", ROOT, "--unread")["before"] == {}


def test_only_what_looks_into_the_database_needs_its_connection(
    shop: Any, rds: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_PG")
    for command_line in (("snapshot", "shop"), ("drill", "shop"), ("restore", "shop", "--to", "again")):
        refused = rds(*command_line, code=2)
        assert "shop_pg" in f"{refused['what']} {refused['why']} {refused['todo']}", command_line
    assert clients().client("rds").describe_db_snapshots()["DBSnapshots"] == [], (
        "and it is asked for before anything is made"
    )
    made = rds("snapshot", "shop", "--unread")["snapshot"]
    assert [one["snapshot"] for one in rds("list", "shop")["snapshots"]] == [made]
    assert rds("copy", "shop")["region"] == AWAY
    plan = rds("plan", "shop", "--to", "again")
    assert plan["snapshot"] == made
    assert [one["why"] for one in rds("expire", "shop")["snapshots"]] == [["daily", "minimum"]] * 2
    assert rds("restore", "shop", "--to", "again", "--no-proof", "--plan", plan["hash"], code=3)["snapshot"] == made
    assert [one["DBInstanceIdentifier"] for one in shop.describe_db_instances()["DBInstances"]] == ["again", "shop"]
