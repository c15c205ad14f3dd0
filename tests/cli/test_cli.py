"""The command line as a person uses it: real processes against the stand-in; exit codes, JSON, and errors in one line."""

import contextlib
import functools
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.dynamodb.models import dynamodb_backends

from local_aws.dynamodb.history import log_of
from local_aws.dynamodb.recovery import SINCE
from tablekeep.engine.backups.s3 import S3Store
from tests.engine.export.test_native import FOLDER, written
from tests.tables import BUCKET, ROOT, clients, make_bucket, make_table, orders


def tablekeep(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tablekeep", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def aws(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", "plugins")
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return local_aws


def test_the_way_from_export_to_compare(aws: Any) -> None:
    exported = tablekeep("export", "--table", "orders", "--to", ROOT, "--segments", "2", "--json")
    assert exported.returncode == 0, exported.stderr
    report = json.loads(exported.stdout)
    assert report["verified"] is True
    assert {"backup", "items", "bytes", "content_hash", "seconds"} <= report.keys()
    backup = report["backup"]
    listed = json.loads(tablekeep("list", ROOT, "--json").stdout)
    assert [one["backup"] for one in listed["backups"]] == [backup]
    assert listed["backups"][0]["verified"]["level"] == "full"
    for level, code in (("list", 3), ("checksum", 3), ("full", 0)):
        assert tablekeep("verify", backup, "--level", level).returncode == code
    shown = tablekeep("show", backup)
    assert shown.returncode == 0
    assert "UNSIGNED" in shown.stdout
    assert "customer-" not in shown.stdout
    assert tablekeep("restore", backup, "--to-table", "again", "--quiet").returncode == 0
    assert tablekeep("compare", "again", backup).returncode == 0
    aws.client("dynamodb").delete_item(TableName="again", Key={"pk": {"S": "customer-1"}, "sk": {"N": "1"}})
    different = tablekeep("compare", "again", backup, "--json")
    assert different.returncode == 1
    assert json.loads(different.stdout)["right_only"] == 1
    assert "customer" not in different.stdout
    assert tablekeep("export", "--table", "orders", "--to", ROOT, "--no-verify").returncode == 3


def test_increments_and_what_they_give_merged(aws: Any) -> None:
    client = aws.client("dynamodb")
    client.update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    now = datetime.now(UTC)
    log = dynamodb_backends["123456789012"]["us-east-1"].get_table("orders")
    log.__dict__[SINCE] = now - timedelta(days=2)
    for at, write in enumerate(log_of(log)):
        log_of(log)[at] = replace(write, at=now - timedelta(days=1))
    begun = f"{now - timedelta(hours=20):%Y-%m-%dT%H:%M:%SZ}"
    common = ("--table", "orders", "--to", ROOT)
    assert tablekeep("export", *common, "--engine", "pitr", "--as-of", begun).returncode == 0
    client.put_item(TableName="orders", Item={"pk": {"S": "new"}, "sk": {"N": "1"}})
    time.sleep(1.1)  # the service's windows end at full seconds
    made = tablekeep("export", *common, "--incremental")
    assert made.returncode == 0, made.stderr
    assert "changes       1 in 1 parts" in made.stdout
    shown = tablekeep("show", made.stdout.split()[1]).stdout
    assert "follows" in shown
    assert "tablekeep merge" in shown
    listed = json.loads(tablekeep("list", ROOT, "--json").stdout)["backups"]
    assert [one["kind"] for one in listed] == ["incremental", "full"]
    merged = tablekeep("merge", ROOT, "--table", "orders", "--json")
    assert merged.returncode == 0, merged.stdout
    document = json.loads(merged.stdout)
    assert (document["items"], document["verified"], document["boundary"]) == (41, True, 0)
    assert tablekeep("compare", "orders", document["backup"]).returncode == 0
    fresh = json.loads(tablekeep("export", *common, "--engine", "pitr", "--json").stdout)
    told = tablekeep("merge", ROOT, "--table", "orders", "--as-of", document["as_of"], "--confirm", fresh["backup"])
    assert "confirmed" in told.stdout
    assert told.returncode == 0, told.stdout
    refused = tablekeep("restore", listed[0]["backup"], "--to-table", "again")
    assert refused.returncode == 2
    assert "tablekeep merge" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("export", "--table", "orders", "--to", ROOT, "--incremental"), "no full backup"),
        (("export", "--table", "orders", "--to", ROOT, "--incremental", "--engine", "scan"), "--incremental is given"),
        (
            ("export", "--table", "orders", "--to", ROOT, "--incremental", "--max-rcu", "5"),
            "reads nothing from the table",
        ),
        (("merge", ROOT, "--table", "orders"), "there are none there"),
        (("merge", ROOT, "--table", "no/table"), "reading the table name"),
        (("export", "--table", "nowhere", "--to", ROOT), "no such table"),
        (("export", "--table", "orders", "--to", "s3://not-a-bucket-here"), "no such bucket"),
        (
            (
                "restore",
                f"{ROOT}/v1/123456789012/us-east-1/dynamodb/orders/20200101T000000Z-00000000/manifest.json",
                "--to-table",
                "abc",
            ),
            "no backup",
        ),
        (("verify", "s3://x/y"), "s3://"),
        (("list", "nowhere"), "s3://"),
        (("export", "--table", "orders"), "--to"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_bad_input_is_one_clear_error_and_exit_code_2(aws: Any, arguments: tuple[str, ...], why: str) -> None:
    done = tablekeep(*arguments, *(["--json"] if arguments[0] == "list" else []))
    assert done.returncode == 2
    assert why in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_engine_and_the_command_line_never_import_airflow() -> None:
    code = (
        "import sys, pkgutil, importlib; sys.modules['airflow'] = None; import tablekeep.engine, tablekeep.cli\n"
        "for package in (tablekeep.engine, tablekeep.cli):\n"
        "    for one in pkgutil.walk_packages(package.__path__, package.__name__ + '.'): importlib.import_module(one.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": "plugins"},
    )
    assert done.returncode == 0, done.stderr


def test_an_export_that_was_stopped_goes_on_with_resume(aws: Any) -> None:
    make_table(aws, "big", [{**item, "pad": {"S": "x" * 300_000}} for item in orders(14)])
    begin = [sys.executable, "-m", "tablekeep", "export", "--table", "big", "--to", ROOT, "--segments", "1"]
    # who runs the tests in the background may have had the shell ignore Ctrl-C for all that comes after
    heeding = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    slow = subprocess.Popen([*begin, "--max-rcu", "60"], stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    assert slow.stderr
    store = S3Store(clients(), BUCKET)
    while slow.poll() is None and not any("/_state/plan-" in info.key for info in store.list("backups")):
        time.sleep(0.05)
    while (
        slow.poll() is None
    ):  # Python drops a Ctrl-C that comes in the middle of a finaliser; a person presses it again
        slow.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            slow.wait(2)
    rest = slow.stderr.read()
    assert slow.returncode == 130
    assert "--resume goes on" in rest
    done = tablekeep(*begin[3:], "--max-rcu", "60", "--resume", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["resumed"]
    assert report["items"] == 14
    assert tablekeep(*begin[3:], "--resume").returncode == 2
    assert tablekeep(*begin[3:], "--workers", "0").returncode == 2
    both = tablekeep(*begin[3:], "--workers", "2", "--read-budget", "50%")
    assert both.returncode == 0, both.stderr
    assert "50% of" in both.stderr


def test_import_set(aws: Any) -> None:
    written(aws, "gone")
    source = f"s3://{BUCKET}/{FOLDER}"
    refused = tablekeep("import-set", source, "--to", ROOT, "--key", "pk:X")
    assert refused.returncode == 2
    assert "--key customer:S,order_no:N" in refused.stderr
    done = tablekeep("import-set", source, "--to", ROOT, "--key", "pk:S,sk:N", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verified"]
    assert report["items"] == 40
    assert tablekeep("restore", report["backup"], "--to-table", "back", "--quiet").returncode == 0
    assert tablekeep("compare", "back", report["backup"]).returncode == 0
    assert tablekeep("import-set", source, "--to", ROOT, "--key", "pk:S,sk:N", "--no-verify").returncode == 3


def test_plan(aws: Any) -> None:
    arguments = ("plan", "export", "--table", "orders", "--to", ROOT)
    said = tablekeep(*arguments, "--max-rcu", "50")
    assert said.returncode == 0, said.stderr
    assert "50 RCU a second" in said.stdout
    assert "not known" in said.stdout
    refused = tablekeep(*arguments, "--engine", "pitr", "--json")
    assert refused.returncode == 2
    assert "recovery is off" in json.loads(refused.stdout)["problems"][0]
