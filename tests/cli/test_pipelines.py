"""`tablekeep new` and `tablekeep drill PIPELINE`: pipeline files without Airflow."""

import json
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.config.load import load_folder
from tablekeep.engine.config.templates import TEMPLATES
from tests.cli.test_cli import tablekeep
from tests.tables import ROOT, export, make_bucket, make_table, orders

OPTIONS = {
    "to": ROOT, "conn_id": "analytics_pg", "workgroup": "dwh", "database": "prod", "iam_role": "arn:aws:iam::123456789012:role/copy",
}  # fmt: skip


@pytest.fixture
def folder(local_aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", "plugins")
    made = tmp_path / "pipelines"
    made.mkdir()
    monkeypatch.setenv("TABLEKEEP_PIPELINES", str(made))
    make_bucket(local_aws)
    make_table(local_aws, "Shop_Orders", orders(5))
    return made


def given(template: Any) -> list[str]:
    return [part for name in template.needs for part in (f"--{name.replace('_', '-')}", OPTIONS[name])]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_each_template_gives_a_pipeline_that_loads(folder: Path, template: Any) -> None:
    done = tablekeep("new", template.name, "--table", "Shop_Orders", *given(template), "--json")
    assert done.returncode == 0, done.stderr
    loaded = load_folder(folder, environment="")
    assert not loaded.problems
    (pipeline,) = loaded.pipelines
    assert (pipeline.name, pipeline.table, pipeline.region) == ("shop-orders", "Shop_Orders", "us-east-1")
    assert json.loads(done.stdout)["file"] == str(folder / "shop-orders.yaml")
    again = tablekeep("new", template.name, "--table", "Shop_Orders", *given(template))
    assert again.returncode == 2
    assert "never overwritten" in again.stderr


def test_provisioned_tables_get_a_budget(folder: Path, local_aws: Any) -> None:
    capacity = {"ReadCapacityUnits": 40, "WriteCapacityUnits": 5}
    make_table(local_aws, "steady", [], BillingMode="PROVISIONED", ProvisionedThroughput=capacity)
    assert tablekeep("new", "dynamodb-to-s3", "--table", "steady", "--to", ROOT).returncode == 0
    (pipeline,) = load_folder(folder, environment="").pipelines
    assert pipeline.backup.read_budget == "25%"
    assert "of 40 provisioned RCU" in (folder / "steady.yaml").read_text()


def test_templates_are_listed_without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", "plugins")
    listed = tablekeep("new")
    assert listed.returncode == 0
    assert all(template.name in listed.stdout for template in TEMPLATES)
    assert [one["name"] for one in json.loads(tablekeep("new", "--json").stdout)["templates"]] == [
        one.name for one in TEMPLATES
    ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("dynamodb-to-ftp", "--table", "Shop_Orders"), "there is none of that name (there: dynamodb-to-s3"),
        (("dynamodb-to-s3",), "--table is missing"),
        (("dynamodb-to-s3", "--table", "Shop_Orders"), "needs to"),
        (("dynamodb-to-s3", "--table", "nowhere", "--to", ROOT), "no such table"),
        (("dynamodb-to-s3", "--table", "Shop_Orders", "--to", "backups"), "backup.to: it does not begin with s3://"),
        (("dynamodb-to-postgres", "--table", "Shop_Orders", "--to", ROOT, "--conn-id", "a b"), "copies[0].conn_id"),
        (
            ("dynamodb-to-s3", "--table", "Shop_Orders", "--to", ROOT, "--out", "/not/there/x.yaml"),
            "there is no folder /not/there",
        ),
    ],
)
def test_bad_input_writes_no_file(folder: Path, arguments: tuple[str, ...], why: str) -> None:
    done = tablekeep("new", *arguments)
    assert done.returncode == 2
    assert why in done.stderr
    assert not list(folder.iterdir())


def test_a_drill_of_a_pipeline_by_name(folder: Path, local_aws: Any) -> None:
    export("Shop_Orders")
    text = f"version: 1\ntable: Shop_Orders\nregion: us-east-1\nbackup: {{to: '{ROOT}'}}\ndrill: {{objectives: {{rto: 2h, rpo: 1d}}}}\n"
    (folder / "shop.yaml").write_text(text)
    done = tablekeep("drill", "shop", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["passed"]
    assert document["objectives"] == {"rto_seconds": 7200.0, "rpo_seconds": 86400.0}
    (folder / "shop.yaml").write_text(text.replace("rpo: 1d", "rpo: 1s"))
    missed = tablekeep("drill", "shop")
    assert missed.returncode == 1
    assert "RPO missed" in missed.stdout
    (folder / "shop.yaml").write_text(text.replace("version: 1", "version: 9"))
    bad = tablekeep("drill", "shop")
    assert bad.returncode == 2
    assert "pipelines/shop.yaml:1: version: this Tablekeep reads version 1 only" in bad.stderr
    none = tablekeep("drill", "orders")
    assert none.returncode == 2
    assert "no such pipeline" in none.stderr


def test_a_drill_with_the_pipelines_own_connection(
    folder: Path, local_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    export("Shop_Orders")
    (folder / "shop.yaml").write_text(
        f"version: 1\ntable: Shop_Orders\nregion: us-east-1\naws_conn_id: aws_shop\nbackup: {{to: '{ROOT}'}}\n"
    )
    missing = tablekeep("drill", "shop")
    assert missing.returncode == 2
    assert "AIRFLOW_CONN_AWS_SHOP" in missing.stderr
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SHOP", "aws://AKIA:secret@/")
    assert tablekeep("drill", "shop").returncode == 0
