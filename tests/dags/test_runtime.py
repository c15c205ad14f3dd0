"""Time, state and retries: what operators take from Airflow's context."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, ThrottledError, TransientError
from tablekeep.runtime import (
    ByErrorFamily,
    LogProgress,
    actor,
    clients_for,
    connection_for,
    remembered,
    run_name,
    run_time,
)

NOW = datetime(2026, 1, 3, 2, 0, tzinfo=UTC)


@dataclass
class DagRun:
    """The fields that Airflow's worker gives."""

    run_type: str = "scheduled"
    logical_date: datetime | None = NOW
    run_after: datetime = NOW
    clear_number: int | None = 0
    triggering_user_name: str | None = None
    dag_id: str = "backup__orders"
    run_id: str = "scheduled__1"


@dataclass
class Store:
    values: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


def context(store: Store | None = None, **run: Any) -> dict[str, Any]:
    return {"dag_run": DagRun(**run), "task_state_store": store or Store()}


@pytest.mark.parametrize(
    ("run", "as_of", "now"),
    [
        ({}, NOW, True),
        ({"run_after": NOW + timedelta(days=3)}, NOW, True),  # late: the night's run is made up for
        ({"run_type": "manual", "logical_date": None}, NOW, True),
        ({"run_type": "manual"}, NOW, True),
        ({"run_type": "manual", "logical_date": NOW - timedelta(minutes=15)}, NOW - timedelta(minutes=15), True),
        ({"run_type": "manual", "logical_date": NOW - timedelta(minutes=16)}, NOW - timedelta(minutes=16), False),
        ({"run_type": "manual", "logical_date": NOW + timedelta(days=1)}, NOW + timedelta(days=1), False),
        ({"run_type": "asset_triggered", "logical_date": None}, NOW, True),
        ({"run_type": "backfill"}, NOW, False),
    ],
)
def test_which_runs_are_for_now(run: dict[str, Any], as_of: datetime, now: bool) -> None:
    when = run_time(context(**run))
    assert when.as_of == as_of
    if now:
        when.check_now("backing up")
    else:
        with pytest.raises(BadInputError, match="a scan can only read the table as it is now"):
            when.check_now("backing up")


def test_tries_of_one_run_share_a_value_and_a_clear_makes_a_new_one() -> None:
    store = Store()
    assert remembered(context(store), "id", "first") == ("first", False)
    assert remembered(context(store), "id", "second") == ("first", True)
    assert remembered(context(store, clear_number=1), "id", "third") == ("third", False)
    assert remembered(context(store, clear_number=1), "id", "fourth") == ("third", True)
    assert remembered(context(store, clear_number=None), "other", "fifth") == ("fifth", False)


def test_who_and_which_run() -> None:
    assert actor(context()) == "airflow"
    assert actor(context(triggering_user_name="ana")) == "ana (Airflow)"
    assert run_name(context()) == "backup__orders/scheduled__1"


@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (BadInputError("a", "b"), "fail", None),
        (PermanentError("a", "b"), "fail", None),
        (IntegrityError("a", "b"), "fail", None),
        (TransientError("a", "b"), "retry", None),
        (ThrottledError("a", "b"), "retry", timedelta(minutes=10)),
        (ValueError("a bug"), "default", None),
    ],
)
def test_what_is_tried_again(error: Exception, action: str, delay: timedelta | None) -> None:
    decision = ByErrorFamily().evaluate(error, 1, 3)
    assert (decision.action.value, decision.retry_delay) == (action, delay)


def test_progress_is_a_line_a_phase_and_one_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="tablekeep.runtime")
    progress = LogProgress(every_seconds=0)
    progress.phase("scan", 1000)
    progress.advance(250)
    progress.note("slow today")
    LogProgress(every_seconds=3600).advance(1)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0] == "scan: about 1,000 items expected"
    assert texts[1].startswith("scan: 250 of about 1,000 items, ")
    assert texts[2:] == ["note: slow today"]


def test_clients_of_a_connection(monkeypatch: pytest.MonkeyPatch, airflow_database: None) -> None:
    uri = "aws://AKIA:secret@/?region_name=eu-west-1&endpoint_url=http%3A%2F%2F127.0.0.1%3A9"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SHOP", uri)
    clients = clients_for("aws_shop", None)
    assert clients.region == "eu-west-1"
    assert clients.client("dynamodb").meta.endpoint_url == "http://127.0.0.1:9"
    assert clients_for("aws_shop", "us-west-2").region == "us-west-2"


def test_a_database_connection_of_airflow(monkeypatch: pytest.MonkeyPatch, airflow_database: None) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PG", "postgres://u:p%40@db.example:5433/shop?sslmode=require")
    found = connection_for("pg")
    assert (found.conn_type, found.host, found.login, found.password, found.schema, found.port) == (
        "postgres", "db.example", "u", "p@", "shop", 5433,
    )  # fmt: skip
    assert dict(found.extra) == {"sslmode": "require"}
    with pytest.raises(BadInputError, match="AIRFLOW_CONN_NOT_THERE"):
        connection_for("not_there")
