"""The real demo, in surroundings that want it to reach AWS, another Airflow and other code."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from local_aws.demo.processes import StateFile

PROJECT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.airflow, pytest.mark.slow]


@pytest.fixture
def home() -> Iterator[Path]:
    # not below pytest's tmp_path, whose directories are closed to the user that PostgreSQL runs as under root
    directory = Path(tempfile.mkdtemp(prefix="tablekeep-demo-"))
    directory.chmod(0o711)
    yield directory / "demo"
    subprocess.run(
        [sys.executable, "-E", "-s", "-m", "local_aws.demo", "--home", str(directory / "demo"), "down"],
        cwd=PROJECT,
        check=False,
    )
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def trap() -> Iterator[tuple[str, list[str]]]:
    """A server that nobody may ask anything."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_error(418)

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_CONNECT = answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def hostile(directory: Path, trap: str) -> dict[str, str]:
    """Variables and files that would change what an unguarded process does."""
    code = directory / "hostile-code"
    code.mkdir()
    mark = f"open({str(directory / 'mark')!r}, 'a').write('x')\n"
    for module in ("sitecustomize", "usercustomize", "tablekeep_local", "yaml", "boto3"):
        (code / f"{module}.py").write_text(mark + "raise ImportError('this is not the module you look for')\n")
    config = directory / "aws-config"
    config.write_text(f"[profile prod]\nregion = eu-west-1\nendpoint_url = {trap}\n[default]\nendpoint_url = {trap}\n")
    names = ("DYNAMODB", "S3", "STS", "REDSHIFT_DATA", "SECRETS_MANAGER", "APPLICATION_AUTO_SCALING")
    return {f"AWS_ENDPOINT_URL_{name}": trap for name in names} | {
        "AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "real", "AWS_SESSION_TOKEN": "real", "AWS_PROFILE": "prod",
        "AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(config), "AWS_ENDPOINT_URL": trap,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(config), "AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/admin",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{trap}/credentials", "AWS_EC2_METADATA_SERVICE_ENDPOINT": trap,
        "HTTP_PROXY": trap, "HTTPS_PROXY": trap, "http_proxy": trap, "https_proxy": trap, "ALL_PROXY": trap, "NO_PROXY": "", "no_proxy": "",
        "AIRFLOW_HOME": str(directory / "airflow-of-the-user"), "AIRFLOW_CONFIG": str(directory / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(code), "AIRFLOW__CORE__PLUGINS_FOLDER": str(code), "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://u:p@127.0.0.1:9/prod", "AIRFLOW__CORE__PARALLELISM": "0",
        "AIRFLOW_CONN_AWS_DEFAULT": f"aws://real:real@/?endpoint_url={trap}", "AIRFLOW_CONN_ANALYTICS_PG": "postgresql://u:p@127.0.0.1:9/prod",
        "TABLEKEEP_ENV": "prod", "TABLEKEEP_PIPELINES": str(code), "PGHOST": "127.0.0.1", "PGPORT": "9", "PGSERVICE": "prod",
        "PYTHONPATH": str(code), "PYTHONSTARTUP": str(code / "yaml.py"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "7",
    }  # fmt: skip


def processes_below(home: Path) -> list[str]:
    """Command lines of processes that this demo started and left."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "environ"]):
        environment = process.info["environ"] or {}
        if str(home) in " ".join(
            [*(process.info["cmdline"] or []), environment.get("AIRFLOW_HOME", ""), environment.get("HOME", "")]
        ):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def test_the_demo_proves_everything_and_cannot_be_led_astray(
    home: Path, trap: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = trap
    environment = os.environ | hostile(tmp_path, address) | {"DEMO_EXIT": "1"}
    command = [sys.executable, "-E", "-s", "-m", "local_aws.demo", "--home", str(home), "up"]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result = json.loads((home / "result.json").read_text())
    assert result["proved"]
    assert {table["pipeline"]: (table["items"], table["rows"]) for table in result["tables"]} == {
        "flights": (10452, {"analytics": 10452, "dwh": 10452}),
        "orders": (1000, {"analytics": 1000, "dwh": 1000}),
    }
    assert all(table["drill"] and table["rto_seconds"] > 0 and table["rpo_seconds"] > 0 for table in result["tables"])
    assert "Everything was proved" in done.stdout
    assert "Everything was proved" in (home / "result.html").read_text()
    assert asked == []
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "airflow-of-the-user").exists()
    assert processes_below(home) == []


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A demo that is ended when a test fails, too."""
    demo = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert demo.stdout is not None
    try:
        yield demo
    finally:
        demo.terminate()
        demo.wait(60)
        demo.stdout.close()


def test_it_stays_up_until_it_is_ended_and_a_second_one_is_refused(home: Path) -> None:
    command = [sys.executable, "-E", "-s", "-m", "local_aws.demo", "--home", str(home)]
    environment = {name: value for name, value in os.environ.items() if name != "DEMO_EXIT"}
    with started([*command, "up"], environment) as demo:
        assert demo.stdout is not None
        printed = ""
        for line in demo.stdout:
            printed += line
            if "It stays up" in line or "demo:" in line:
                break
        assert "Everything was proved" in printed, printed[-3000:]
        second = subprocess.run(
            [*command, "up"], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 1
        url = (StateFile(home).read() or {})["url"]
        assert f"a demo runs here already (process {demo.pid}, {url})" in second.stderr
        answer = subprocess.run(
            [*command, "psql", "--", "-Atc", "select count(*) from public.flights"],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.stdout == "10452\n"
        listening = {
            connection.laddr.ip
            for mark in StateFile(home).marks()
            for connection in psutil.Process(mark.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening <= {"127.0.0.1", "0.0.0.0", "::"}  # the two log servers cannot be bound, says Airflow
        for mark in StateFile(home).marks():
            process = psutil.Process(mark.pid)
            if any(word in " ".join(process.cmdline()) for word in ("api-server", "local_aws", "postgres")):
                ours = [one.laddr.ip for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
                assert set(ours) <= {"127.0.0.1"}, process.cmdline()
        down = subprocess.run(
            [*command, "down"], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert (down.returncode, down.stdout) == (0, "demo: ended\n")
        assert demo.wait(30) == 0
    assert processes_below(home) == []
    none = subprocess.run([*command, "down"], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert none.stdout == "demo: none runs here\n"


def test_what_a_killed_demo_left_is_ended(home: Path) -> None:
    command = [sys.executable, "-E", "-s", "-m", "local_aws.demo", "--home", str(home)]
    with started([*command, "up"], dict(os.environ)) as demo:
        deadline = time.monotonic() + 60
        while len(StateFile(home).marks()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        demo.send_signal(signal.SIGKILL)
        demo.wait()
    assert processes_below(home)
    down = subprocess.run([*command, "down"], cwd=PROJECT, capture_output=True, text=True, timeout=90, check=False)
    assert "that a killed demo left" in down.stdout
    assert processes_below(home) == []
