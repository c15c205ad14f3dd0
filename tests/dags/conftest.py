"""An Airflow in this process, on SQLite in a directory of its own, for `dag.test()`.

The variables are set when pytest imports this file: before anything imports Airflow, which reads them once.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
HOME = Path(tempfile.mkdtemp(prefix="tablekeep-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for name in [one for one in os.environ if one.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are marked."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.airflow)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's database, migrated."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes pipeline files: `pipelines(orders="table: orders\\n…")`; TABLEKEEP_PIPELINES names their folder."""
    folder = tmp_path / "include" / "pipelines"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TABLEKEEP_PIPELINES", str(folder))
    monkeypatch.delenv("TABLEKEEP_ENV", raising=False)

    def write(**files: str) -> Path:
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text)
        return folder

    return write


@pytest.fixture
def dags(airflow_database: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """Parses the project's DAG folder as Airflow does: `dags()["backup__orders"]`. Tasks are tried once, else tests wait."""
    from tablekeep import dag_common

    monkeypatch.setattr(dag_common, "RETRIES", 0)

    def parse() -> dict[str, Any]:
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(PROJECT / "dags"), bundle_name="dags-folder")
        return dict(bag.dags)

    return parse
