"""Runs DAGs through Airflow's REST API and follows them to their end."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from local_aws.demo.airflow import Airflow
from local_aws.demo.processes import DemoError, last_lines

ENDED = ("success", "failed")


@dataclass
class Run:
    """One run of a DAG, as last seen.

    :ivar tasks: state by task, in the order in which they ran.
    """

    dag: str
    run_id: str
    state: str = "queued"
    tasks: dict[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def __str__(self) -> str:
        told = ", ".join(f"{name} {state or 'waiting'}" for name, state in self.tasks.items())
        return f"{self.dag}: {self.state}{f' ({told})' if told else ''}"


class Follower:
    """Watches runs and says what changed.

    :param say: gets one line a change. :param check: raises when a server has ended.
    :param patience: seconds without any change after which it is given up.
    """

    def __init__(
        self, airflow: Airflow, say: Callable[[str], None], check: Callable[[], None], patience: float = 120.0
    ) -> None:
        self._airflow, self._say, self._check, self._patience = airflow, say, check, patience
        self._changed = time.monotonic()
        self._said: dict[str, str] = {}

    def wait_for_dags(self, expected: Sequence[str]) -> None:
        """Until Airflow knows all of them.

        :raises DemoError: when it does not in time; with its import errors, if it has some.
        """
        self._changed = time.monotonic()
        missing = set(expected)
        while missing:
            found = {one["dag_id"] for one in self._airflow.call("GET", "/dags?limit=200")["dags"]}
            if len(missing - found) < len(missing):
                self._changed = time.monotonic()
            missing -= found
            if missing:
                errors = self._airflow.call("GET", "/importErrors")["import_errors"]
                if errors:
                    raise DemoError(
                        f"Airflow cannot import {errors[0]['filename']}:\n{errors[0]['stack_trace'][-2000:]}"
                    )
                self._pause(f"Airflow does not know {', '.join(sorted(missing))}")

    def trigger(self, dag: str, **conf: Any) -> Run:
        """A manual run for now."""
        answer = self._airflow.call("POST", f"/dags/{dag}/dagRuns", json={"logical_date": None, "conf": conf})
        self._changed = time.monotonic()
        return Run(dag, answer["dag_run_id"], answer["state"])

    def runs_of(self, dag: str) -> list[Run]:
        """All runs, newest first."""
        answer = self._airflow.call("GET", f"/dags/{dag}/dagRuns?order_by=-run_after&limit=50")
        return [Run(dag, one["dag_run_id"], one["state"]) for one in answer["dag_runs"]]

    def look(self, run: Run) -> Run:
        """Brings a run up to date, and says what changed."""
        path = f"/dags/{run.dag}/dagRuns/{quote(run.run_id, safe='')}"
        run.state = self._airflow.call("GET", path)["state"]
        tasks = self._airflow.call("GET", f"{path}/taskInstances")["task_instances"]
        ordered = sorted(tasks, key=lambda one: (one["start_date"] or "9", one["task_id"]))
        run.tasks = {one["task_id"]: one["state"] or "" for one in ordered}
        if self._said.get(run.run_id + run.dag) != str(run):
            self._said[run.run_id + run.dag] = str(run)
            self._changed = time.monotonic()
            self._say(str(run))
        if run.state == "failed":
            raise DemoError(self._why(run, tasks))
        return run

    def first_run(self, dag: str) -> Run | None:
        """The newest run that Airflow began by itself, if there is one."""
        found = self.runs_of(dag)
        return found[0] if found else None

    def follow(self, runs: Sequence[Run]) -> None:
        """Until all of them have ended well.

        :raises DemoError: when one fails, with its log's last lines, or when nothing changes for too long.
        """
        while True:
            for run in runs:
                if not run.ended:
                    self.look(run)
            if all(run.ended for run in runs):
                return
            self._pause("; ".join(str(run) for run in runs if not run.ended))

    def _pause(self, what: str) -> None:
        self._check()
        if time.monotonic() - self._changed > self._patience:
            raise DemoError(f"nothing has changed for {self._patience:.0f} s: {what}")
        time.sleep(0.7)

    def wait_for_run(self, dag: str) -> Run:
        """The run that an asset's event brings."""
        while True:
            run = self.first_run(dag)
            if run is not None:
                return run
            self._pause(f"{dag} has not begun")

    def _why(self, run: Run, tasks: list[dict[str, Any]]) -> str:
        failed = [one for one in tasks if one["state"] == "failed"]
        if not failed:
            return f"{run.dag} failed"
        one = failed[0]
        log = self._airflow.log_of(run.dag, run.run_id, one["task_id"], one["try_number"])
        return f"the task {one['task_id']} of {run.dag} failed; {log} ends so:\n{readable(last_lines(log))}"


def readable(lines: str) -> str:
    """Airflow's log lines, which are JSON, as a person reads them: time, level, text, and the error itself."""
    told = []
    for line in lines.splitlines():
        try:
            entry = json.loads(line)
            told.append(f"{entry['timestamp'][11:19]} {entry['level']:<7} {entry['event']}")
            told += [f"  {one['exc_type']}: {one['exc_value']}" for one in entry.get("error_detail") or []]
        except (ValueError, KeyError, TypeError):
            told.append(line)
    return "\n".join(told)
