"""`tablekeep run` and `tablekeep plan run`: steps of pipelines without Airflow, as a person uses them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import tablekeep
from tests.engine.steps.test_script import running
from tests.tables import BUCKET, ROOT, make_bucket

SQL = """
version: 1
kind: sql
schedule: "0 2 * * *"
conn_id: analytics_pg
file: totals.sql
parameters: {day: "{{ window_start:%Y-%m-%d }}", n: 7}
before: [{kind: script, name: tell, script: tell.sh, arguments: ["{{ as_of:%H }}"]}]
after: [{kind: aws-call, name: mark, service: s3, method: put_object, parameters: {Bucket: BUCKET, Key: done, Body: x}}]
""".replace("BUCKET", BUCKET)
ORDERS = f"""
version: 1
table: orders
backup: {{to: "{ROOT}", after: [{{kind: sql, name: note, conn_id: analytics_pg, sql: "INSERT INTO totals VALUES (:m, 1)", parameters: {{m: "{{{{ manifest }}}}"}}}}]}}
"""


@pytest.fixture
def folder(local_aws: Any, postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PYTHONPATH", "plugins")
    monkeypatch.setenv("TABLEKEEP_ALLOW_SCRIPTS", "true")
    monkeypatch.setenv("TABLEKEEP_PIPELINES", str(tmp_path / "pipelines"))
    monkeypatch.setenv("AIRFLOW_CONN_ANALYTICS_PG", postgres.create_database("run"))
    for name in ("pipelines", "sql", "scripts"):
        (tmp_path / name).mkdir()
    (tmp_path / "sql" / "totals.sql").write_text(
        "-- each night\nDELETE FROM totals WHERE day = :day;\nINSERT INTO totals VALUES (:day, :n)\n"
    )
    (tmp_path / "scripts" / "tell.sh").write_text('#!/bin/sh\necho "hello $1 $TABLEKEEP_PIPELINE"\n')
    (tmp_path / "pipelines" / "totals.yaml").write_text(SQL)
    (tmp_path / "pipelines" / "orders.yaml").write_text(ORDERS)
    with postgres.connect("run") as connection:
        connection.execute("CREATE TABLE totals (day text, n int)")
    make_bucket(local_aws)
    yield tmp_path
    postgres.drop_database("run")


def rows(postgres: Any) -> list[tuple[Any, ...]]:
    with postgres.connect("run") as connection:
        return list(connection.execute("SELECT * FROM totals").fetchall())


def test_a_pipeline_of_steps_is_planned_and_run(folder: Path, postgres: Any, local_aws: Any) -> None:
    planned = tablekeep("plan", "run", "totals", "--as-of", "2026-11-23T02:00:00Z")
    assert planned.returncode == 0, planned.stderr
    for words in (
        "before.tell",
        "tell.sh {{ as_of:%H }}",
        "TABLEKEEP_WINDOW_START",
        "totals.sql (postgres)",
        "INSERT",
        "day, n",
        "s3.PutObject",
    ):
        assert words in planned.stdout
    assert rows(postgres) == []
    done = tablekeep("run", "totals", "--as-of", "2026-11-23T02:00:00Z", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [one["address"] for one in document["steps"]] == ["before.tell", "run", "after.mark"]
    assert document["steps"][1]["statements"] == [
        {"line": 2, "does": "DELETE", "rows": 0}, {"line": 3, "does": "INSERT", "rows": 1},
    ]  # fmt: skip
    assert document["steps"][2]["call"] == "s3.put_object"
    assert rows(postgres) == [("2026-11-22", 7)]
    assert [one["Key"] for one in local_aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]] == ["done"]
    again = tablekeep("run", "totals", "--as-of", "2026-11-23T02:00:00Z")
    assert "hello 02 totals" in again.stderr
    assert "done in" in again.stdout
    assert rows(postgres) == [("2026-11-22", 7)]


def test_one_step_of_a_table_s_pipeline_is_run_by_its_address(folder: Path, postgres: Any) -> None:
    whole = tablekeep("run", "orders")
    assert whole.returncode == 2
    assert "whose verbs are commands of their own" in whole.stderr
    assert "backup.after.note" in whole.stderr
    assert "there: backup.after.note" in tablekeep("run", "orders", "--step", "backup.after.nothing").stderr
    without = tablekeep("run", "orders", "--step", "backup.after.note")
    assert without.returncode == 2
    assert "this step has to do with no backup" in without.stderr
    assert (
        tablekeep("run", "orders", "--step", "backup.after.note", "--manifest", "s3://b/manifest.json").returncode == 0
    )
    assert rows(postgres) == [("s3://b/manifest.json", 1)]


def test_what_cannot_be_done_is_said_before_anything_is_done(
    folder: Path, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "pipelines" / "totals.yaml").write_text(SQL.replace("put_object", "put_objects"))
    failed = tablekeep("run", "totals", "--json")
    assert failed.returncode == 2
    assert "did you mean put_object?" in json.loads(failed.stdout)["why"]
    assert rows(postgres) == []
    (folder / "pipelines" / "totals.yaml").write_text(SQL)
    monkeypatch.delenv("TABLEKEEP_ALLOW_SCRIPTS")
    refused = tablekeep("run", "totals")
    assert refused.returncode == 2
    assert "TABLEKEEP_ALLOW_SCRIPTS=true" in refused.stderr
    assert rows(postgres) == []


def test_what_is_required_is_waited_for_unless_told_otherwise(folder: Path, postgres: Any) -> None:
    require = f"require: {{within: 1s, key_exists: ['s3://{BUCKET}/in/{{{{ as_of:%Y }}}}']}}\n"
    (folder / "pipelines" / "totals.yaml").write_text(SQL + require)
    waited = tablekeep("run", "totals")
    assert waited.returncode == 1
    assert "after 1 s there was not the object s3://" in waited.stderr
    assert rows(postgres) == []
    assert tablekeep("run", "totals", "--no-wait").returncode == 0


def test_a_failed_script_and_ctrl_c_end_as_they_should(folder: Path) -> None:
    (folder / "scripts" / "tell.sh").write_text("#!/bin/sh\necho what happened; exit 3\n")
    failed = tablekeep("run", "totals")
    assert failed.returncode == 1
    assert "what happened" in failed.stderr
    assert "it ended with exit code 3" in failed.stderr
    mark = f"7{os.getpid()}"
    (folder / "scripts" / "tell.sh").write_text(f"#!/bin/sh\necho started; sleep {mark}\n")
    process = subprocess.Popen([sys.executable, "-m", "tablekeep", "run", "totals"], stderr=subprocess.PIPE, text=True)
    assert process.stderr
    while "started" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(20) == 130
    assert "a script was killed with all that it had started" in said
    assert running(f"sleep {mark}", 0)
