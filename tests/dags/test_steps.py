"""Steps, preconditions and notices in whole DAGs, run by `dag.test()` against real databases and the stand-in."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymysql
import pytest
from moto.backends import get_backend

from tablekeep.dag_notices import Tell, tell_late
from tests.dags.conftest import HOME
from tests.tables import BUCKET, ROOT, make_bucket, make_table, orders

SQL = """
version: 1
kind: sql
owner: shop-team
schedule: "0 2 * * *"
conn_id: analytics_pg
file: totals.sql
parameters: {day: "{{ window_start:%Y-%m-%d }}", n: 7}
"""


def state(run: Any) -> str:
    return str(run.state)


def tasks(run: Any) -> dict[str, str]:
    return {one.task_id: str(one.state) for one in run.get_task_instances()}


@pytest.fixture
def project(local_aws: Any, pipelines: Any, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty database with the table totals, a bucket, and folders for SQL and scripts; scripts are allowed."""
    make_bucket(local_aws)
    monkeypatch.setenv("AIRFLOW_CONN_ANALYTICS_PG", postgres.create_database("steps"))
    monkeypatch.setenv("TABLEKEEP_ALLOW_SCRIPTS", "true")
    include = pipelines().parent
    (include / "sql").mkdir()
    (include / "scripts").mkdir()
    (include / "sql" / "totals.sql").write_text(
        "DELETE FROM totals WHERE day = :day;\nINSERT INTO totals VALUES (:day, :n)\n"
    )
    with postgres.connect("steps") as connection:
        connection.execute("CREATE TABLE totals (day text, n int)")
    yield postgres
    postgres.drop_database("steps")


def rows(project: Any, table: str = "totals") -> list[tuple[Any, ...]]:
    with project.connect("steps") as connection:
        return list(connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall())


def script(pipelines: Any, name: str, text: str) -> None:
    path = pipelines().parent / "scripts" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_night_of_sql(project: Any, pipelines: Any, dags: Any) -> None:
    pipelines(totals=SQL)
    dag = dags()["run__totals"]
    assert {"tablekeep", "run", "sql:totals"} <= set(dag.tags)
    for _ in range(2):
        assert state(dag.test(logical_date=datetime(2026, 11, 23, 2, 0, tzinfo=UTC))) == "success"
    assert rows(project) == [("2026-11-22", 7)]


def test_a_refused_statement_is_red_and_changes_nothing(project: Any, pipelines: Any, dags: Any) -> None:
    pipelines(totals=SQL)
    (pipelines().parent / "sql" / "totals.sql").write_text(
        "INSERT INTO totals VALUES (:day, :n);\nINSERT INTO nowhere VALUES (1)"
    )
    assert tasks(dags()["run__totals"].test()) == {"run": "failed"}
    assert rows(project) == []


STEPPED = f"""
version: 1
table: orders
region: us-east-1
backup:
  to: {ROOT}
  before:
    - {{kind: sql, name: open, conn_id: analytics_pg, sql: "INSERT INTO totals VALUES ('before', 1)"}}
    - {{kind: script, name: look, script: tell.sh, arguments: [before, 5]}}
  after:
    - {{kind: sql, name: close, conn_id: analytics_pg, sql: "INSERT INTO totals VALUES (:m, 2)", parameters: {{m: "{{{{ manifest }}}}"}}}}
    - {{kind: script, name: tell, script: tell.sh, arguments: ["{{{{ manifest }}}}"]}}
    - {{kind: aws-call, name: mark, service: s3, method: put_object, parameters: {{Bucket: {BUCKET}, Key: "done/{{{{ as_of:%Y }}}}", Body: x}}}}
copies:
  - name: analytics
    to: postgres
    conn_id: analytics_pg
    table: public.orders
    after: [{{kind: sql, name: grant, conn_id: analytics_pg, sql: "INSERT INTO totals SELECT 'copied', count(*) FROM orders"}}]
verify: {{after: [{{kind: sql, name: note, conn_id: analytics_pg, sql: "INSERT INTO totals VALUES (:m, 3)", parameters: {{m: "{{{{ manifest }}}}"}}}}]}}
drill:
  before: [{{kind: sql, name: start, conn_id: analytics_pg, sql: "INSERT INTO totals VALUES ('drill', 4)"}}]
  after: [{{kind: sql, name: note, conn_id: analytics_pg, sql: "INSERT INTO totals VALUES (:m, 5)", parameters: {{m: "{{{{ manifest }}}}"}}}}]
"""


def test_steps_run_before_and_after_each_verb_and_know_its_backup(
    project: Any, pipelines: Any, dags: Any, local_aws: Any, tmp_path: Path
) -> None:
    make_table(local_aws, "orders", orders(5))
    said = tmp_path / "said"
    script(pipelines, "tell.sh", f'echo "$TABLEKEEP_STEP $* $TABLEKEEP_MANIFEST" >> {said}')
    pipelines(orders=STEPPED)
    found = dags()
    night = found["backup__orders"].test()
    assert tasks(night) == {
        "before.open": "success", "before.look": "success", "plan": "success", "backup": "success", "verify": "success",
        "publish": "success", "after.close": "success", "after.tell": "success", "after.mark": "success",
    }  # fmt: skip
    ends = {one.task_id: (one.start_date, one.end_date) for one in night.get_task_instances()}
    assert ends["before.open"][1] <= ends["before.look"][0] <= ends["plan"][0]
    assert ends["verify"][1] <= ends["after.close"][0]
    (manifest,) = [
        f"s3://{BUCKET}/{one['Key']}"
        for one in local_aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
        if one["Key"].endswith("manifest.json")
    ]
    assert rows(project) == sorted([("before", 1), (manifest, 2)])
    assert said.read_text().splitlines() == ["look before 5 ", f"tell {manifest} {manifest}"]
    assert local_aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="done/")["KeyCount"] == 1
    for dag_id in ("copy__orders__analytics", "verify__orders", "drill__orders"):
        assert state(found[dag_id].test()) == "success", dag_id
    assert rows(project) == sorted(
        [("before", 1), (manifest, 2), ("copied", 5), (manifest, 3), ("drill", 4), (manifest, 5)]
    )


@pytest.mark.parametrize(("merge", "last"), [("false", "verify"), ("true", "merge")])
def test_tables_of_sql_take_steps_too(project: Any, pipelines: Any, dags: Any, merge: str, last: str) -> None:
    steps = "before: [{kind: sql, name: a, conn_id: x, sql: SELECT 1}], after: [{kind: sql, name: b, conn_id: x, sql: SELECT 1}]"
    mode = f"mode: {{full_every: 7d, column: day, merge: {merge}}}"
    pipelines(
        totals=f"version: 1\nkind: rds\nconn_id: analytics_pg\ntable: public.totals\nbackup: {{to: '{ROOT}', {mode}, {steps}}}\n"
        f"verify: {{{steps}}}\ncopies: [{{name: pg, to: postgres, conn_id: a, table: t, {steps}}}]\n"
        "require: {table_exists: [orders]}\n"
    )
    found = dags()
    ends = {
        "backup__totals": ("backup", last),
        "verify__totals": ("verify", "verify"),
        "copy__totals__pg": ("copy", "copy"),
    }
    for dag_id, (first, end) in ends.items():
        dag = found[dag_id]
        assert dag.get_task("before.a").downstream_task_ids == {first}, dag_id
        assert end in dag.get_task("after.b").upstream_task_ids, dag_id
    assert found["backup__totals"].get_task("require").downstream_task_ids == {"before.a"}
    assert not found["verify__totals"].has_task("require")


def test_a_step_that_fails_before_keeps_the_backup_from_being_made(
    project: Any, pipelines: Any, dags: Any, local_aws: Any
) -> None:
    make_table(local_aws, "orders", orders(1))
    script(pipelines, "tell.sh", "exit 1")
    pipelines(orders=STEPPED)
    run = dags()["backup__orders"].test()
    assert state(run) == "failed"
    assert (tasks(run)["before.look"], tasks(run)["backup"]) == ("failed", "upstream_failed")
    assert local_aws.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_scripts_are_refused_where_the_deployment_does_not_allow_them(
    project: Any, pipelines: Any, dags: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(pipelines, "tell.sh", f"touch {tmp_path / 'was-run'}")
    pipelines(tell="version: 1\nkind: script\nscript: tell.sh\n")
    monkeypatch.delenv("TABLEKEEP_ALLOW_SCRIPTS")
    assert tasks(dags()["run__tell"].test()) == {"run": "failed"}
    assert not (tmp_path / "was-run").exists()
    monkeypatch.setenv("TABLEKEEP_ALLOW_SCRIPTS", "true")
    assert tasks(dags()["run__tell"].test()) == {"run": "success"}
    assert (tmp_path / "was-run").exists()


REQUIRE = (
    SQL
    + f"""
require:
  within: WITHIN
  table_has_data: [orders]
  key_exists: ["s3://{BUCKET}/in/{{{{ window_start:%Y-%m-%d }}}}/_SUCCESS"]
"""
)


def waiting(dag: Any, seconds: float = 0.1) -> Any:
    dag.get_task("require").poll_seconds = seconds
    return dag


def test_a_pipeline_waits_for_what_it_requires(project: Any, pipelines: Any, dags: Any, local_aws: Any) -> None:
    make_table(local_aws, "orders", orders(1))
    pipelines(totals=REQUIRE.replace("WITHIN", "1m"))
    put = threading.Timer(
        1.5, lambda: local_aws.client("s3").put_object(Bucket=BUCKET, Key="in/2026-11-22/_SUCCESS", Body=b"")
    )
    put.start()
    began = time.monotonic()
    run = waiting(dags()["run__totals"]).test(logical_date=datetime(2026, 11, 23, 2, 0, tzinfo=UTC))
    put.join()
    assert tasks(run) == {"require": "success", "run": "success"}
    assert time.monotonic() - began > 1


def test_what_does_not_come_is_red_and_named(
    project: Any, pipelines: Any, dags: Any, local_aws: Any, capfd: Any
) -> None:
    make_table(local_aws, "orders", [])
    pipelines(totals=REQUIRE.replace("WITHIN", "1s"))
    run = waiting(dags()["run__totals"]).test(logical_date=datetime(2026, 11, 23, 2, 0, tzinfo=UTC))
    assert tasks(run) == {"require": "failed", "run": "upstream_failed"}
    told = "".join(capfd.readouterr())
    assert "after 1 s there was not an item in the table orders, nor the object" in told
    assert rows(project) == []


@pytest.fixture
def topic(local_aws: Any) -> tuple[str, Callable[[], list[dict[str, str]]]]:
    """A topic, and what was published to it."""
    sns, sqs = local_aws.client("sns"), local_aws.client("sqs")
    arn = sns.create_topic(Name="ops")["TopicArn"]
    queue = sqs.create_queue(QueueName="ops")["QueueUrl"]
    address = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=address)

    def read() -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for one in messages:
                body = json.loads(one["Body"])
                found.append({"subject": body["Subject"], "message": body["Message"]})
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
        return found

    return arn, read


def test_people_are_told_of_failures_and_successes_in_their_words(
    project: Any, pipelines: Any, dags: Any, topic: Any
) -> None:
    arn, read = topic
    notices = f"on_fail: {arn}\non_success: {{topic: '{arn}', subject: '{{{{ pipeline }}}} is done', message: 'for {{{{ as_of:%d.%m.%Y }}}}'}}\n"
    pipelines(totals=SQL + notices)
    when = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    assert state(dags()["run__totals"].test(logical_date=when)) == "success"
    assert read() == [{"subject": "totals is done", "message": "for 23.11.2026"}]
    (pipelines().parent / "sql" / "totals.sql").write_text(
        "INSERT INTO totals SELECT :day, CAST('PL4NTED' AS int) + :n"
    )
    assert state(dags()["run__totals"].test(logical_date=when)) == "failed"
    (told,) = read()
    assert told["subject"] == "run__totals failed"
    assert told["message"].splitlines()[:5] == [
        "run__totals failed.",
        "",
        "pipeline: totals",
        "owner: shop-team",
        told["message"].splitlines()[4],
    ]
    assert "time: 2026-11-23T02:00:00Z" in told["message"]
    assert "last task: run" in told["message"]
    assert "PL4NTED" not in told["message"]


def test_a_topic_that_is_not_there_changes_nothing_about_the_run(
    project: Any, pipelines: Any, dags: Any, caplog: Any
) -> None:
    pipelines(totals=SQL + "on_success: arn:aws:sns:us-east-1:123456789012:gone\n")
    assert state(dags()["run__totals"].test()) == "success"
    assert "nobody was told by arn:aws:sns:us-east-1:123456789012:gone" in caplog.text


@pytest.mark.parametrize(
    ("run_type", "count"), [("scheduled", 1), ("manual", 0), ("backfill", 0), ("asset_triggered", 0)]
)
def test_only_scheduled_runs_are_late(topic: Any, run_type: str, count: int) -> None:
    arn, read = topic
    run = {
        "run_type": run_type,
        "dag_id": "run__totals",
        "dag_run_id": "r",
        "state": "queued",
        "logical_date": "2026-11-23T02:00:00Z",
    }
    words = Tell(arn, None, "{{ run }} at {{ as_of }}", "is late", "totals", "shop-team", "aws_default", "us-east-1")
    asyncio.run(tell_late(context={"dag_run": run}, **vars(words)))
    assert read() == [{"subject": "run__totals is late", "message": "run__totals/r at 2026-11-23T02:00:00Z"}] * count


def test_late_is_a_deadline_of_the_leading_dag_alone(project: Any, pipelines: Any, dags: Any, topic: Any) -> None:
    arn, _ = topic
    late = f"late_after: 90m\non_late: {arn}\n"
    pipelines(totals=SQL + late, orders=STEPPED.replace(f"to: {ROOT}", f'schedule: "0 2 * * *"\n  to: {ROOT}') + late)
    script(pipelines, "tell.sh", "true")
    found = dags()
    deadlines = {dag_id: dag.deadline for dag_id, dag in found.items() if dag.deadline}
    assert set(deadlines) == {"run__totals", "backup__orders"}
    for (deadline,) in deadlines.values():
        assert deadline.interval == timedelta(minutes=90)
        assert deadline.callback.path == "tablekeep.dag_notices.tell_late"


CALL = f"""
version: 1
kind: aws-call
service: s3
method: put_object
parameters: {{Bucket: {BUCKET}, Key: "nightly/{{{{ run }}}}", Body: hello}}
"""


def test_a_night_of_one_call(project: Any, pipelines: Any, dags: Any, local_aws: Any) -> None:
    pipelines(mark=CALL, wrong=CALL.replace("put_object", "put_objects"))
    found = dags()
    assert state(found["run__mark"].test()) == "success"
    (one,) = local_aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert one["Key"].startswith("nightly/run__mark/manual__")
    assert tasks(found["run__wrong"].test()) == {"run": "failed"}


EMR = """
version: 1
kind: emr-step
schedule: "0 3 * * *"
arguments: [spark-submit, "s3://acme/etl.py", "{{ window_start:%Y-%m-%d }}"]
"""
NEW = "new_cluster: {release: emr-7.9.0, core_count: 1, log_uri: 's3://acme/logs', applications: [Spark]}\n"


class Emr:
    """What happens to the stand-in's clusters while tasks wait."""

    def __init__(self, state: str) -> None:
        self._state, self._ended = state, threading.Event()
        self._thread = threading.Thread(target=self._work)

    @property
    def clusters(self) -> list[Any]:
        return list(get_backend("emr")["123456789012"]["us-east-1"].clusters.values())

    def _work(self) -> None:
        while not self._ended.wait(0.2):
            for cluster in self.clusters:
                for step in cluster.steps:
                    step.state = self._state

    def __enter__(self) -> "Emr":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


@pytest.mark.parametrize(("ends", "expected"), [("COMPLETED", "success"), ("FAILED", "failed")])
def test_a_cluster_is_made_used_and_ended_whatever_becomes_of_its_step(
    project: Any, pipelines: Any, dags: Any, ends: str, expected: str
) -> None:
    pipelines(etl=EMR + NEW)
    dag = dags()["run__etl"]
    dag.get_task("run").poll_seconds = 0.1
    with Emr(ends) as emr:
        run = dag.test(logical_date=datetime(2026, 11, 23, 3, 0, tzinfo=UTC))
        done = "success" if expected == "success" else "upstream_failed"
        assert tasks(run) == {
            "plan": "success",
            "cluster": "success",
            "run": expected,
            "terminate": "success",
            "done": done,
        }
        assert state(run) == expected
        (cluster,) = emr.clusters
    assert cluster.state == "TERMINATED"
    assert cluster.keep_job_flow_alive_when_no_steps is False
    assert cluster.steps[0].args[-1] == "2026-11-22"
    assert {type(task).__module__.split(".")[0] for task in dag.tasks if task.task_id in ("cluster", "terminate")} == {
        "airflow"
    }


def test_on_a_cluster_that_is_there_the_step_is_added_once(
    project: Any, pipelines: Any, dags: Any, local_aws: Any
) -> None:
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    made = local_aws.client("emr").run_job_flow(Name="ours", ReleaseLabel="emr-7.9.0", Instances=instances)["JobFlowId"]
    pipelines(etl=EMR + f"cluster: {made}\n")
    dag = dags()["run__etl"]
    dag.get_task("run").poll_seconds = 0.1
    with Emr("COMPLETED") as emr:
        assert tasks(dag.test()) == {"plan": "success", "step": "success", "run": "success"}
        (cluster,) = emr.clusters
    assert cluster.state == "RUNNING"
    assert len(cluster.steps) == 1
    assert dag.get_task("step").retries == 0


def test_an_emr_step_that_asks_for_what_is_not_is_red_before_it_costs(project: Any, pipelines: Any, dags: Any) -> None:
    pipelines(etl=EMR + NEW.replace("core_count: 1", "settings: {EbsRootVolumeSise: 5}"))
    run = dags()["run__etl"].test()
    assert (tasks(run)["plan"], tasks(run)["terminate"]) == ("failed", "upstream_failed")
    assert not get_backend("emr")["123456789012"]["us-east-1"].clusters


def test_whoever_ends_the_waiting_task_ends_the_cluster(project: Any, local_aws: Any) -> None:
    from tablekeep.triggers import EmrStepTrigger

    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1}
    made = local_aws.client("emr").run_job_flow(Name="ours", ReleaseLabel="emr-7.9.0", Instances=instances)["JobFlowId"]
    trigger = EmrStepTrigger(
        cluster=made, step=None, until="2099-01-01T00:00:00+00:00", aws_conn_id="aws_default", region_name="us-east-1"
    )
    path, arguments = trigger.serialize()
    assert path == "tablekeep.triggers.EmrStepTrigger"
    asyncio.run(EmrStepTrigger(**arguments).on_kill())
    assert [one.state for one in get_backend("emr")["123456789012"]["us-east-1"].clusters.values()] == ["TERMINATED"]


PLANTED = ("PL4NTED-password", "AKIAPL4NTED", "PL4NTED-secret-key")


def planted(place: str, content: bytes | str) -> list[str]:
    text = content if isinstance(content, str) else content.decode("latin-1")
    return [f"{secret} in {place}" for secret in PLANTED if secret in text]


def test_a_password_and_an_access_key_appear_nowhere(
    project: Any, pipelines: Any, dags: Any, local_aws: Any, mariadb: Any, topic: Any, capfd: Any, caplog: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """No log, XCom, rendered template, state, SQL text, message or object holds them, whether runs succeed or fail."""
    password, key, secret = PLANTED
    arn, read = topic
    place = local_aws.endpoint.replace(":", "%3A").replace("/", "%2F")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SHOP", f"aws://{key}:{secret}@/?region_name=us-east-1&endpoint_url={place}")
    monkeypatch.setenv("AIRFLOW_CONN_ANALYTICS_PG", f"postgresql://loader:{password}@127.0.0.1:{project.port}/steps")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", f"mysql://loader:{password}@127.0.0.1:{mariadb.port}/mysql")
    monkeypatch.setenv("AIRFLOW_CONN_GONE", f"postgresql://loader:{password}@127.0.0.1:9/steps")
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", f"postgresql://nobody:{password}@127.0.0.1:{project.port}/steps")
    with project.connect("steps") as connection:
        connection.execute(f"CREATE ROLE loader LOGIN SUPERUSER PASSWORD '{password}'")
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
    log_from = project.log.stat().st_size
    admin = pymysql.connect(
        host="127.0.0.1", port=mariadb.port, user="root", password=mariadb.password, autocommit=True
    )
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE USER loader IDENTIFIED BY '{password}'")
        cursor.execute("GRANT ALL ON *.* TO loader")
        cursor.execute("SET GLOBAL log_output = 'TABLE'")
        cursor.execute("TRUNCATE mysql.general_log")
        cursor.execute("SET GLOBAL general_log = 1")
    script(pipelines, "env.sh", "env; cat /proc/self/environ; ps -o args= -p $PPID")
    common = f"version: 1\naws_conn_id: aws_shop\nregion: us-east-1\non_fail: {arn}\non_success: {arn}\n"
    sql = common + "kind: sql\nsql: 'SELECT :a, count(*) FROM totals'\nparameters: {a: '{{ run }}'}\nconn_id: "
    pipelines(
        pg=sql + "analytics_pg\n",
        my=(sql + "shop_db\n").replace("FROM totals", "FROM user"),
        gone=sql + "gone\n",
        wrong=sql + "wrong\n",
        missing=sql + "not_there\n",
        env=common + "kind: script\nscript: env.sh\n",
        call=common + CALL.removeprefix("\nversion: 1\n"),
        denied=common + CALL.removeprefix("\nversion: 1\n").replace(BUCKET, "not-there"),
        needs=sql + f"analytics_pg\nrequire: {{within: 1s, key_exists: ['s3://{BUCKET}/no']}}\n",
        etl=common + EMR.removeprefix("\nversion: 1\n") + NEW,
    )
    found = dags()
    with Emr("COMPLETED"):
        states = {}
        for dag_id in sorted(found):
            dag = found[dag_id]
            for task in dag.tasks:
                if hasattr(task, "poll_seconds"):
                    task.poll_seconds = 0.2
            states[dag_id.removeprefix("run__")] = state(dag.test())
    good = {"pg", "my", "env", "call", "etl"}
    assert states == {name: "success" if name in good else "failed" for name in states}
    assert len(states) == 10
    with admin.cursor() as cursor:
        cursor.execute("SET GLOBAL general_log = 0")
        cursor.execute("SELECT argument FROM mysql.general_log")
        statements = "\n".join(row[0] if isinstance(row[0], str) else row[0].decode() for row in cursor.fetchall())
        cursor.execute("DROP USER loader")
    admin.close()
    logged = project.log.read_bytes()[log_from:]
    with project.connect("steps") as connection:
        connection.execute("ALTER SYSTEM RESET log_statement")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP ROLE loader")
    assert b"SELECT $1, count(*) FROM totals" in logged
    assert "EXECUTE tablekeep USING" in statements
    told = read()
    assert len(told) == len(states)
    out = capfd.readouterr()
    assert "TABLEKEEP_PIPELINE=env" in out.out + out.err + caplog.text
    s3 = local_aws.client("s3")
    objects = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    found_in = [
        *planted("stdout", out.out), *planted("stderr", out.err), *planted("logging", caplog.text),
        *planted("PostgreSQL's statements", logged), *planted("MySQL's statements", statements), *planted("SNS", json.dumps(told)),
        *(one for name in objects for one in planted(name, s3.get_object(Bucket=BUCKET, Key=name)["Body"].read())),
        *(one for file in HOME.rglob("*") if file.is_file() for one in planted(str(file), file.read_bytes())),
    ]  # fmt: skip
    assert found_in == []
    assert any(file.name == "airflow.db" for file in HOME.rglob("*"))
