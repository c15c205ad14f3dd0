"""A real Airflow: scheduler, DAG processor, triggerer and API server on PostgreSQL, started once for all tests of this file."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import psycopg
import pytest

from local_aws import environment
from local_aws.demo.airflow import Airflow, Api
from local_aws.demo.follow import Follower, Run
from local_aws.demo.night import Demo
from local_aws.demo.processes import DemoError
from local_aws.server import switch
from tablekeep.engine.backups.catalog import list_backups
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clients import SessionClients
from tests.engine.steps.test_script import left
from tests.servers import find_program

PIPELINE = """
version: 1
table: {table}
region: us-east-1
backup:
  schedule: "{schedule}"
  to: s3://tablekeep-scheduler/backups
copies:
  - {{name: analytics, to: postgres, conn_id: analytics_pg, table: public.{table}}}
"""
NEVER_TODAY = "0 2 1 1 *"


class Night:
    """The running Airflow and what the tests ask of it."""

    def __init__(self, demo: Demo, airflow: Airflow, pipelines: Path) -> None:
        self.demo, self.airflow, self.pipelines = demo, airflow, pipelines
        self.said: list[str] = []
        self.follower = Follower(airflow, self.said.append, demo.check, patience=120)

    def ended(self, run: Run) -> Run:
        """The run when it has ended, well or not."""
        try:
            self.follower.follow([run])
        except DemoError:
            if run.state != "failed":
                raise
        return run

    def run(self, dag: str, **conf: Any) -> Run:
        return self.ended(self.follower.trigger(dag, **conf))

    def until(self, what: Callable[[], Any], seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := what()):
            self.demo.check()
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.5)
        return found

    def sets(self, table: str) -> list[Any]:
        store = S3Store(SessionClients(region="us-east-1"), "tablekeep-scheduler")
        return list_backups(store, "tablekeep-scheduler", "backups", name=table).backups

    def query(self, sql: str) -> list[Any]:
        with psycopg.connect(self.demo.postgres.dsn("analytics"), autocommit=True) as connection:
            return list(connection.execute(sql).fetchall())

    def ledger(self, table: str) -> list[str]:
        rows = self.query(f"SELECT backup_id FROM tablekeep_loads WHERE target = 'public.{table}' ORDER BY loaded_at")
        return [row[0] for row in rows]

    def pause(self, dag: str, paused: bool) -> None:
        self.airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": paused})


SPREAD = """
version: 1
name: spread
table: flights
region: us-east-1
backup:
  segments: 6
  spread: {above_gb: 0, tasks: 2}
  to: s3://tablekeep-scheduler/backups
"""
HISTORY = """
version: 1
table: history
region: us-east-1
backup:
  engine: pitr
  schedule: "0 2 * * *"
  to: s3://tablekeep-scheduler/backups
"""
PEOPLE = """
version: 1
name: guarded
table: planes
region: us-east-1
backup:
  schedule: "0 2 1 1 *"
  to: s3://tablekeep-scheduler/backups
restore:
  people: [ana, ben]
"""
SLOW = """
version: 1
kind: sql
schedule: "* * * * *"
conn_id: analytics_pg
sql: SELECT pg_sleep(15)
late_after: 5s
on_late: {topic}
on_success: {topic}
"""
REFUSED = """
version: 1
kind: sql
conn_id: analytics_pg
sql: SELECT * FROM nowhere
on_fail: {topic}
"""
SLEEPER = """
version: 1
kind: script
script: sleep.sh
"""
USERS = ("ana", "ben", "eve")
WORKERS = ("worker-one", "worker-two")


@pytest.fixture(scope="module")
def night(request: pytest.FixtureRequest) -> Iterator[Night]:
    """With Redis on this machine the tasks run in two Celery workers, else below the scheduler."""
    # `user`: may trigger and answer, and administers nothing
    options = {"CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(["admin:admin", *(f"{name}:user" for name in USERS)])}
    if find_program("redis-server"):
        redis = request.getfixturevalue("redis_server")
        options |= {
            "CORE__EXECUTOR": "CeleryExecutor",
            "CELERY__BROKER_URL": f"redis://:{redis.password}@127.0.0.1:{redis.port}/0",
            "CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        }
    # not below pytest's tmp_path, whose directories are closed to the user that PostgreSQL runs as under root
    directory = Path(tempfile.mkdtemp(prefix="tablekeep-scheduler-"))
    directory.chmod(0o711)
    pipelines = directory / "include" / "pipelines"
    pipelines.mkdir(parents=True)
    for table, schedule in (("planes", NEVER_TODAY), ("weather", "* * * * *"), ("orders", NEVER_TODAY)):
        (pipelines / f"{table}.yaml").write_text(PIPELINE.format(table=table, schedule=schedule))
    (pipelines / "spread.yaml").write_text(SPREAD)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "replaced by the demo")
        patch.setenv("TABLEKEEP_ALLOW_SCRIPTS", "true")
        patch.setattr(environment, "ALLOWED", (*environment.ALLOWED, "TABLEKEEP_ALLOW_SCRIPTS"))
        with Demo(directory / "home", pipelines=pipelines, options=options) as demo:
            airflow = demo.start()
            (pipelines / "history.yaml").write_text(HISTORY)  # its table is made by a test
            (pipelines / "guarded.yaml").write_text(PEOPLE)  # its table is there already
            for name in WORKERS if "CORE__EXECUTOR" in options else ():
                demo.add(airflow.celery_worker(name))
            made = Night(demo, airflow, pipelines)
            made.follower.wait_for_dags(
                [
                    "backup__spread",
                    "backup__history",
                    "backup__planes",
                    "backup__weather",
                    "backup__orders",
                    "copy__planes__analytics",
                    "restore__guarded",
                ]
            )
            yield made
    shutil.rmtree(directory, ignore_errors=True)


def test_a_scheduled_run_backs_up_and_wakes_the_copy(night: Night) -> None:
    def scheduled() -> list[Run]:
        return [run for run in night.follower.runs_of("backup__weather") if run.run_id.startswith("scheduled__")]

    first = night.until(scheduled, 120)[-1]
    assert night.ended(first).state == "success"
    night.pause("backup__weather", True)
    copied = night.ended(night.follower.wait_for_run("copy__weather__analytics"))
    assert copied.state == "success"
    assert copied.run_id.startswith("asset_triggered__")
    rows = night.query("SELECT count(*) FROM public.weather")[0][0]
    assert rows == night.demo.loaded["weather"] == night.sets("weather")[-1].items


def test_a_bad_file_among_three_hurts_only_itself(night: Night) -> None:
    good = (night.pipelines / "orders.yaml").read_text()
    (night.pipelines / "orders.yaml").write_text(good.replace("version: 1", "version: 7"))
    try:

        def broken() -> bool:
            tasks = night.airflow.call("GET", "/dags/backup__orders/tasks")["tasks"]
            return [task["task_id"] for task in tasks] == ["configuration"]

        night.until(broken)
        errors = night.until(lambda: night.airflow.call("GET", "/importErrors")["import_errors"])
        assert [Path(one["filename"]).name for one in errors] == ["pipeline_errors.py"]
        assert "pipelines/orders.yaml:2: version: this Tablekeep reads version 1 only" in errors[0]["stack_trace"]
        assert night.run("backup__orders").state == "failed"
        assert any(
            "version: this Tablekeep reads version 1 only" in line
            for line in failed_log(night, "backup__orders", "configuration")
        )
        assert night.run("backup__planes").state == "success"
        assert night.ended(night.follower.wait_for_run("copy__planes__analytics")).state == "success"
    finally:
        (night.pipelines / "orders.yaml").write_text(good)
    night.until(lambda: not night.airflow.call("GET", "/importErrors")["import_errors"])
    assert night.run("backup__orders").state == "success"


def failed_log(night: Night, dag: str, task: str) -> list[str]:
    run = night.follower.runs_of(dag)[0]
    return night.airflow.log_of(dag, run.run_id, task, 1).read_text().splitlines()


def test_runs_by_hand_with_and_without_dates(night: Night) -> None:
    before = len(night.sets("planes"))

    def by_api(**body: Any) -> Run:
        answer = night.airflow.call("POST", "/dags/backup__planes/dagRuns", json=body)
        return night.ended(Run("backup__planes", answer["dag_run_id"]))

    def by_command(name: str, *arguments: str) -> Run:
        command = night.airflow.command("dags", "trigger", "backup__planes", "--run-id", name, *arguments)
        done = subprocess.run(
            command,
            env=night.airflow.environment,
            cwd=night.airflow.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return night.ended(Run("backup__planes", name))

    now, past = datetime.now(UTC), datetime.now(UTC) - timedelta(days=2)
    assert by_api(logical_date=None).state == "success"
    assert by_api(logical_date=now.isoformat()).state == "success"  # what the form fills in
    assert by_command("by-command").state == "success"
    assert len(night.sets("planes")) == before + 3
    assert by_api(logical_date=past.isoformat()).state == "failed"
    assert by_command("by-command-past", "--logical-date", past.isoformat()).state == "failed"
    assert any(
        "a scan can only read the table as it is now" in line for line in failed_log(night, "backup__planes", "backup")
    )
    assert len(night.sets("planes")) == before + 3


def test_a_backfill_of_three_past_days_leaves_the_database_as_it_is(night: Night) -> None:
    (night.pipelines / "planes.yaml").write_text(PIPELINE.format(table="planes", schedule="0 2 * * *"))
    night.until(lambda: night.airflow.call("GET", "/dags/backup__planes")["timetable_summary"] == "0 2 * * *")
    sets, ledger = len(night.sets("planes")), night.ledger("planes")
    rows = night.query("SELECT count(*), md5(string_agg(p::text, ',' ORDER BY p.tailnum)) FROM public.planes p")
    copies = len(night.follower.runs_of("copy__planes__analytics"))
    now = datetime.now(UTC)
    body = {
        "dag_id": "backup__planes", "from_date": (now - timedelta(days=4)).isoformat(), "to_date": (now - timedelta(days=1)).isoformat(),
        "run_backwards": False, "dag_run_conf": {}, "reprocess_behavior": "none", "max_active_runs": 3,
    }  # fmt: skip
    night.airflow.call("POST", "/backfills", json=body)

    def filled() -> list[Run]:
        runs = [run for run in night.follower.runs_of("backup__planes") if run.run_id.startswith("backfill__")]
        return runs if len(runs) >= 3 and all(run.ended for run in runs) else []

    runs = night.until(filled, 120)
    assert {run.state for run in runs} == {"failed"}
    assert len(night.sets("planes")) == sets
    assert night.ledger("planes") == ledger
    assert night.query("SELECT count(*), md5(string_agg(p::text, ',' ORDER BY p.tailnum)) FROM public.planes p") == rows
    assert len(night.follower.runs_of("copy__planes__analytics")) == copies


def backfill(night: Night, dag: str, begin: datetime, end: datetime, behavior: str, runs: int) -> list[str]:
    """The states of a backfill's runs, when all have ended."""
    body = {
        "dag_id": dag, "from_date": begin.isoformat(), "to_date": end.isoformat(), "run_backwards": False, "dag_run_conf": {},
        "reprocess_behavior": behavior, "max_active_runs": 3,
    }  # fmt: skip

    def begun() -> bool:
        try:
            night.airflow.call("POST", "/backfills", json=body)
        except DemoError as error:
            if "already a running backfill" not in str(error):
                raise
            return False
        return True

    before = datetime.now(UTC)
    night.until(begun)

    def ended() -> list[str]:
        found = [
            run
            for run in night.airflow.call("GET", f"/dags/{dag}/dagRuns", params={"limit": 100})["dag_runs"]
            if run["run_type"] == "backfill" and run["end_date"] and datetime.fromisoformat(run["end_date"]) > before
        ]
        return [run["state"] for run in found] if len(found) >= runs else []

    made: list[str] = night.until(ended, 120)
    return made


def test_a_backfill_by_the_services_export_makes_the_set_of_each_day(night: Night) -> None:
    """Four days ago the table got recovery and an item; one more on each day since. The day before all that is refused."""
    client = boto3.client("dynamodb", region_name="us-east-1")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        for day in range(4, 0, -1):
            switch(night.demo.endpoint, "dynamodb", {"now": (midnight - timedelta(days=day)).isoformat()})
            if day == 4:
                client.create_table(
                    TableName="history", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                )  # fmt: skip
                client.update_continuous_backups(
                    TableName="history", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
                )
            client.put_item(TableName="history", Item={"pk": {"S": f"day-{day}"}})
    finally:
        switch(night.demo.endpoint, "dynamodb", {"now": ""})
    begin, end = midnight - timedelta(days=5), midnight
    runs = backfill(night, "backup__history", begin, end - timedelta(hours=1), "none", 5)
    assert sorted(runs) == ["failed", "success", "success", "success", "success"]

    def made_for_the_days() -> list[Any]:
        # Airflow's scheduler goes on from the backfill's last day: there may be a scheduled set of this morning, too
        return [one for one in night.sets("history") if one.as_of < midnight]

    made = made_for_the_days()
    assert [(one.as_of, one.items) for one in made] == [
        (midnight - timedelta(days=day, hours=-2), 5 - day) for day in (1, 2, 3, 4)
    ]
    again = backfill(night, "backup__history", midnight - timedelta(days=2), end - timedelta(hours=1), "completed", 2)
    assert again == ["success", "success"]
    assert [one.backup_id for one in made_for_the_days()] == [one.backup_id for one in made]
    night.until(lambda: all(run.ended for run in night.follower.runs_of("backup__history")))
    assert len(client.list_exports()["ExportSummaries"]) == len(night.sets("history"))  # each day was paid once


def test_a_copy_unpaused_after_two_missed_backups_loads_the_latest(night: Night) -> None:
    night.until(lambda: all(run.ended for run in night.follower.runs_of("copy__planes__analytics")))
    night.pause("copy__planes__analytics", True)
    before = night.ledger("planes")
    table = boto3.session.Session().resource("dynamodb", region_name="us-east-1").Table("planes")
    for n in (1, 2):
        table.put_item(Item={"tailnum": f"N-NEW-{n}", "model": "late"})
        assert night.run("backup__planes").state == "success"
    assert night.ledger("planes") == before
    night.pause("copy__planes__analytics", False)
    assert night.run("copy__planes__analytics").state == "success"
    newest = night.sets("planes")[0]
    assert night.ledger("planes") == [*before, newest.backup_id]
    assert night.query("SELECT count(*) FROM public.planes") == [(newest.items,)]


def test_clearing_a_backup_makes_a_new_set_and_leaves_the_old(night: Night) -> None:
    run = night.run("backup__orders")
    before = [one.backup_id for one in night.sets("orders")]
    night.airflow.call(
        "POST", f"/dags/backup__orders/dagRuns/{run.run_id}/clear", json={"dry_run": False, "only_failed": False}
    )
    again = Run("backup__orders", run.run_id)
    night.until(lambda: len(night.sets("orders")) > len(before))
    assert night.ended(again).state == "success"
    after = [one.backup_id for one in night.sets("orders")]
    assert set(before) < set(after)
    assert len(after) == len(before) + 1


def test_a_large_table_is_read_by_two_celery_workers(night: Night) -> None:
    if not find_program("redis-server"):
        pytest.skip("redis-server is not on this machine")
    run = night.run("backup__spread")
    assert run.state == "success"
    tasks = night.airflow.call("GET", f"/dags/backup__spread/dagRuns/{run.run_id}/taskInstances")["task_instances"]
    assert sorted((one["task_id"], one["map_index"]) for one in tasks if one["state"] == "success") == [
        ("backup", -1), ("finish", -1), ("plan", -1), ("publish", -1), *(("segments", number) for number in range(6)), ("verify", -1),
    ]  # fmt: skip
    (made,) = night.sets("flights")
    assert made.items == night.demo.loaded["flights"]
    manifest = open_backup(SessionClients(region="us-east-1"), made.uri).manifest
    assert len({part.name.rsplit("-", 1)[1] for part in manifest.parts}) == 6  # each by an attempt of its own
    for name in WORKERS:
        assert "succeeded in" in (night.airflow.logs / f"{name}.log").read_text(), name


def answer(night: Night, run: Run, option: str, user: Api | None = None) -> None:
    """Answers the plan of a restore, as a person does on the page of required actions."""
    path = f"/dags/{run.dag}/dagRuns/{quote(run.run_id, safe='')}"

    def asked() -> list[Any]:
        found = night.airflow.call("GET", f"{path}/hitlDetails")["hitl_details"]
        return [one for one in found if not one["response_received"]]

    (detail,) = night.until(asked)
    assert re.fullmatch(r"Restore of planes to planes-[a-z-]+, asked for by (admin|ana)", detail["subject"])
    for part in ("| items | ", "| plan | ", "planes-"):
        assert part in detail["body"]
    body = {"chosen_options": [option], "params_input": {}}
    (user or night.airflow.api).call("PATCH", f"{path}/taskInstances/approve/-1/hitlDetails", json=body)


def test_a_restore_waits_for_a_person_and_does_what_was_approved(night: Night) -> None:
    if not night.sets("planes"):
        night.run("backup__planes")
    refused = night.follower.trigger("restore__planes", to_table="planes-restored")
    answer(night, refused, "Reject")
    assert night.ended(refused).state == "failed"
    database = boto3.client("dynamodb", region_name="us-east-1")
    assert "planes-restored" not in database.list_tables()["TableNames"]
    run = night.follower.trigger("restore__planes", to_table="planes-restored")
    answer(night, run, "Approve")
    assert night.ended(run).state == "success"
    assert run.tasks == {"plan": "success", "approve": "success", "restore": "success"}
    counted = [database.scan(TableName=name, Select="COUNT")["Count"] for name in ("planes", "planes-restored")]
    assert counted[0] == counted[1]


def test_two_people_restore_and_one_alone_does_not(night: Night) -> None:
    """As three users of Airflow: who asks may not approve, who is not named may not even ask, two who are named restore."""
    if not night.sets("planes"):
        night.run("backup__planes")
    ana, ben, eve = (night.airflow.api_of(name) for name in USERS)
    database = boto3.client("dynamodb", region_name="us-east-1")
    shelf = night.sets("planes")[0].location.shelf

    def asked(user: Api, table: str) -> Run:
        body = {"logical_date": None, "conf": {"to_table": table}}
        return Run("restore__guarded", user.call("POST", "/dags/restore__guarded/dagRuns", json=body)["dag_run_id"])

    strange, alone, done = asked(eve, "planes-by-a-stranger"), asked(ana, "planes-by-one"), asked(ana, "planes-by-two")
    answer(night, alone, "Approve", ana)
    answer(night, done, "Approve", ben)
    assert [night.ended(run).state for run in (strange, alone, done)] == ["failed", "failed", "success"]
    assert (strange.tasks["plan"], alone.tasks["plan"], alone.tasks["approve"]) == ("failed", "success", "failed")
    log = night.airflow.log_of(alone.dag, alone.run_id, "approve", 1).read_text()
    assert "ana asked for it and approved it" in log
    made = {one for one in database.list_tables()["TableNames"] if one.startswith("planes-by-")}
    assert made == {"planes-by-two"}
    store = S3Store(SessionClients(region="us-east-1"), "tablekeep-scheduler")
    kept = {}
    for record in read_records(store, shelf, "approval"):
        kept[record["run"].partition("/")[2]] = record["result"]
    judged = [kept[run.run_id] for run in (strange, alone, done)]
    assert [(one["requester"], one["approver"], one["approved"]) for one in judged] == [
        ("eve", "", False), ("ana", "ana", False), ("ana", "ben", True),
    ]  # fmt: skip


def test_a_running_airflow_tells_of_late_failed_and_succeeded_runs(night: Night) -> None:
    """Callbacks of DAGs run in the DAG processor, those of deadlines in the triggerer: `dag.test` shows neither."""
    sns, sqs = (boto3.session.Session().client(name, region_name="us-east-1") for name in ("sns", "sqs"))
    topic = sns.create_topic(Name="ops")["TopicArn"]
    queue = sqs.create_queue(QueueName="ops")["QueueUrl"]
    address = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=address)
    (night.pipelines / "slow.yaml").write_text(SLOW.format(topic=topic))
    (night.pipelines / "refused.yaml").write_text(REFUSED.format(topic=topic))
    told: list[dict[str, str]] = []

    def heard(subject: str) -> list[str]:
        for one in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            told.append(json.loads(one["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
        return [one["Message"] for one in told if one["Subject"] == subject]

    try:
        night.follower.wait_for_dags(["run__slow", "run__refused"])
        assert night.run("run__refused").state == "failed"
        (failed,) = night.until(lambda: heard("run__refused failed"))
        assert "reason: task_failure" in failed
        assert "last task: run" in failed
        late = night.until(lambda: heard("run__slow is late"), 150)[0]
        assert "pipeline: slow" in late
        assert "run: run__slow/scheduled__" in late
        assert "state: running" in late
        assert "run: run__slow/scheduled__" in night.until(lambda: heard("run__slow succeeded"))[0]
    finally:
        (night.pipelines / "slow.yaml").unlink()
        (night.pipelines / "refused.yaml").unlink()


def test_a_script_ends_with_the_task_that_a_person_ends(night: Night) -> None:
    mark = f"sleep 8{os.getpid()}"
    scripts = night.pipelines.parent / "scripts"
    scripts.mkdir()
    (scripts / "sleep.sh").write_text(f"#!/bin/sh\n{mark} & setsid {mark} & {mark}\n")
    (night.pipelines / "sleeper.yaml").write_text(SLEEPER)
    night.follower.wait_for_dags(["run__sleeper"])
    run = night.follower.trigger("run__sleeper")
    night.until(lambda: len(left(mark.replace(" ", "\0"))) == 3)
    path = f"/dags/run__sleeper/dagRuns/{quote(run.run_id)}/taskInstances/run"
    night.airflow.call("PATCH", path, json={"new_state": "failed"})
    night.until(lambda: not left(mark.replace(" ", "\0")), 60)
    assert night.ended(run).state == "failed"
