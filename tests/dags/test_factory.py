"""What parsing gives: names, forms, latches; bad files; what it costs and what it does not touch."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import PROJECT

GOOD = """
version: 1
owner: shop-team
table: Shop_Orders
pool: dynamodb
backup: {schedule: "0 2 * * *", timezone: Europe/Berlin, to: "s3://acme-backups/dynamodb", read_budget: "25%"}
verify: {schedule: "0 5 * * 6"}
copies:
  - {name: analytics, to: postgres, conn_id: analytics_pg, table: public.orders}
  - {name: dwh, to: redshift, workgroup: dwh, database: prod, table: public.orders, iam_role: "arn:aws:iam::123456789012:role/copy"}
  - {name: lake, to: athena, database: analytics, table: orders}
drill: {schedule: "0 6 * * 0", objectives: {rto: 2h}}
restore: {patterns_refused: ["prod-*"], max_wcu: 50}
"""
ALL = {
    "backup__shop", "verify__shop", "copy__shop__analytics", "copy__shop__dwh", "copy__shop__lake", "drill__shop",
    "restore__shop",
}  # fmt: skip


@pytest.fixture
def found(pipelines: Any, dags: Any) -> dict[str, Any]:
    pipelines(shop=GOOD)
    return dags()


def test_ids_come_from_the_pipelines_name(found: dict[str, Any]) -> None:
    assert set(found) == ALL


def test_every_dag_says_what_it_is_and_who_owns_it(found: dict[str, Any]) -> None:
    for dag in found.values():
        assert dag.doc_md.startswith("# ")
        assert "Shop_Orders" in dag.doc_md
        assert {"tablekeep", "table:Shop_Orders"} <= set(dag.tags)
        assert dag.catchup is False
        assert dag.is_paused_upon_creation is False
        assert dag.max_active_runs == 1
        for task in dag.tasks:
            assert task.owner == "shop-team"
            assert task.pool == "dynamodb"
            assert task.retries == 0 or task.retry_policy is not None
            assert type(task.retry_policy).__name__ == "ByErrorFamily"


def test_what_reads_or_writes_a_table_runs_once_at_a_time(found: dict[str, Any]) -> None:
    for dag_id, task in (
        ("backup__shop", "backup"),
        ("copy__shop__dwh", "copy"),
        ("drill__shop", "drill"),
        ("restore__shop", "restore"),
    ):
        assert found[dag_id].get_task(task).max_active_tis_per_dag == 1


def test_schedules_have_their_time_zone_and_copies_wake_by_the_backup(found: dict[str, Any]) -> None:
    timetable = found["backup__shop"].timetable
    assert (timetable.expression, str(timetable.timezone)) == ("0 2 * * *", "Europe/Berlin")
    (outlet,) = found["backup__shop"].get_task("publish").outlets
    assert outlet.name == "shop/backup"
    for dag_id in ("copy__shop__analytics", "copy__shop__dwh"):
        assert list(found[dag_id].timetable.asset_condition.objects) == [outlet]


def test_only_people_restore(found: dict[str, Any]) -> None:
    dag = found["restore__shop"]
    assert {str(getattr(one, "value", one)) for one in dag.allowed_run_types} == {"manual"}
    assert type(dag.timetable).__name__ == "NullTimetable"
    assert set(dag.params) == {
        "to_table", "backup", "backup_arn", "as_of", "mode", "path", "keys", "key_prefix", "where", "max_wcu", "count",
        "ttl",
    }  # fmt: skip
    assert dag.get_task("restore").upstream_task_ids == {"approve"}
    assert dag.get_task("approve").response_timeout == timedelta(hours=4)
    assert dag.get_task("approve").retries == 0
    assert dag.params["max_wcu"] == 50
    assert dag.get_task("plan").patterns_refused == ["prod-*"]
    with pytest.raises(Exception, match="to_table"):
        dag.params.validate()


def test_a_pipeline_that_is_not_enabled_has_no_dags(pipelines: Any, dags: Any) -> None:
    pipelines(shop=GOOD.replace("version: 1", "version: 1\nenabled: false"))
    assert dags() == {}


def test_a_bad_file_is_a_red_dag_on_its_own_schedule(pipelines: Any, dags: Any) -> None:
    pipelines(
        shop=GOOD, night="version: 1\ntable: x\nbackup: {schedule: '0 4 * * *', timezone: Asia/Tokyo, to: 's3://acme-backups/x'}\n",
        torn="table: [\n", zone="version: 1\nbackup: {schedule: 'x', timezone: Mars}\n", off="enabled: false\n", copy=f"name: shop\n{GOOD}",
    )  # fmt: skip
    found = dags()
    assert set(found) == ALL | {"backup__night", "backup__torn", "backup__zone", "backup__copy"}
    assert (found["backup__night"].timetable.expression, str(found["backup__night"].timetable.timezone)) == (
        "0 4 * * *",
        "Asia/Tokyo",
    )
    for dag_id in ("backup__torn", "backup__zone"):
        assert found[dag_id].timetable.expression == "0 0 * * *"
    run = found["backup__night"].test()
    assert str(run.state) == "failed"
    assert "pipelines/night.yaml:2: table:" in found["backup__night"].get_task("configuration").message


def test_of_a_file_that_clashes_the_stand_in_does_not_hide_the_good_one(pipelines: Any, dags: Any) -> None:
    folder = pipelines(shop=GOOD)
    (folder / "sub").mkdir()
    (folder / "sub" / "shop.yaml").write_text(GOOD)
    found = dags()
    assert set(found) == ALL | {"backup__shop.invalid"}
    assert found["backup__shop"].task_ids == ["plan", "backup", "verify", "publish"]


def test_the_import_error_lists_every_bad_file(pipelines: Any, airflow_database: None) -> None:
    from airflow.dag_processing.dagbag import DagBag

    pipelines(shop=GOOD, one="version: 2\n", two="a: [\n")
    errors = DagBag(str(PROJECT / "dags"), bundle_name="dags-folder").import_errors
    assert [Path(name).name for name in errors] == ["pipeline_errors.py"]
    (text,) = errors.values()
    assert "2 pipeline files are wrong; the others run" in text
    assert "pipelines/one.yaml:1: version" in text
    assert "pipelines/two.yaml" in text


def test_a_folder_that_is_missing_is_a_red_dag_too(pipelines: Any, dags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEKEEP_PIPELINES", "/not/there")
    found = dags()
    assert set(found) == {"tablekeep__pipelines"}
    assert "/not/there is no folder" in found["tablekeep__pipelines"].get_task("configuration").message


def test_a_tasks_process_builds_only_its_own_dag(pipelines: Any, dags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pipelines(shop=GOOD, torn="[")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "copy__shop__dwh")
    assert set(dags()) == {"copy__shop__dwh"}
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "backup__torn")
    assert set(dags()) == {"backup__torn"}
    (folder / "shop.yaml").rename(folder / "another.yaml")
    (folder / "another.yaml").write_text(f"name: shop\n{GOOD}")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "drill__shop")
    assert set(dags()) == {"drill__shop"}


def parsed(environment: dict[str, str], program: str) -> dict[str, Any]:
    """What a new process prints after parsing, as JSON on its last line."""
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


PARSE = """
import json, socket, sys
import airflow.sdk, airflow.timetables.base
from airflow.sdk import BaseOperator
called = []
real = socket.socket.connect
socket.socket.connect = lambda self, address: called.append(str(address)) or real(self, address)
sys.path[:0] = [DAGS, PLUGINS]
before = set(sys.modules)
import pipelines
print(json.dumps({"dags": sorted(n for n in vars(pipelines) if "__" in n and not n.startswith("__")), "connected": called,
    "heavy": sorted({n.split(".")[0] for n in set(sys.modules) - before} & {"boto3", "botocore", "pyarrow", "duckdb", "psycopg", "moto"})}))
""".replace("DAGS", repr(str(PROJECT / "dags"))).replace("PLUGINS", repr(str(PROJECT / "plugins")))


def test_parsing_imports_no_aws_and_connects_to_nothing(pipelines: Any) -> None:
    folder = pipelines(shop=GOOD)
    answer = parsed({"TABLEKEEP_PIPELINES": str(folder), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, PARSE)
    assert set(answer["dags"]) == ALL
    assert answer["connected"] == []
    assert answer["heavy"] == []


SCAN = """
import calendar, copy, json, sys
from pathlib import Path
from airflow import plugins_manager
before = set(sys.modules)
found = plugins_manager.get_plugin_info() if hasattr(plugins_manager, "get_plugin_info") else []
plugins_manager._get_plugins() if hasattr(plugins_manager, "_get_plugins") else None
ours = sorted(name for name, module in list(sys.modules.items()) if str(getattr(module, "__file__", "") or "").startswith(PLUGINS))
errors = plugins_manager.get_import_errors() if hasattr(plugins_manager, "get_import_errors") else plugins_manager._get_plugins()[1]
print(json.dumps({"modules": ours, "names": [one["name"] for one in found], "errors": [str(one) for one in errors.values()] if hasattr(errors, "values") else [],
    "stdlib": [calendar.__file__.startswith(PLUGINS), sys.modules["copy"] is copy], "heavy": sorted({"boto3", "pyarrow", "fastapi"} & (set(sys.modules) - before))}))
""".replace("PLUGINS", repr(str(PROJECT / "plugins")))


def test_the_plugin_scan_registers_one_module_and_shadows_nothing(airflow_database: None) -> None:
    answer = parsed({}, SCAN)
    assert answer["modules"] == ["tablekeep_plugin"]
    assert "tablekeep" in answer["names"]
    assert answer["errors"] == []
    assert answer["stdlib"] == [False, True]
    assert answer["heavy"] == []


def test_every_option_of_a_pipeline_reaches_its_operator(pipelines: Any, dags: Any) -> None:
    pipelines(
        shop="""
version: 1
table: Shop_Orders
region: eu-west-1
aws_conn_id: aws_shop
backup: {to: "s3://acme-backups/dynamodb", segments: 7, read_budget: 100, encryption: alias/backups, bucket_owner: "123456789012"}
verify: {level: checksum}
copies:
  - {name: pg, to: postgres, conn_id: analytics_pg, table: public.orders}
  - {name: dwh, to: redshift, cluster: big, db_user: loader, database: prod, table: public.orders, region: eu-central-1, aws_conn_id: aws_dwh,
     iam_role: "arn:aws:iam::123456789012:role/copy"}
  - {name: lake, to: athena, database: analytics, table: orders, region: eu-central-1, aws_conn_id: aws_lake}
drill: {objectives: {rto: 2h, rpo: 1d}, max_wcu: 50, aws_conn_id: aws_drill, region: eu-west-2, path: backup,
  backup_role: "arn:aws:iam::123456789012:role/drill"}
restore: {max_wcu: 60, backup_role: "arn:aws:iam::123456789012:role/restore", aws_conn_id: aws_restore, region: eu-west-3}
"""
    )
    found = dags()

    def task(dag_id: str, name: str) -> dict[str, Any]:
        return vars(found[dag_id].get_task(name))

    where = {"aws_conn_id": "aws_shop", "region_name": "eu-west-1"}
    source = where | {"table": "Shop_Orders", "to": "s3://acme-backups/dynamodb"}
    expected = {
        ("backup__shop", "backup"): source
        | {"segments": 7, "read_budget": 100.0, "encryption": "alias/backups", "bucket_owner": "123456789012"},
        ("backup__shop", "verify"): where | {"level": "full", "bucket_owner": "123456789012"},
        ("backup__shop", "publish"): where | {"bucket_owner": "123456789012"},
        ("verify__shop", "verify"): source | {"level": "checksum", "bucket_owner": "123456789012"},
        ("copy__shop__pg", "copy"): source
        | {"conn_id": "analytics_pg", "target_table": "public.orders", "mode": "replace"},
        ("copy__shop__dwh", "copy"): source
        | {
            "cluster": "big",
            "db_user": "loader",
            "database": "prod",
            "redshift_conn_id": "aws_dwh",
            "redshift_region_name": "eu-central-1",
        },
        ("copy__shop__lake", "copy"): source
        | {
            "database": "analytics",
            "target_table": "orders",
            "glue_conn_id": "aws_lake",
            "glue_region_name": "eu-central-1",
        },
        ("drill__shop", "drill"): source
        | {
            "rto_seconds": 7200.0,
            "rpo_seconds": 86400.0,
            "max_wcu": 50.0,
            "path": "backup",
            "backup_role": "arn:aws:iam::123456789012:role/drill",
            "target_aws_conn_id": "aws_drill",
            "target_region_name": "eu-west-2",
        },
        ("drill__shop", "sweep"): source | {"target_aws_conn_id": "aws_drill", "target_region_name": "eu-west-2"},
        ("restore__shop", "plan"): source
        | {
            "backup_role": "arn:aws:iam::123456789012:role/restore",
            "target_aws_conn_id": "aws_restore",
            "target_region_name": "eu-west-3",
        },
        ("restore__shop", "restore"): where | {"target_aws_conn_id": "aws_restore", "target_region_name": "eu-west-3"},
    }
    for (dag_id, name), options in expected.items():
        values = task(dag_id, name)
        assert {option: values.get(option) for option in options} == options, (dag_id, name)
