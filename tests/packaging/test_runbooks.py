"""Every command of the runbooks runs as it is written, on the demo's tables."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local_aws.datasets import create_and_load
from tablekeep.engine.rds.instances.contents import Reading
from tablekeep.engine.rds.instances.snapshots import take_snapshot
from tests.rds import PASSWORD, USER, common, login, make_instance
from tests.tables import clients, export, make_bucket, verify

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
RUNBOOKS = sorted(one.name for one in FOLDER.glob("*.md"))
MENDS = ("restore-some-items.md", "put-in-service.md")
"""Before these some items of the table are gone or changed."""
ROOT = "s3://acme-backups/dynamodb"
INSTANCES = ("restore-an-rds-instance.md",)
"""They are about an RDS instance with a pipeline, of which there is a snapshot."""
PIPELINE = """
version: 1
kind: rds-instance
database: shop
region: us-east-1
records: s3://acme-backups/rds
contents: {conn_id: shop_db, marker: public.tablekeep_marker}
drill: {objectives: {rto: 4h, rpo: 26h}}
"""


def blocks(name: str) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", (FOLDER / name).read_text(), re.M | re.S)


@pytest.fixture
def orders(local_aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's orders, backed up and verified; a folder in which the commands run, with `tablekeep` and `python3` on the path."""
    make_bucket(local_aws, "acme-backups")
    create_and_load(local_aws.client("dynamodb"), "orders")
    backup = export("orders", to=ROOT, segments=2).backup
    verify(backup)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, arguments in (("tablekeep", "-m tablekeep"), ("python3", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parents[1] / "plugins"))
    return tmp_path


def make_shop(local_aws: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "shop.yaml").write_text(PIPELINE)
    monkeypatch.setenv("TABLEKEEP_PIPELINES", str(folder / "pipelines"))
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", f"postgresql://{USER}:{PASSWORD}@shop.example/shop")
    make_instance(local_aws)
    reading = Reading(login(), marker="public.tablekeep_marker")
    take_snapshot("shop", "s3://acme-backups/rds", name="tablekeep-shop-one", reading=reading, **common())


@pytest.mark.parametrize("name", [name for name in RUNBOOKS if name != "README.md"])
def test_the_commands_run_as_they_are_written(
    name: str, local_aws: Any, orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks(name)
    assert found
    database, keys = (
        clients().client("dynamodb"),
        [{"customer": {"S": "c-000000"}, "order_no": {"N": str(100000 + n)}} for n in (0, 1)],
    )
    if name in MENDS:
        database.delete_item(TableName="orders", Key=keys[1])
        database.put_item(TableName="orders", Item=keys[0] | {"total": {"N": "0"}})
    if name in INSTANCES:
        make_shop(local_aws, orders, monkeypatch)
    script = "set -euo pipefail\n" + "\n".join(found)
    done = subprocess.run(["bash", "-c", script], cwd=orders, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if name in MENDS:
        assert "Item" in database.get_item(TableName="orders", Key=keys[1]), "what was missing is back"
        total = database.get_item(TableName="orders", Key=keys[0])["Item"]["total"]["N"]
        assert (total != "0") == (name == "restore-some-items.md"), "only what was listed is overwritten"


def test_the_index_names_every_runbook() -> None:
    text = (FOLDER / "README.md").read_text()
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", text)) == set(RUNBOOKS) - {"README.md"}
