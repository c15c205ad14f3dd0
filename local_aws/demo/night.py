"""One demo from its start to its end: servers, data, one night of the pipelines, the proof."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from rich.console import Console
from rich.table import Table

from local_aws import datasets
from local_aws.demo.airflow import PROJECT, USER, Airflow, Settings
from local_aws.demo.follow import Follower, Run
from local_aws.demo.processes import DemoError, Mark, Server, StateFile, free_ports
from local_aws.demo.result import HEADINGS, Result, cells, look, page
from local_aws.environment import REGION, aws_variables, child_environment
from local_aws.postgres import EmbeddedPostgres, PostgresError
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.config.kinds.dynamodb import DynamoDBPipeline
from tablekeep.engine.config.load import load_folder
from tablekeep.engine.names import parse_s3

STEPS = 8


class Demo:
    """Owns the servers. As a context it ends them all, PostgreSQL last.

    :param home: everything is written below it. :param options: of Airflow, over the demo's.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path | None = None,
        pipelines: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.resolve()
        self._options = options or {}
        self._dags, self._pipelines = dags or PROJECT / "dags", pipelines
        self.console = Console(highlight=False, soft_wrap=True)
        self.state = StateFile(self.home)
        self.postgres = EmbeddedPostgres(self.home / "postgres")
        self.phases: dict[str, float] = {}
        self.endpoint = ""
        self.airflow: Airflow | None = None
        self._servers: list[Server] = []
        self._marks: list[Mark] = []
        self._began = time.monotonic()
        self._step = 0

    def __enter__(self) -> "Demo":
        running = self.state.main()
        if running is not None:
            url = (self.state.read() or {}).get("url", "")
            raise DemoError(
                f"a demo runs here already (process {running.pid}{f', {url}' if url else ''}); end it with `make demo-down`"
            )
        self.home.mkdir(parents=True, exist_ok=True)
        for stale in ("postgres", "airflow", "logs"):
            if (self.home / stale).exists():
                shutil.rmtree(self.home / stale)
        (self.home / "logs").mkdir()
        self._write_state()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # nobody may be left to read it: the servers are stopped all the same
            self.console.print("stopping the servers …")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(Server.stop, reversed(self._servers)))
        self.postgres.stop()
        self.state.remove()

    def _write_state(self) -> None:
        document: dict[str, Any] = {
            "main": vars(Mark.of(os.getpid())),
            "children": [vars(mark) for mark in reversed(self._marks)],
        }
        if self.postgres.pid:
            document["children"].append(vars(Mark.of(self.postgres.pid)))
        if self.airflow is not None:
            document |= {
                "url": self.airflow.url,
                "user": USER,
                "password": self.airflow.password,
                "endpoint": self.endpoint,
            }
        self.state.write(document)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """One step with its time, said before it begins."""
        self._step += 1
        self.console.print(f"[bold]\\[{self._step}/{STEPS}][/bold] {text} …")
        began = time.monotonic()
        yield
        self.phases[text] = round(time.monotonic() - began, 1)

    def say(self, text: str) -> None:
        self.console.print(f"      {time.monotonic() - self._began:5.0f} s  {text}", markup=False)

    def check(self) -> None:
        """:raises DemoError: when a server has ended by itself."""
        for server in self._servers:
            server.check()

    def add(self, server: Server) -> None:
        """Starts one more server, which ends with the others."""
        self._servers.append(server)
        self._marks.append(server.start())
        self._write_state()

    def start(self) -> Airflow:
        """PostgreSQL, the stand-in for AWS, and Airflow, until all can be used; the data is loaded meanwhile."""
        with self.step("starting PostgreSQL"):
            try:
                self.postgres.start()
            except PostgresError as error:
                raise DemoError(str(error)) from None
            databases = {name: self.postgres.create_database(name) for name in ("airflow", "analytics", "redshift")}
            self._write_state()
            self.say(f"127.0.0.1:{self.postgres.port}, log {self.postgres.log}")
            if os.geteuid() == 0:
                self.say(
                    "as root: it runs as the user nobody, who may now pass through (not list) the directories above it and its binaries"
                )
        with self.step("starting the stand-in for AWS"):
            self._start_aws(databases["redshift"])
            self.say(self.endpoint)
        self.airflow = Airflow(
            Settings(
                self.home,
                self.endpoint,
                databases["airflow"],
                databases["analytics"],
                self._dags,
                self._pipelines,
                self._options,
            )
        )
        with self.step("making Airflow's database, and loading DynamoDB's tables meanwhile"):
            migrate = self.airflow.prepare()
            self.add(migrate)
            self.loaded = self._load()
            self._finish(migrate)
        with self.step("starting Airflow"):
            for server in self.airflow.servers():
                self.add(server)
            for server in self._servers:
                server.wait(90)
            self.say(f"{self.airflow.url}  user {USER}  password {self.airflow.password}")
        return self.airflow

    def _start_aws(self, dsn: str) -> None:
        (port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-s", "-m", "local_aws", "--port", str(port), "--postgres", dsn]
        server = Server(
            "the stand-in for AWS",
            command,
            child_environment(self.home / "home", None),
            self.home / "logs" / "local-aws.log",
            PROJECT,
        )
        os.environ |= aws_variables(self.endpoint)
        server.ready = self._answers
        self.add(server)
        server.wait(60)
        bucket = boto3.session.Session().client("s3", region_name=REGION)
        for name in {parse_s3(pipeline.backup.to)[0] for pipeline in self.pipelines}:
            bucket.create_bucket(Bucket=name)

    def _answers(self) -> bool:
        import requests

        session = requests.Session()
        session.trust_env = False
        with contextlib.suppress(requests.RequestException):
            return session.get(f"{self.endpoint}/moto-api/", timeout=2).status_code < 500
        return False

    def _finish(self, migrate: Server) -> None:
        assert migrate.process is not None
        deadline = time.monotonic() + 180
        while migrate.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        code = migrate.process.poll()
        if code != 0:
            migrate.process.returncode = code
            migrate.check()
            raise DemoError(f"Airflow's database was not made in 180 s; see {migrate.log}")
        self._servers.remove(migrate)
        self._marks = [mark for mark in self._marks if mark.pid != migrate.process.pid]
        self._write_state()

    @property
    def pipelines(self) -> list[DynamoDBPipeline]:
        """The enabled pipelines of tables that the demo runs."""
        loaded = load_folder(self._pipelines or PROJECT / "include" / "pipelines", environment="dev")
        if loaded.problems:
            raise DemoError("\n".join(["the pipeline files are wrong:", *(str(one) for one in loaded.problems)]))
        return [one for one in loaded.pipelines if one.enabled and isinstance(one, DynamoDBPipeline)]

    def _load(self) -> dict[str, int]:
        """Makes the tables and gives how many items each has."""
        client = boto3.session.Session().client("dynamodb", region_name=REGION)
        loaded = {}
        for pipeline in self.pipelines:
            done = datasets.create_and_load(client, pipeline.table)
            loaded[pipeline.table] = done.items
            self.say(f"table {pipeline.table}: {done.items:,} items")
        return loaded

    def run(self) -> Result:
        """The night: backups, copies and drills as Airflow runs them, followed to their end, and the result."""
        assert self.airflow is not None
        airflow, pipelines = self.airflow, self.pipelines
        follower = Follower(airflow, self.say, self.check)
        copies = [f"copy__{one.name}__{copy.name}" for one in pipelines for copy in one.copies]
        backups = [f"backup__{one.name}" for one in pipelines]
        drills = [f"drill__{one.name}" for one in pipelines if one.drill]
        with self.step("waiting until Airflow has read the pipelines"):
            follower.wait_for_dags([*backups, *copies, *drills])
        with self.step("backing up and verifying"):
            follower.follow([follower.trigger(dag) for dag in backups])
        with self.step("copying (woken by the new backups) and drilling the restore"):
            runs: list[Run] = [follower.trigger(dag) for dag in drills]
            runs += [follower.wait_for_run(dag) for dag in copies]
            follower.follow(runs)
        with self.step("looking at what is there"):
            clients = SessionClients(region=REGION)
            databases = {"postgres": self.postgres.dsn("analytics"), "redshift": self.postgres.dsn("redshift")}
            tables = [look(one, self.loaded[one.table], clients, databases) for one in pipelines]
        result = Result(tables, round(time.monotonic() - self._began, 1), self.phases, airflow.url, USER)
        (self.home / "result.json").write_text(json.dumps(result.as_dict(), indent=2) + "\n")
        (self.home / "result.html").write_text(page(result), encoding="utf-8")
        return result

    def tell(self, result: Result) -> None:
        """The table that ends the demo."""
        assert self.airflow is not None
        table = Table(title="", show_edge=False, header_style="bold", box=None, pad_edge=False)
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading in ("pipeline", "drill") else "right", no_wrap=True)
        for one in result.tables:
            table.add_row(*cells(one))
        self.console.print()
        if not self.console.is_terminal:
            self.console.width = 140
        self.console.print(table)
        self.console.print()
        for one in result.tables:
            self.console.print(f"{one.pipeline}: {one.backup or 'no backup'}", markup=False)
            for problem in one.problems:
                self.console.print(f"  NOT PROVED: {problem}", markup=False)
        verdict = "Everything was proved" if result.proved else "NOT everything was proved"
        self.console.print(f"\n[bold]{verdict}[/bold] in {result.seconds:.0f} s. Page: {self.home / 'result.html'}")
        host = urlsplit(self.airflow.url).netloc
        self.console.print(f"Airflow: http://{host}  user {USER}  password {self.airflow.password}", markup=False)
