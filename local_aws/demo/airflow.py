"""Airflow for the demo: its environment, its four processes, and its REST API."""

import json
import secrets
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from local_aws.demo.processes import DemoError, Server, free_ports
from local_aws.environment import child_environment

PROJECT = Path(__file__).resolve().parents[2]
USER = "admin"
TRIES = 5


@dataclass(frozen=True)
class Settings:
    """What an Airflow on this machine is made of.

    :ivar home: its directory; `airflow/` and `logs/` are below it. :ivar metadata: DSN of its own database.
    :ivar analytics: DSN of the copies' database. :ivar pipelines: folder of pipeline files; None: the project's.
    :ivar options: of Airflow (`CORE__EXECUTOR`), over the ones here.
    """

    home: Path
    endpoint: str
    metadata: str
    analytics: str
    dags: Path = PROJECT / "dags"
    pipelines: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class Api:
    """Airflow's REST API as one of its users."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url, self.user, self._password = url, user, password
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no netrc
        self._token = ""

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return self._session.get(f"{self.url}/api/v2/version", timeout=5).ok
        except requests.RequestException:
            return False

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """One request to the REST API, `/dags/backup__orders`. Lost connections are tried again.

        :raises DemoError: when the answer is an error.
        """
        for left in reversed(range(TRIES)):
            try:
                if not self._token:
                    self._log_in()
                answer = self._session.request(
                    method,
                    f"{self.url}/api/v2{path}",
                    timeout=30,
                    headers={"Authorization": f"Bearer {self._token}"},
                    **arguments,
                )
                break
            except requests.RequestException as error:
                if not left:
                    raise DemoError(f"Airflow's API server does not answer {path}: {type(error).__name__}") from None
                time.sleep(1)
        if not answer.ok:
            raise DemoError(f"Airflow's API answered {method} {path} with {answer.status_code}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    def _log_in(self) -> None:
        answer = self._session.post(
            f"{self.url}/auth/token", json={"username": self.user, "password": self._password}, timeout=30
        )
        if not answer.ok:
            raise DemoError(f"Airflow refuses the log-in with {answer.status_code}: {answer.text[:300]}")
        self._token = str(answer.json()["access_token"])


class Airflow:
    """Scheduler, DAG processor, triggerer and API server, each a process of its own, on free ports."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.password = secrets.token_urlsafe(9)
        self.port, worker_logs, trigger_logs = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = settings.home / "airflow"
        self.logs = settings.home / "logs"
        self._passwords = self.directory / "passwords.json"
        self.environment = self._environment(worker_logs, trigger_logs)
        self.api = Api(self.url, USER, self.password)

    def _environment(self, worker_logs: int, trigger_logs: int) -> dict[str, str]:
        settings = self.settings
        key = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        options = {
            "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "CORE__DAGS_FOLDER": str(settings.dags),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__FERNET_KEY": key,
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__PARALLELISM": "4",
            "CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords),
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "API__BASE_URL": self.url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__SECRET_KEY": secrets.token_urlsafe(32),
            "API__WORKERS": "1",
            "API_AUTH__JWT_SECRET": secrets.token_urlsafe(32),
            "DATABASE__SQL_ALCHEMY_CONN": settings.metadata.replace("postgresql://", "postgresql+psycopg2://", 1),
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "15",
            "LOGGING__BASE_LOG_FOLDER": str(self.logs / "tasks"),
            "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(self.logs / "dag-files"),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        options |= settings.options
        extra = {f"AIRFLOW__{name}": value for name, value in options.items()} | {
            "AIRFLOW_HOME": str(self.directory),
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "AIRFLOW_CONN_ANALYTICS_PG": settings.analytics,
            "TABLEKEEP_ENV": "dev",
        }
        if settings.pipelines is not None:
            extra["TABLEKEEP_PIPELINES"] = str(settings.pipelines)
        return child_environment(settings.home / "home", settings.endpoint, extra)

    def command(self, *arguments: str) -> list[str]:
        """`airflow …` with this Python, and nothing of the working directory on its path."""
        return [sys.executable, "-P", "-s", "-m", "airflow", *arguments]

    def prepare(self) -> Server:
        """Writes the log-in, and gives the process that makes the database; it ends by itself."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self._passwords.write_text(json.dumps({USER: self.password}) + "\n")
        self._passwords.chmod(0o600)
        return self._server("migrate", "db", "migrate")

    def servers(self) -> list[Server]:
        """In the order in which they start; they stop in the opposite one."""
        api = self._server(
            "api-server", "api-server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"
        )
        api.ready = self.api.answers
        names = ("scheduler", "dag-processor", "triggerer")
        return [api, *(self._server(name, name) for name in names)]

    def celery_worker(self, name: str) -> Server:
        """One more process that runs tasks, when the executor is Celery's; its log tells which."""
        return self._server(
            name, "celery", "worker", "--concurrency", "2", "--celery-hostname", f"{name}@%h", "--skip-serve-logs"
        )

    def _server(self, name: str, *arguments: str) -> Server:
        return Server(
            f"Airflow's {name}", self.command(*arguments), self.environment, self.logs / f"{name}.log", self.directory
        )

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """One request to the REST API as the demo's user, see `Api.call`."""
        return self.api.call(method, path, **arguments)

    def api_of(self, user: str) -> "Api":
        """The REST API as another user of `CORE__SIMPLE_AUTH_MANAGER_USERS`; Airflow made up the password when it started."""
        return Api(self.url, user, json.loads(self._passwords.read_text())[user])

    def log_of(self, dag: str, run: str, task: str, try_number: int) -> Path:
        """Where a task's log lies (Airflow's default name)."""
        return self.logs / "tasks" / f"dag_id={dag}" / f"run_id={run}" / f"task_id={task}" / f"attempt={try_number}.log"
