"""Steps, preconditions and notices in pipeline files: what is taken, and what is wrong with its line, before anything runs."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.config.kinds.emr_step import EmrStepPipeline
from tablekeep.engine.config.kinds.sql import SqlPipeline
from tablekeep.engine.config.load import Loaded, find_pipeline, load_folder
from tablekeep.engine.config.steps import stepped_sections

SQL = "version: 1\nkind: sql\nschedule: '0 2 * * *'\nconn_id: db\nsql: 'SELECT :a'\nparameters: {a: '{{ window_start }}'}\n"
TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("pipelines", "sql", "scripts"):
        (tmp_path / name).mkdir()
    (tmp_path / "sql" / "good.sql").write_text("SELECT :a")
    (tmp_path / "sql" / "open.sql").write_text("SELECT 'a")
    (tmp_path / "scripts" / "tell.sh").write_text("#!/bin/sh\n")
    return tmp_path / "pipelines"


def load(folder: Path, text: str) -> Loaded:
    (folder / "x.yaml").write_text(text)
    return load_folder(folder, environment="")


def said(loaded: Loaded) -> str:
    return "\n".join(str(problem) for problem in loaded.problems)


EVERYTHING = """
version: 1
table: orders
backup:
  to: s3://acme-backups/x
  schedule: "0 2 * * *"
  before:
    - {kind: sql, name: one, redshift: {cluster: dwh, database: prod, db_user: loader}, file: good.sql, parameters: {a: "{{ window_end:%Y }}"}}
    - {kind: script, name: two, script: tell.sh, arguments: [1, b], inputs: ["s3://acme-in/{{ as_of:%Y }}"], outputs: [s3://acme-out], timeout: 5m}
  after: [{kind: aws-call, name: three, service: sns, method: publish, parameters: {TopicArn: t, Message: "{{ manifest }}"}, region: eu-west-1}]
copies:
  - {name: pg, to: postgres, conn_id: a, table: t, before: [{kind: sql, name: one, conn_id: db, sql: SELECT 1}]}
require: {within: 30m, table_exists: [orders], table_has_data: [lines], key_exists: ["s3://acme-in/{{ window_start:%Y/%m }}/x"], prefix_not_empty: [s3://acme-in]}
on_fail: TOPIC
on_success: {topic: "TOPIC", subject: "{{ pipeline }}"}
late_after: 2h
on_late: TOPIC
""".replace("TOPIC", TOPIC)


def test_everything_that_may_be_said(folder: Path) -> None:
    loaded = load(folder, EVERYTHING)
    assert said(loaded) == ""
    (one,) = loaded.pipelines
    assert one.include == folder.parent
    assert {path for path, section in stepped_sections(one) if section.before or section.after} == {
        "backup",
        "copies.pg",
    }
    assert one.on_fail is not None
    assert one.on_success is not None
    assert one.require is not None
    assert (one.on_fail.topic, one.on_success.subject, one.late_after) == (TOPIC, "{{ pipeline }}", timedelta(hours=2))
    assert one.require.requirements == [
        ("table_exists", "orders"),
        ("table_has_data", "lines"),
        ("key_exists", "s3://acme-in/{{ window_start:%Y/%m }}/x"),
        ("prefix_not_empty", "s3://acme-in"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{{ window_start }}", "{{ ds }}", "x.yaml:6: parameters.a: {{ ds }} is not known: there is pipeline, step"),
        ("{{ window_start }}", "{{ pipeline:%Y }}", "and a format after a time"),
        ("{{ window_start }}", "{{ manifest }}", "{{ manifest }} is not known here"),
        ("schedule: '0 2 * * *'\n", "", "{{ window_start }} needs a schedule, and there is none here"),
        ("conn_id: db", "conn_id: db\nredshift: {workgroup: dwh, database: d}", "give either conn_id (PostgreSQL, MySQL) or redshift"),
        ("conn_id: db", "redshift: {workgroup: dwh, cluster: c, database: d}", "x.yaml:4: redshift: give either workgroup or cluster"),
        ("sql: 'SELECT :a'", "sql: SELECT 1\nfile: good.sql", "give either sql or file"),
        ("sql: 'SELECT :a'", "file: missing.sql", "x.yaml:5: file: there is no such file below"),
        ("sql: 'SELECT :a'", "file: ../pipelines/x.yaml", "file: it does not lie below sql/"),
        ("sql: 'SELECT :a'", "file: open.sql", "x.yaml:5: file: ' in line 1 is not closed"),
        ("sql: 'SELECT :a'", "sql: 'SELECT :a, :b'", "x.yaml:5: sql: :b in line 1 is no parameter (given: a)"),
        ("sql: 'SELECT :a'", "sql: SELECT 1", "sql: no statement uses the parameter a"),
        ("sql: 'SELECT :a'", "sql: 'COMMIT'", "sql: line 1 begins with COMMIT"),
        ("sql: 'SELECT :a'", "sql: \"SELECT '{{ as_of }}', :a\"", "nothing is filled into SQL: write :as_of there"),
        ("parameters: {a", "parameters: {a-b", "parameters.a-b"),
        ("kind: sql", "kind: sql\ntables: [a]", "tables: this key is not known"),
        ("kind: sql", "kind: sql\nlate_after: 2h", "late_after and on_late go together"),
        ("kind: sql", "kind: sql\nrequire: {within: 2h}", "x.yaml:3: require: it requires nothing"),
        ("kind: sql", "kind: sql\nrequire: {key_exists: [acme-in/x]}", "require.key_exists[0]: it does not begin with s3://"),
        ("kind: sql", "kind: sql\non_fail: nobody", "on_fail: it must be an SNS topic's ARN"),
        ("kind: sql", "kind: sql\non_fail: {subject: x}", "on_fail.topic: this key is required"),
        ("kind: sql", "kind: sql\nbefore: [{kind: sql, name: a}]", "before[0]: give either sql or file"),
        ("kind: sql", "kind: sql\nbefore: [{kind: emr-step, name: a}]", "before[0]: it must be sql, script or aws-call"),
        ("kind: sql", "kind: sql\nbefore: [{kind: script, name: a, scrpt: b}]", "before[0].scrpt: this key is not known; did you mean script?"),
        ("kind: sql", "kind: sql\nbefore: [{kind: script, name: a, script: no.sh}]", "before[0].script: there is no such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(folder: Path, old: str, new: str, expected: str) -> None:
    assert old in SQL
    loaded = load(folder, SQL.replace(old, new))
    assert expected in said(loaded)
    assert not loaded.pipelines
    assert loaded.bad[0].lead == "run"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{{ window_end:%Y }}", "{{ manifest }}", "backup: before it there is no {{ manifest }}"),
        ('"0 2 * * *"', "null", "{{ window_end }} needs a schedule"),
        ("name: two", "name: one", "backup: two steps have the name one"),
        ("sql: SELECT 1}", "sql: 'SELECT :x', parameters: {x: '{{ window_start }}'}}", "copies[0]: {{ window_start }} needs a schedule"),
        ("{{ window_start:%Y/%m }}", "{{ manifest }}", "require: before the pipeline begins there is no {{ manifest }}"),
    ],
)  # fmt: skip
def test_what_a_step_cannot_know_is_refused(folder: Path, old: str, new: str, expected: str) -> None:
    assert old in EVERYTHING
    assert expected in said(load(folder, EVERYTHING.replace(old, new)))


def test_what_has_no_time_is_never_late(folder: Path) -> None:
    text = SQL.replace("schedule: '0 2 * * *'\n", "").replace("{{ window_start }}", "x")
    assert "late_after needs a schedule" in said(load(folder, f"{text}late_after: 2h\non_late: {TOPIC}\n"))


def test_what_either_database_would_take_is_not_refused(folder: Path) -> None:
    """Which database a connection leads to is not in the file."""
    for text in ("SELECT `a;b`, :a", "SELECT $$ a;b ' $$, :a", "TRUNCATE t; INSERT INTO t VALUES (:a)"):
        loaded = load(folder, SQL.replace("sql: 'SELECT :a'", "sql: |\n  " + text))
        assert said(loaded) == "", text
        assert find_pipeline(loaded, "x", SqlPipeline).sql


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cluster: j-2AX\nnew_cluster: {release: emr-7.9.0}", "give either cluster or new_cluster"),
        ("cluster: my-cluster", "cluster: "),
        ("new_cluster: {release: 7.9}", "new_cluster.release: it must be text"),
        ("new_cluster: {release: emr-7.9.0, settings: {Tags: ['{{ ds }}']}}", "{{ ds }} is not known"),
    ],
)
def test_clusters(folder: Path, text: str, expected: str) -> None:
    assert expected in said(load(folder, f"version: 1\nkind: emr-step\n{text}\n"))
    good: Any = find_pipeline(load(folder, "version: 1\nkind: emr-step\ncluster: j-2AX\n"), "x", EmrStepPipeline)
    assert (good.jar, good.timeout) == ("command-runner.jar", timedelta(hours=12))
