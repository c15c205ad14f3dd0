"""Import blocks: the IDs that the provider's documentation asks for, only for what is there, in text that Terraform reads."""

import copy
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tablekeep.cli.command import run
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.tables import CreatedTable
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.terraform import import_file, imports
from tests.engine.dynamodb.test_tables import ATTACHED, STREAM, settings_of
from tests.tables import export, make_bucket, make_table, orders

ARN = "arn:aws:dynamodb:eu-west-1:210987654321:table/orders-new"
TARGET = CreatedTable("orders-new", "id-2", ARN, "eu-west-1", "r")
SCALED = "dynamodb/table/orders-new/index/by_g/dynamodb:index:WriteCapacityUnits"
ACTION = {
    "ScheduledActionName": "night", "ResourceId": "table/orders", "ScalableDimension": "dynamodb:table:ReadCapacityUnits"
}  # fmt: skip


def with_everything(**fields: Any) -> TableSettings:
    answers = copy.deepcopy(ATTACHED)
    answers["GetResourcePolicy"]["answer"]["Policy"] = "{}"
    answers["application-autoscaling:DescribeScheduledActions"] = {"answer": {"ScheduledActions": [ACTION]}}
    tags = [{"Key": "team", "Value": "shop"}, {"Key": "aws:x", "Value": "x"}, {"Key": "tablekeep:run", "Value": "r"}]
    answers["ListTagsOfResource"] = {"answer": {"Tags": tags}}
    return settings_of(answers, Replicas=[{"RegionName": "us-east-1"}, {"RegionName": "eu-west-1"}], **fields)


def report_of(made: list[Any], **more: Any) -> RestoreReport:
    return RestoreReport(
        "s3://b/manifest.json", TARGET.name, "id-2", table_arn=ARN, imports=[one.as_dict() for one in made], **more
    )


def formatted(text: str) -> None:
    """That Terraform can read it, where there is one."""
    if program := shutil.which("terraform"):
        done = subprocess.run([program, "fmt", "-"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout == text, "formatted as Terraform formats"


def test_every_resource_has_the_id_that_its_documentation_asks_for() -> None:
    made = {one.to: one for one in imports(with_everything(), with_everything(), TARGET)}
    assert {to: one.id for to, one in made.items() if not one.instead} == {
        "aws_dynamodb_table.orders-new": "orders-new",
        "aws_appautoscaling_target.orders-new_by_g_write": SCALED,
        "aws_appautoscaling_policy.orders-new_by_g_write": f"{SCALED}/p",
        "aws_dynamodb_contributor_insights.orders-new": "name:orders-new/index:/210987654321",
        "aws_dynamodb_contributor_insights.orders-new_by_g": "name:orders-new/index:by_g/210987654321",
        "aws_dynamodb_kinesis_streaming_destination.orders-new_changes": f"orders-new,{STREAM}",
        "aws_appautoscaling_scheduled_action.orders-new_night": "",
        "aws_dynamodb_resource_policy.orders-new": ARN,
        "aws_dynamodb_table_replica.orders-new_us-east-1": "orders-new:eu-west-1",
    }
    assert {to: one.id for to, one in made.items() if one.instead} == {
        "aws_dynamodb_tag.orders-new_team": f"{ARN},team",
        "aws_dynamodb_global_secondary_index.orders-new_by_g": "orders-new,by_g",
        "aws_dynamodb_global_secondary_index.orders-new_by_h": "orders-new,by_h",
    }
    assert all(one.there for one in made.values())


def test_what_is_not_there_yet_and_what_is_a_part_of_the_table_stands_in_comments() -> None:
    made = imports(with_everything(), settings_of(), TARGET)
    missing = {"name": "replica in us-east-1", "why": "a replica is charged", "command": "aws dynamodb update-table …"}
    text = import_file(report_of(made, not_restored=[missing]))
    formatted(text)
    active = [line for line in text.splitlines() if not line.startswith("#")]
    assert re.findall(r"to = (\S+)", "\n".join(active)) == ["aws_dynamodb_table.orders-new"]
    for part in (
        'id = "orders-new:eu-west-1"', "aws_appautoscaling_scheduled_action.orders-new_night cannot be imported", "replica in us-east-1",
        "aws dynamodb update-table …", "account 210987654321, Region eu-west-1", "s3://b/manifest.json", "never both", "terraform state rm",
    ):  # fmt: skip
        assert part in text, part
    assert "aws_dynamodb_tag" not in text, "the tags are not there"


def test_any_name_gives_text_that_terraform_reads() -> None:
    evil = '"\n}\nresource "x" "${file("/etc/passwd")}" %{ if true } \\'
    settings = with_everything()
    policies = settings.document["answers"]["application-autoscaling:DescribeScalingPolicies"]["answer"][
        "ScalingPolicies"
    ]
    policies += [dict(policies[0], PolicyName=evil), dict(policies[0], PolicyName=evil)]
    target = CreatedTable("2.orders", "id", ARN, "eu-west-1", "r")
    made = imports(settings, settings, target)
    assert len({one.to for one in made}) == len(made), "each address once"
    assert all(re.fullmatch(r"[a-z_]+\.[A-Za-z_][A-Za-z0-9_-]*", one.to) for one in made)
    told = {"name": evil, "why": evil, "command": evil}
    text = import_file(report_of(made, not_restored=[told]))
    formatted(text)
    assert "$${file" in text
    assert "resource" not in re.findall(r"^\w+", text, re.M)


def test_a_restore_writes_the_file_and_never_over_another(
    local_aws: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders(3), Tags=[{"Key": "team", "Value": "shop"}])
    backup, file = export("orders").backup, tmp_path / "restored.tf"
    restoring = ["restore", backup, "--quiet", "--terraform", str(file)]
    for more in (["--to-table", "orders", "--mode", "missing-only"], ["--to-file", str(tmp_path / "x")]):
        assert run([*restoring, *more]) == 2
    assert not file.exists()
    assert run([*restoring, "--to-table", "again"]) == 0
    text = file.read_text()
    formatted(text)
    assert 'import {\n  to = aws_dynamodb_table.again\n  id = "again"\n}\n' in text
    assert '#   id = "arn:aws:dynamodb:us-east-1:123456789012:table/again,team"' in text
    assert str(file) in capsys.readouterr().out
    assert run([*restoring, "--to-table", "another"]) == 2
    assert sorted(local_aws.client("dynamodb").list_tables()["TableNames"]) == ["again", "orders"]
