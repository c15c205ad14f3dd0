"""What the Data API remembers of statements: their states, times, errors and results."""

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import psycopg

from local_aws.redshift.runner import Result

ENDED = frozenset(["FINISHED", "FAILED", "ABORTED"])
QUERY_IDS = count(1001)

Body = dict[str, Any]


@dataclass
class Part:
    """One SQL statement of an execution."""

    sql: str
    query_id: int = field(default_factory=lambda: next(QUERY_IDS))
    status: str = "SUBMITTED"
    error: str = ""
    result: Result = field(default_factory=Result)
    created: float = field(default_factory=lambda: now())
    updated: float = field(default_factory=lambda: now())

    def become(self, status: str, error: str = "") -> None:
        self.status, self.error, self.updated = status, error, now()

    def describe(self) -> Body:
        body: Body = {
            "CreatedAt": self.created,
            "UpdatedAt": self.updated,
            "Duration": int((self.updated - self.created) * 1e9) if self.status in ENDED else -1,
            "HasResultSet": self.result.columns is not None,
            "QueryString": self.sql,
            "RedshiftQueryId": self.query_id if self.status not in {"SUBMITTED", "PICKED"} else 0,
            "ResultRows": self.result.rows,
            "ResultSize": len(json.dumps(self.result.records)) if self.result.columns else 0,
            "Status": self.status,
        }
        return body | ({"Error": self.error} if self.error else {})


@dataclass
class Execution:
    """What ExecuteStatement or BatchExecuteStatement began."""

    id: str
    body: Body
    region: str
    parts: list[Part]
    batch: bool
    created: float
    status: str = "SUBMITTED"
    error: str = ""
    updated: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)
    connection: psycopg.Connection[Any] | None = None
    cancelled: bool = False
    session: str | None = None

    @property
    def parameters(self) -> dict[str, str]:
        return {p["name"]: p["value"] for p in self.body.get("Parameters") or []}

    def become(self, status: str, error: str = "") -> None:
        self.status, self.error, self.updated = status, error, now()
        if status in ENDED:
            self.ended.set()


def now() -> float:
    """Seconds since 1970 with milliseconds, as the service gives times."""
    return round(datetime.now(UTC).timestamp(), 3)
