"""R-48: a planted password and access key appear in no log, SQL text, XCom, rendered template or object of the copies to Redshift and
Athena, neither when they succeed nor when they fail."""

import json
import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.clients import SessionClients
from tests.local_aws.redshift import Redshift
from tests.tables import BUCKET, ROOT, export, make_bucket, make_table, orders, verify

KEY, SECRET, PASSWORD = "AKIAPLANTED4711PLANT", "planted/secret+key4711", "planted-password-4711"
PLANTED = (KEY, SECRET, PASSWORD)
ROLE = "arn:aws:iam::123456789012:role/copy"


@pytest.fixture
def project(local_redshift: Any, pipelines: Any, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A verified backup of orders; copies whose connection holds an access key, and whose cluster's secret holds a password."""
    make_bucket(local_redshift)
    make_table(local_redshift, "orders", orders(5))
    verify(export("orders").backup)
    local_redshift.client("glue").create_database(DatabaseInput={"Name": "analytics"})
    user = json.dumps({"username": "loader", "password": PASSWORD})
    arn = local_redshift.client("secretsmanager").create_secret(Name="dwh", SecretString=user)["ARN"]
    connection = {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": {"region_name": "us-east-1"}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DWH", json.dumps(connection))
    where = f"to: redshift, cluster: big, secret: '{arn}', database: prod, iam_role: '{ROLE}', aws_conn_id: aws_dwh"
    pipelines(
        orders=f"""
version: 1
table: orders
region: us-east-1
backup: {{to: {ROOT}}}
copies:
  - {{name: dwh, {where}, table: public.orders}}
  - {{name: theirs, {where}, table: public.theirs}}
  - {{name: broken, {where}, table: public.broken}}
  - {{name: lake, to: athena, database: analytics, table: orders, aws_conn_id: aws_dwh}}
  - {{name: nowhere, to: athena, database: nowhere, table: orders, aws_conn_id: aws_dwh}}
"""
    )
    return local_redshift


def airflow_database() -> str:
    """All rows of all tables, as text."""
    path = Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return "\n".join(str(row) for name in names for row in connection.execute(f'SELECT * FROM "{name}"'))


def files(folder: str) -> str:
    found = [path for path in Path(folder).rglob("*") if path.is_file() and path.suffix in (".log", ".json", ".txt")]
    return "\n".join(path.read_text(errors="replace") for path in found)


def statements(aws: Any) -> str:
    listed = aws.client("redshift-data").list_statements(MaxResults=100, Status="ALL")["Statements"]
    return json.dumps(listed, default=str)


def stored(aws: Any) -> str:
    s3 = aws.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    return "\n".join(key + str(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys)


def assert_nowhere(
    aws: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], sign: str, planted: tuple[str, ...]
) -> None:
    """That what was planted is in no log, row of Airflow's database or object.

    :param sign: what is in each of them, or nothing was searched.
    """
    out, err = capfd.readouterr()
    places = {
        "logs": "\n".join([caplog.text, out, err, files(os.environ["AIRFLOW_HOME"])]),
        "database": airflow_database(),
        "objects": stored(aws),
    }
    for place, text in places.items():
        assert sign in text, f"nothing was found in the {place}"
        for one in planted:
            assert one not in text, place


def database(postgres: Any) -> str:
    with postgres.connect("redshift") as connection:
        names = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'redshift_local')"
        ).fetchall()
        return "\n".join(
            str(row) for (name,) in names for row in connection.execute(f"SELECT * FROM {name}").fetchall()
        )


def test_a_planted_password_and_access_key_appear_nowhere(
    project: Any, postgres: Any, dags: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    Redshift(project)("create table theirs (precious integer)")
    used: set[str] = set()
    monkeypatch.setattr(SessionClients, "client", _noting(used, SessionClients.client))
    caplog.set_level(logging.DEBUG)
    logging.getLogger("botocore.auth").setLevel(
        logging.INFO
    )  # at DEBUG it shows what it signs: an access key belongs to that
    for name in ("botocore.endpoint", "botocore.hooks", "botocore.parsers", "botocore.client", "urllib3", "botocore"):
        logging.getLogger(name).setLevel(logging.INFO)
    found = dags()
    states = {name: str(found[f"copy__orders__{name}"].test().state) for name in ("dwh", "theirs", "lake", "nowhere")}
    assert states == {"dwh": "success", "theirs": "failed", "lake": "success", "nowhere": "failed"}
    monkeypatch.setattr("local_aws.redshift.types.MAX_VARCHAR", 10)  # its COPY fails
    assert str(found["copy__orders__broken"].test().state) == "failed"
    assert KEY in used, "the planted key was not even used"

    out, err = capfd.readouterr()
    shown = "\n".join([caplog.text, out, err, files(os.environ["AIRFLOW_HOME"])])
    places = {
        "logs": (shown, "public.orders"),
        "Airflow's database": (airflow_database(), "public.orders"),
        "SQL": (statements(project), ROLE),
        "objects": (stored(project), "public.orders"),
        "tables": (database(postgres), "public.orders"),
        "Glue": (str(project.client("glue").get_tables(DatabaseName="analytics")["TableList"]), "tablekeep_backup"),
    }
    for place, (text, sign) in places.items():
        assert sign in text, f"nothing was found in the {place}"
        for planted in PLANTED:
            assert planted not in text, f"{planted} is in the {place}"


def _noting(used: set[str], real: Any) -> Any:
    """Notes with which access keys clients are made."""

    def client(self: Any, service: str, region: str | None = None) -> Any:
        made = real(self, service, region)
        used.add(made._request_signer._credentials.access_key)
        return made

    return client
