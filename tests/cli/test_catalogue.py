"""`list --service`: our sets and what AWS keeps, in one list, each with its age, and both judged by the objective."""

import json
from datetime import timedelta
from typing import Any

import botocore.exceptions
import pytest

from local_aws.server import switch
from tablekeep.cli.catalogue import objectives_of_aws
from tablekeep.cli.command import run
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb import native
from tests.local_aws.test_aws_backup import recovery_point
from tests.local_aws.test_ondemand import backed_up
from tests.past import recovery
from tests.tables import ROOT, export, make_bucket, make_table, orders, verify


@pytest.fixture
def aws(local_aws: Any) -> Any:
    """A table of three days ago with everything that AWS can keep of it, and a verified set of now."""
    make_bucket(local_aws)
    moment = SystemClock().now().replace(microsecond=0) - timedelta(days=3)
    switch(local_aws.endpoint, "dynamodb", {"now": moment.isoformat()})
    make_table(local_aws, "orders", orders(3))
    backed_up(local_aws)
    recovery_point(local_aws)
    switch(local_aws.endpoint, "dynamodb", {"now": ""})
    verify(export("orders").backup)
    return local_aws


def listed(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    code = run(["list", ROOT, *more, "--quiet"])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_one_list_with_ages_and_both_judged(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, "--rpo", "26h")[0] == 0, "without --service our sets alone are judged"
    code, out, err = listed(capsys, "--rpo", "26h", "--service")
    assert code == 1
    assert "RPO MISSED orders: the newest that AWS could restore by itself (" in err
    assert "is 72.0 hours old" in err
    lines = [line.split("  ")[0] + line for line in out.splitlines()[1:]]
    assert len(lines) == 3
    for part in ("backup set, full", "on-demand backup", "AWS Backup recovery point", "3 d OVER", "full, "):
        assert part in out, part
    recovery(aws, True)
    code, out, err = listed(capsys, "--rpo", "26h", "--service")
    assert (code, err) == (0, ""), "the newest of any kind that AWS could restore counts"
    assert "point-in-time recovery" in out
    document = json.loads(listed(capsys, "--rpo", "26h", "--service", "--json")[1])
    assert [(one["of"], one["missed"]) for one in document["objectives"]] == [("backup sets", False), ("AWS", False)]
    assert {one["kind"] for one in document["service"]} == {
        "point-in-time recovery", "on-demand backup", "AWS Backup recovery point"
    }  # fmt: skip
    assert {one["kind"]: one["within"] for one in document["service"]}["on-demand backup"] is False
    assert document["backups"][0]["within"] is True


def test_exports_are_listed_and_count_for_nothing(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    recovery(aws, True)
    moment = SystemClock().now().replace(microsecond=0) + timedelta(seconds=1)
    switch(aws.endpoint, "dynamodb", {"now": moment.isoformat()})
    export("orders", engine="pitr", as_of=moment)
    switch(aws.endpoint, "dynamodb", {"now": ""})
    document = json.loads(listed(capsys, "--service", "--json")[1])
    (one,) = [one for one in document["service"] if one["kind"] == "export to S3"]
    assert one["to"] == moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert (one["restorable"], one["within"]) == (False, None)
    assert objectives_of_aws([one], ["orders"], 3600.0)[0]["missed"]


def test_what_is_not_told_is_said_and_a_table_that_is_gone_still_has_its_backups(
    aws: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    recovery(aws, True)
    aws.client("dynamodb").delete_table(TableName="orders")
    _, out, _ = listed(capsys, "--service")
    assert "backup of a deleted table" in out
    code, out, err = listed(capsys, "--table", "nowhere", "--service", "--rpo", "1h")
    assert code == 1
    assert "none is verified" in err
    assert "AWS keeps nothing that it could restore by itself, or does not tell" in err


def test_what_was_refused_is_not_known_and_does_not_pass_for_nothing(
    aws: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*given: Any) -> Any:
        answer = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
        raise botocore.exceptions.ClientError(answer, "ListBackups")  # type: ignore[arg-type]

    for name in ("_backups", "_recovery_points"):
        monkeypatch.setattr(native, name, refused)
    code, out, err = listed(capsys, "--service", "--rpo", "26h")
    assert code == 1
    assert out.count("NOT KNOWN: AccessDeniedException") == 2
    assert "or does not tell" in err
