"""What `make mwaa` builds, unpacked as MWAA does and parsed by Airflow in a process of its own."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]

PARSE = """
import json, sys
# the project is installed in this environment for development, and MWAA's is not
sys.path[:] = [p for p in sys.path if not p.endswith("/plugins")]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in getattr(f, "__module__", str(f)).lower()]
from airflow.dag_processing.dagbag import DagBag
from airflow import plugins_manager
bag = DagBag(sys.argv[1], bundle_name="dags-folder")
plugins_manager.get_plugin_info()
ours = sorted(n for n, m in list(sys.modules.items()) if str(getattr(m, "__file__", "") or "").startswith(sys.argv[2]) and "." not in n)
print(json.dumps({"dags": sorted(bag.dags), "errors": bag.import_errors, "modules": ours, "python": sys.version_info[:2]}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mwaa") / "out"
    subprocess.run([sys.executable, PROJECT / "tools" / "mwaa.py", out], check=True, capture_output=True)
    return out


def test_the_zip_holds_package_plugin_file_and_ignore_file_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built / "plugins.zip") as archive:
        names = archive.namelist()
    tracked = subprocess.run(
        ["git", "ls-files", "plugins"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    on_disk = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "plugins").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {f"plugins/{name}" for name in names} == set(tracked) | {
        name for name in on_disk if "__pycache__" not in name and "egg-info" not in name
    }
    tops = {name.split("/")[0] for name in names}
    assert tops == {"tablekeep", "tablekeep_plugin.py", ".airflowignore"}


def test_it_is_the_same_byte_for_byte(built: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, PROJECT / "tools" / "mwaa.py", tmp_path / "again"], check=True, capture_output=True)
    assert (tmp_path / "again" / "plugins.zip").read_bytes() == (built / "plugins.zip").read_bytes()


def test_pipelines_go_under_the_dags(built: Path) -> None:
    found = {str(path.relative_to(built)) for path in (built / "dags").rglob("*") if path.is_file()}
    assert {
        "dags/pipelines.py",
        "dags/pipeline_errors.py",
        "dags/pipelines/orders.yaml",
        "dags/environments/prod.yaml",
    } <= found
    assert (built / "requirements.txt").read_text() == (PROJECT / "requirements.txt").read_text()


def test_what_a_team_has_for_its_steps_goes_there_too_and_is_not_looked_at_for_dags(tmp_path: Path) -> None:
    specification = importlib.util.spec_from_file_location("mwaa", PROJECT / "tools" / "mwaa.py")
    assert specification
    assert specification.loader
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)
    for name in ("pipelines/x.yaml", "sql/shop/totals.sql", "scripts/dag_airflow.py"):
        (tmp_path / "include" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "include" / name).write_text("raise SystemExit\n")
    tool.build(tmp_path / "out", tmp_path / "include")
    dags = tmp_path / "out" / "dags"
    assert {"pipelines/x.yaml", "sql/shop/totals.sql", "scripts/dag_airflow.py"} <= {
        str(path.relative_to(dags)) for path in dags.rglob("*")
    }
    assert (dags / ".airflowignore").read_text() == "scripts/\n"


def interpreters() -> list[str]:
    """This Python; and 3.12 with MWAA's packages, where somebody has made one (TABLEKEEP_MWAA_PYTHON)."""
    return [sys.executable, *filter(None, [os.environ.get("TABLEKEEP_MWAA_PYTHON")])]


@pytest.mark.parametrize("python", interpreters())
def test_every_dag_is_imported_as_mwaa_unpacks_it(built: Path, tmp_path: Path, python: str) -> None:
    home = tmp_path / "airflow"
    shutil.copytree(built / "dags", home / "dags")
    with zipfile.ZipFile(built / "plugins.zip") as archive:
        archive.extractall(home / "plugins")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AIRFLOW_HOME": str(home), "PYTHONPATH": str(tmp_path / "python"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"), "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "TABLEKEEP_ENV": "prod", "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }  # fmt: skip

    def answered(*arguments: str) -> str:
        done = subprocess.run(
            [python, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    answered("-m", "airflow", "db", "migrate")
    # -P: the project's own folder is not on the path; -I is not possible, for MWAA sets PYTHONPATH
    told = answered("-P", "-c", PARSE, str(home / "dags"), str(home / "plugins"))
    answer: dict[str, Any] = json.loads(told.splitlines()[-1])
    assert answer["errors"] == {}
    expected = {
        f"{kind}__{name}" for kind in ("backup", "verify", "drill", "restore") for name in ("flights", "orders")
    }
    expected |= {f"copy__{name}__{copy}" for name in ("flights", "orders") for copy in ("analytics", "dwh")}
    assert set(answer["dags"]) == expected
    assert answer["modules"] == ["tablekeep", "tablekeep_plugin"]
