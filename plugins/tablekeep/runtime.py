"""What every operator needs of Airflow: its time, its clients, its state, and which failures are worth a retry.

The one place that reads dates and run types of a run (`run_time`); operators and DAGs read none.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

from tablekeep.engine.errors import BadInputError, TablekeepError, ThrottledError, TransientError

if TYPE_CHECKING:
    from tablekeep.engine.clients import SessionClients
    from tablekeep.engine.connections import Connection

log = logging.getLogger(__name__)

STALE = timedelta(minutes=15)
"""A manual run that names a time further than this from when it was triggered does not mean now."""


@dataclass(frozen=True)
class RunTime:
    """When a run is for.

    :ivar as_of: its logical date, else the time after which it was to run; aware. :ivar backfill: it is part of a backfill.
    :ivar names_past: a person named a time, by hand, that is not now.
    """

    as_of: datetime
    backfill: bool
    names_past: bool

    def check_now(
        self, what: str, why: str = "a scan can only read the table as it is now; the set would carry a wrong date"
    ) -> None:
        """That the run is for now, which is all that a scan or a snapshot can see. Scheduled, late, retried and cleared runs are.

        :raises BadInputError: for a backfill, and for a manual run that names another time.
        """
        if self.backfill or self.names_past:
            asked = f"{self.as_of:%Y-%m-%d %H:%M} UTC"
            kind = "a backfill run" if self.backfill else "a manual run"
            raise BadInputError(
                what,
                f"this is {kind} for {asked}, and {why}",
                "trigger a run without a logical date for a backup of now",
            )


def run_time(context: Mapping[str, Any]) -> RunTime:
    """The run's time out of Airflow's context. Keys of dates may be missing there: a manual run can have none."""
    run = context["dag_run"]
    kind = str(getattr(run.run_type, "value", run.run_type))
    logical: datetime | None = run.logical_date
    named = kind == "manual" and logical is not None and abs(run.run_after - logical) > STALE
    return RunTime(logical or run.run_after, kind == "backfill", named)


def actor(context: Mapping[str, Any]) -> str:
    """Who asked for the run, for records: the person who triggered it, else `airflow`."""
    person = context["dag_run"].triggering_user_name
    return f"{person} (Airflow)" if person else "airflow"


def requester(context: Mapping[str, Any]) -> str:
    """The user who triggered the run; empty when nobody did."""
    return str(context["dag_run"].triggering_user_name or "")


def run_name(context: Mapping[str, Any]) -> str:
    """`backup__orders/scheduled__2026-01-03T02:00:00+00:00`."""
    run = context["dag_run"]
    return f"{run.dag_id}/{run.run_id}"


class ByErrorFamily(RetryPolicy):
    """Tries again what may pass, slower what was throttled, and nothing else of the engine's errors."""

    def __init__(self, throttled_delay: timedelta = timedelta(minutes=10)) -> None:
        self.throttled_delay = throttled_delay

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """Airflow calls it in the worker, with the error that ended the try."""
        if isinstance(exception, ThrottledError):
            return RetryDecision.retry(delay=self.throttled_delay, reason="the service asked for less")
        if isinstance(exception, TransientError):
            return RetryDecision.retry(reason="this may pass")
        if isinstance(exception, TablekeepError):
            return RetryDecision.fail(reason=f"{exception.family}: trying again cannot help")
        return RetryDecision.default()


def clients_for(aws_conn_id: str, region: str | None, *services: str) -> "SessionClients":
    """AWS clients with the credentials, Region and endpoints of an Airflow connection.

    :param services: more than `SERVICES`, for which the connection may have endpoints, too.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    from tablekeep.engine.clients import SessionClients
    from tablekeep.engine.connections import SERVICES

    hook = AwsBaseHook(aws_conn_id=aws_conn_id, client_type="sts", region_name=region)
    endpoints = {name: hook.conn_config.get_service_endpoint_url(name) for name in (*SERVICES, *services)}
    session = hook.get_session(region_name=region)
    return SessionClients(
        session, region=region or hook.region_name, endpoints={name: url for name, url in endpoints.items() if url}
    )


def connection_for(conn_id: str) -> "Connection":
    """An Airflow connection as the engine knows connections.

    :raises BadInputError: when Airflow has none of that id.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from tablekeep.engine.connections import Connection

    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise BadInputError(
            f"finding the connection {conn_id}",
            "Airflow has none of that id",
            f"add it in Airflow, or set AIRFLOW_CONN_{conn_id.upper()}",
        ) from None
    return Connection(
        conn_id, (found.conn_type or "").replace("-", "_"), found.host or "", found.login or "", found.password or "",
        found.schema or "", found.port, found.extra_dejson,
    )  # fmt: skip


class LogProgress:
    """Progress as lines in the task's log: one a phase, and one every `every_seconds` while it lasts."""

    def __init__(self, every_seconds: float = 10.0) -> None:
        self._every = every_seconds
        self._lock = threading.Lock()
        self._name, self._unit, self._total, self._done = "", "items", 0, 0
        self._began = self._said = time.monotonic()

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        with self._lock:
            self._name, self._unit, self._total, self._done = name, unit, total or 0, 0
            self._began = self._said = time.monotonic()
            log.info("%s%s", name, f": about {total:,} {unit} expected" if total else "")

    def advance(self, count: int, byte_count: int = 0) -> None:
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._said < self._every:
                return
            self._said = now
            rate = self._done / (now - self._began)
            left = f", about {max(0.0, (self._total - self._done) / rate):,.0f} s left" if self._total and rate else ""
            of = f" of about {self._total:,}" if self._total else ""
            log.info("%s: %s%s %s, %s a second%s", self._name, f"{self._done:,}", of, self._unit, f"{rate:,.0f}", left)

    def note(self, text: str) -> None:
        log.info("note: %s", text)


def remembered(context: Mapping[str, Any], key: str, fresh: Any) -> tuple[Any, bool]:
    """A value that the tries of one run share: the stored one on a retry, else `fresh`, which is stored before it is used.

    After a clear the run counts one more clear, and what was stored before does not apply (Airflow 3.3 keeps it).

    :returns: the value, and whether it is an earlier try's.
    """
    store = context["task_state_store"]
    generation = context["dag_run"].clear_number or 0
    stored = store.get(key)
    if isinstance(stored, dict) and stored.get("generation") == generation and "value" in stored:
        return stored["value"], True
    store.set(key, {"generation": generation, "value": fresh})
    return fresh, False
