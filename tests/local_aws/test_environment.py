"""Child processes cannot reach AWS, whatever surrounds them; PostgreSQL and the server start and stop alone."""

import json
import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import psycopg
import pytest

from local_aws.datasets import Item, create_and_load, dataset, orders
from local_aws.environment import child_environment
from local_aws.postgres import EmbeddedPostgres, PostgresError, connection_of, running_pid, stop_running
from local_aws.server import LocalAws
from tests.local_aws.support import scan_all

ROOT = Path(__file__).parents[2]
HOSTILE = {
    "AWS_PROFILE": "production",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_ENDPOINT_URL_S3": "http://203.0.113.1",
    "AWS_ACCESS_KEY_ID": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "AIRFLOW_HOME": "/elsewhere",
    "AIRFLOW__CORE__FERNET_KEY": "real",
    "PYTHONPATH": "/elsewhere",
    "HTTPS_PROXY": "http://203.0.113.1",
    "PGHOST": "203.0.113.1",
}


def test_nothing_hostile_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local_aws: LocalAws) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    environment = child_environment(tmp_path, local_aws.endpoint, {"EXTRA": "1"})
    assert not {name for name, value in HOSTILE.items() if environment.get(name) == value}
    assert environment["EXTRA"] == "1"
    program = (
        "import boto3, os, sys; session = boto3.session.Session(); keys = session.get_credentials();"
        "print(keys.access_key, keys.token, session.available_profiles, session.client('s3').meta.endpoint_url,"
        " session.client('dynamodb').meta.endpoint_url, os.path.expanduser('~'))"
    )
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["dummy", "None", "[]", local_aws.endpoint, local_aws.endpoint, str(tmp_path)]


def test_a_forgotten_endpoint_is_no_call_to_aws(tmp_path: Path) -> None:
    environment = child_environment(tmp_path, None)
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")


def test_the_server_runs_alone_until_it_is_told(tmp_path: Path) -> None:
    environment = child_environment(tmp_path, None)
    command = [sys.executable, "-m", "local_aws", "--json", "--log", str(tmp_path / "aws.log")]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            variables = json.loads(server.stdout.readline())
            call = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
            client = subprocess.run(
                [sys.executable, "-c", call], env=environment | variables, capture_output=True, text=True, check=True
            )
            assert client.stdout.strip() == "123456789012"
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    assert "POST / 200" in (tmp_path / "aws.log").read_text()


def test_a_taken_port_is_told(tmp_path: Path, local_aws: LocalAws) -> None:
    command = [sys.executable, "-m", "local_aws", "--port", str(local_aws.port)]
    environment = child_environment(tmp_path, None)
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert str(local_aws.port) in run.stderr


def test_postgres_keeps_its_databases_and_stops_for_others(postgres: EmbeddedPostgres) -> None:
    directory = postgres.data_dir.parent / "second"  # beside the session's: its user may pass there
    with EmbeddedPostgres(directory) as server:
        with psycopg.connect(server.create_database("kept"), autocommit=True) as connection:
            connection.execute("create table t (n int)")
        with pytest.raises(PostgresError, match="already uses"):
            EmbeddedPostgres(directory).start()
        assert connection_of(directory) == server.dsn()
        assert os.getsid(server.pid) == server.pid  # Ctrl-C in our terminal does not reach it
        assert stop_running(directory)
    assert running_pid(directory) is None
    with EmbeddedPostgres(directory) as server, psycopg.connect(server.dsn("kept")) as connection:
        assert connection.execute("select count(*) from t").fetchone() == (0,)
        wrong = server.dsn("kept").replace(server.password, "wrong")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)
    assert not stop_running(directory)


def test_postgres_that_cannot_start_shows_its_log(postgres: EmbeddedPostgres) -> None:
    directory = postgres.data_dir.parent / "broken"
    with pytest.raises(PostgresError, match="shared_buffers"):
        EmbeddedPostgres(directory, settings={"shared_buffers": "nonsense"}).start()


@pytest.mark.parametrize("which", ["planes", "orders"])
def test_data_sets_load_whole(local_aws: LocalAws, which: str) -> None:
    client = local_aws.client("dynamodb")
    progress: list[int] = []
    loaded = create_and_load(client, which, orders_count=300, progress=progress.append)
    expected = list(dataset(which, orders_count=300).items())
    assert loaded.items == len(expected) == progress[-1]
    assert sum(map(len, scan_all(client, which))) == len(expected)


def types(value: dict[str, Item]) -> set[str]:
    ((kind, content),) = value.items()
    inside = content.values() if kind == "M" else content if kind == "L" else []
    return {kind}.union(*(types(one) for one in inside))  # type: ignore[arg-type]


def test_orders_use_everything_and_are_the_same_each_time() -> None:
    some = list(orders(400))
    assert some[:50] == list(orders(50))
    assert some != list(orders(400, seed=2))
    found: set[str] = set()
    for item in some:
        found = found.union(*(types(value) for value in item.values()))
    assert found == {"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}
    names = {name for item in some for name in item}
    assert {"_rest", "note", "Note", "NOTE"} <= names
    assert {"S": ""} in [item.get("comment") for item in some]


def test_flights_have_composite_keys_and_numbers() -> None:
    some = list(islice(dataset("flights").items(), 1000))
    assert len({(f["origin_date"]["S"], f["flight"]["S"]) for f in some}) == 1000
    assert some[0]["dep_time"] == {"N": "517"}
