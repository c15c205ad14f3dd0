"""`docs/from-data-pipeline.md`: what it shows loads and runs; all eleven templates are in its table."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.config.kinds import kinds
from tests.dags.conftest import PROJECT
from tests.dags.test_runs import answered
from tests.dags.test_steps import Emr, state, tasks
from tests.tables import make_bucket, make_table, orders

DOCUMENT = (PROJECT / "docs" / "from-data-pipeline.md").read_text()
WHEN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def files() -> dict[str, str]:
    """Path → text of every block that names its file."""
    blocks = re.findall(r"```(?:yaml|sh|sql)\n(.*?)```", DOCUMENT, re.DOTALL)
    return {found[1]: block for block in blocks if (found := re.search(r"^# include/(\S+)$", block, re.M))}


@pytest.fixture
def shown(pipelines: Any, local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files, as a team would keep them."""
    monkeypatch.setenv("TABLEKEEP_ALLOW_SCRIPTS", "true")
    include = pipelines().parent
    for path, text in files().items():
        (include / path).parent.mkdir(exist_ok=True)
        (include / path).write_text(text)
    for bucket in ("acme-logs", "acme-backups", "acme-jobs"):
        make_bucket(local_aws, bucket)
    return include


def test_all_eleven_templates_are_there_and_each_kind_that_is_named_exists() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?)\|$", DOCUMENT, re.M)
    assert [int(row[0]) for row in rows] == list(range(1, 12))
    assert set(re.findall(r"`kind: ([a-z-]+)`", DOCUMENT)) <= set(kinds())
    assert "Definitions are not yet imported by themselves" in DOCUMENT
    headings = {
        re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in re.findall(r"^## (.*)$", DOCUMENT, re.M)
    }
    assert {anchor for anchor in re.findall(r"\]\(#([^)]*)\)", DOCUMENT)} <= headings


def test_what_is_shown_loads(shown: Path, dags: Any) -> None:
    found = dags()
    names = {Path(path).stem for path in files() if path.startswith("pipelines/")}
    assert names <= {dag_id.split("__")[1] for dag_id in found}
    assert not [dag_id for dag_id, dag in found.items() if "invalid" in dag.tags]


def test_a_shell_command(shown: Path, dags: Any, local_aws: Any) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket="acme-logs", Key="input/access.log", Body=b"GET /\nPUT /\nGET /a\n")
    assert state(dags()["run__count-get"].test(logical_date=WHEN)) == "success"
    output = s3.get_object(Bucket="acme-logs", Key="output/2026-11-23-04-00-00/output.txt")["Body"].read().decode()
    assert output.strip().rpartition(":")[2] == "2"


def test_an_aws_cli_command(shown: Path, dags: Any, local_aws: Any) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket="acme-logs", Key="report.csv", Body=b"a,b\n")
    assert state(dags()["run__copy-report"].test(logical_date=WHEN)) == "success"
    assert s3.get_object(Bucket="acme-logs", Key="reports/2026-11-22.csv")["Body"].read() == b"a,b\n"


def test_dynamodb_to_s3_and_back(shown: Path, dags: Any, local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_table(
        local_aws,
        "orders",
        orders(),
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 4000, "WriteCapacityUnits": 4000},
    )
    answered(monkeypatch)
    found = dags()
    assert state(found["backup__web-orders"].test()) == "success"
    assert state(found["restore__web-orders"].test(run_conf={"to_table": "orders-again"})) == "success"
    assert local_aws.client("dynamodb").scan(TableName="orders-again")["Count"] == 40


def test_a_job_on_emr(shown: Path, dags: Any) -> None:
    dag = dags()["run__wordcount"]
    dag.get_task("run").poll_seconds = 0.1
    with Emr("COMPLETED") as emr:
        run = dag.test(logical_date=WHEN)
        (cluster,) = emr.clusters
    assert set(tasks(run).values()) == {"success"}
    assert cluster.state == "TERMINATED"
    assert cluster.steps[0].args == ["spark-submit", "s3://acme-jobs/wordcount.py", "s3://acme-logs/2026-11-22"]
    assert [one.script_path for one in cluster.bootstrap_actions] == ["s3://acme-jobs/prepare.sh"]
