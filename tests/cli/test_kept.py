"""What AWS keeps, on the command line: restored, drilled, validated; and what a person reads of it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.clock import SystemClock
from tests.cli.test_cli import tablekeep
from tests.local_aws.test_aws_backup import PLAN, recovery_point, restore_test
from tests.local_aws.test_ondemand import backed_up
from tests.past import put, recovery
from tests.tables import ROOT, export, make_bucket, make_table, orders, verify


@pytest.fixture
def backup(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A verified set of half an hour ago, by DynamoDB's own export."""
    monkeypatch.setenv("PYTHONPATH", "plugins")
    moment = SystemClock().now().replace(microsecond=0) - timedelta(minutes=30)
    make_bucket(local_aws)
    switch(local_aws.endpoint, "dynamodb", {"now": moment.isoformat()})
    make_table(local_aws, "orders", orders())
    recovery(local_aws, True)
    switch(local_aws.endpoint, "dynamodb", {"now": ""})
    made = export("orders", engine="pitr", as_of=moment).backup
    verify(made)
    return made


def test_a_backup_that_aws_keeps_is_restored_and_proved_or_said_to_be_unverified(backup: str, local_aws: Any) -> None:
    kept = backed_up(local_aws)
    done = tablekeep("restore", ROOT, "--table", "orders", "--to-table", "again", "--path", "backup")
    assert done.returncode == 0, done.stderr
    assert "yes: content hash 40-" in done.stdout
    assert "by AWS from its on-demand backup of 20" in done.stdout
    assert kept in done.stdout
    put(local_aws, [orders()[0] | {"price": {"N": "7"}}])
    later = backed_up(local_aws, "later")
    told = tablekeep("restore", backup, "--to-table", "third", "--path", "backup", "--backup-arn", later)
    assert told.returncode == 3, "UNVERIFIED"
    assert "UNVERIFIED: compared with the backup set of 20" in told.stdout
    assert "1 different" in told.stdout
    assert "price" in told.stdout, "which attribute"
    assert "customer-0" not in told.stdout
    refused = tablekeep("restore", backup, "--to-table", "fourth", "--backup-arn", later)
    assert refused.returncode == 2
    assert "give --path backup with it" in refused.stderr


def test_a_drill_of_it_and_a_restore_test_of_aws_backup(backup: str, local_aws: Any) -> None:
    backed_up(local_aws)
    done = tablekeep("drill", "orders", "--backups", ROOT, "--path", "backup")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("PASSED", "on-demand backup of 20", "compared with the set", "nothing is left"):
        assert part in done.stdout, part
    point = recovery_point(local_aws)
    job = restore_test(local_aws, point)["RestoreJobId"]
    told = tablekeep("drill", "orders", "--backups", ROOT, "--restore-testing-plan", PLAN)
    assert told.returncode == 0, told.stdout + told.stderr
    for part in ("PASSED", "is AWS Backup's, which removes it by itself", "was told SUCCESSFUL: tablekeep: 40 items"):
        assert part in told.stdout, part
    late = tablekeep(
        "drill", "orders", "--backups", ROOT, "--restore-job", job, "--max-duration", "2h", "--rpo", "1s", "--json"
    )
    assert late.returncode == 1
    assert json.loads(late.stdout)["restore_job"] == job
    assert json.loads(late.stdout)["problems"][0].startswith("RPO missed")
    assert tablekeep("drill", "orders", "--backups", ROOT, "--restore-job", "none").returncode == 2


def test_the_sweeper_names_what_it_leaves_alone(backup: str, local_aws: Any) -> None:
    make_table(local_aws, "tablekeep-drill-by-hand", [])
    told = tablekeep("sweep", "--backups", ROOT, "--confirm")
    assert told.returncode == 0
    assert "LEFT ALONE tablekeep-drill-by-hand: it carries no mark of a drill" in told.stdout
    assert "tablekeep-drill-by-hand" in local_aws.client("dynamodb").list_tables()["TableNames"]
    document = json.loads(tablekeep("sweep", "--json").stdout)
    assert [one["table"] for one in document["left_alone"]] == ["tablekeep-drill-by-hand"]
