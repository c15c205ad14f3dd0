"""SQL over Redshift's Data API: submit, wait, read results. Nothing here knows what the SQL is for."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import Clients, translate
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError, ThrottledError, TransientError
from tablekeep.engine.progress import Progress

LONGEST_SECONDS = 24 * 3600
"""A statement of the Data API runs for at most 24 hours (facts: UNCONFIRMED; a bound is needed in any case)."""
NOTE_EVERY_SECONDS = 60.0
WAIT_SECONDS = 20
"""How long one DescribeStatement waits for the statement's end; 30 at most."""
KEEP_ALIVE_SECONDS = 300
"""How long a session waits for its next statement."""
MAX_STATEMENTS = 40
"""BatchExecuteStatement takes 1 to 40 statements."""


@dataclass(frozen=True)
class Address:
    """Where SQL runs: a serverless workgroup, or a cluster with a database user or a secret."""

    database: str
    workgroup: str | None = None
    cluster: str | None = None
    db_user: str | None = None
    secret: str | None = None

    def __post_init__(self) -> None:
        what = "addressing Redshift"
        if bool(self.workgroup) == bool(self.cluster):
            raise BadInputError(
                what, "it needs either a workgroup or a cluster", "for example workgroup dwh, database prod"
            )
        if self.cluster and not (self.db_user or self.secret):
            raise BadInputError(what, "a cluster needs a database user or a secret", "give one of them")

    @property
    def text(self) -> str:
        """`redshift://dwh/prod`."""
        return f"redshift{'-cluster' if self.cluster else ''}://{self.workgroup or self.cluster}/{self.database}"

    def parameters(self) -> dict[str, str]:
        """As the Data API takes it."""
        named = {
            "Database": self.database, "WorkgroupName": self.workgroup, "ClusterIdentifier": self.cluster, "DbUser": self.db_user,
            "SecretArn": self.secret,
        }  # fmt: skip
        return {name: value for name, value in named.items() if value}


_QUOTED = re.compile(
    r"""(?P<named>\b(?:relation|column|schema|table|constraint|type|role|user|database|function|view|object|for)\s+)?"""
    r"""(?:'(?P<single>(?:[^']|'')*)'|"(?P<double>[^"]*)")""",
    re.IGNORECASE,
)
_DOCUMENT = re.compile(r"[{\[].*[}\]]|[{\[].*", re.DOTALL)
"""A document, or its beginning, in a message of JSON_PARSE."""


def without_values(message: str) -> str:
    """Redshift's message without what may be a value of a row: what it quotes stays only where it is a name or an S3
    address, and documents go."""

    def kept(found: re.Match[str]) -> str:
        inside = found["single"] if found["single"] is not None else found["double"]
        if inside.startswith("s3://") or (found["named"] and found["double"] is not None):
            return found[0]
        return f"{found['named'] or ''}'…'"

    return _DOCUMENT.sub("…", _QUOTED.sub(kept, message))


class StatementError(PermanentError):
    """Redshift refused a statement.

    :ivar message: its own words, without values. :ivar number: which statement of the batch, from 0; None when it does not say.
    :ivar query_id: for the system views.
    """

    def __init__(self, what: str, message: str, number: int | None, query_id: int | None) -> None:
        self.message, self.number, self.query_id = message, number, query_id
        super().__init__(what, f"Redshift answered: {message}")


class DataApi:
    """Runs statements at one address. Used by one thread.

    :ivar region: the warehouse's.
    """

    def __init__(self, clients: Clients, address: Address, clock: Clock, what: str) -> None:
        self._client = clients.client("redshift-data")
        self.region = clients.region
        self._address, self._clock, self._what = address, clock, what
        self._run, self._calls = clock.token(12), 0
        # the service waits where this boto3 can ask it to (WaitTimeSeconds, which older ones lack); else it is asked again and again
        members = self._client.meta.service_model.operation_model("DescribeStatement").input_shape.members
        self._waits: dict[str, int] = {"WaitTimeSeconds": WAIT_SECONDS} if "WaitTimeSeconds" in members else {}
        self._session: dict[str, Any] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What `run` and `rows` do inside is one transaction: statements of a batch share their parameters, those of a session have
        each their own. Should this process die, Redshift ends the session and rolls back.
        """
        self._session = {"SessionKeepAliveSeconds": KEEP_ALIVE_SECONDS}
        self.run(["BEGIN"])
        try:
            yield
        except BaseException:
            with suppress(TablekeepError):
                self.run(["ROLLBACK"])
            self._session = {}
            raise
        try:
            self.run(["COMMIT"])
        except TransientError as error:
            raise PermanentError(
                self._what,
                f"it is not known whether the transaction was committed ({error.why})",
                "look into the database",
            ) from None
        finally:
            self._session = {}

    def run(
        self,
        statements: list[str],
        progress: Progress | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        deadline: float | None = None,
    ) -> list[dict[str, Any]]:
        """Runs the statements as one transaction: all of them or none.

        :param parameters: bound to `:name` in the statements. :param deadline: of the clock's `monotonic`; what runs then is cancelled.
        :returns: what DescribeStatement says of each, in their order; `Id` is for `rows`.
        :raises StatementError: when Redshift refuses one; nothing was changed.
        :raises TransientError: when the service could not be reached, or ended the statement.
        """
        assert 1 <= len(statements) <= MAX_STATEMENTS
        # a session knows where it runs
        place = {} if "SessionId" in self._session else self._address.parameters()
        common: dict[str, Any] = place | self._session | {"ClientToken": self._token()}
        if parameters:
            common["Parameters"] = [{"name": name, "value": value} for name, value in parameters.items()]
        if len(statements) == 1:
            answer = self._call("execute_statement", Sql=statements[0], **common)
        else:
            answer = self._call("batch_execute_statement", Sqls=statements, **common)
        if self._session:
            self._session = {"SessionId": answer["SessionId"]}
        described = self._wait(str(answer["Id"]), progress, deadline)
        parts: list[dict[str, Any]] = described.get("SubStatements") or [described]
        if described["Status"] == "FINISHED":
            return parts
        if described["Status"] == "ABORTED":
            raise TransientError(self._what, "the statement was cancelled in Redshift", "try again")
        failed = [number for number, part in enumerate(parts) if part.get("Status") == "FAILED"]
        number = failed[0] if failed else None
        message = without_values(str(described.get("Error") or "no message"))
        query_id = parts[number].get("RedshiftQueryId") if number is not None else None
        raise self._classified(StatementError(self._what, message, number, query_id))

    def rows(self, statement: str) -> list[list[Any]]:
        """Runs a query and gives its rows; values as text, number, truth value or None."""
        (part,) = self.run([statement])
        found: list[list[Any]] = []
        token: dict[str, str] = {}
        while True:
            page = self._call("get_statement_result", Id=part["Id"], **token)
            found += [[_value(field) for field in record] for record in page["Records"]]
            if not page.get("NextToken"):
                return found
            token = {"NextToken": page["NextToken"]}

    def _token(self) -> str:
        """The same for the tries that boto3 makes of one call, so that a lost answer runs nothing twice."""
        self._calls += 1
        return f"tablekeep-{self._run}-{self._calls}"

    def _wait(self, identifier: str, progress: Progress | None, deadline: float | None = None) -> dict[str, Any]:
        began = said = self._clock.monotonic()
        pause, late = 0.1, False
        while True:
            described = self._describe(identifier, deadline)
            if late and described["Status"] == "ABORTED":
                raise PermanentError(self._what, "it did not end in time and was cancelled", "give it more time")
            if described["Status"] in ("FINISHED", "FAILED", "ABORTED"):
                return described
            now = self._clock.monotonic()
            if deadline is not None and now > deadline and not late:
                late = True
                with suppress(PermanentError):  # it has ended meanwhile
                    self._call("cancel_statement", Id=identifier)
            if now - began > LONGEST_SECONDS:
                raise TransientError(
                    self._what, "the statement did not end within 24 hours", "look for locks in the database"
                )
            if progress is not None and now - said > NOTE_EVERY_SECONDS:
                said = now
                progress.note(f"Redshift works on it for {now - began:,.0f} s now ({described['Status']})")
            if not self._waits:
                self._clock.sleep(pause)
                pause = min(5.0, pause * 1.5)

    def _describe(self, identifier: str, deadline: float | None) -> dict[str, Any]:
        """The statement's state, when it has ended, or after a while."""
        waits = self._waits
        if waits and deadline is not None:
            waits = {"WaitTimeSeconds": max(1, min(WAIT_SECONDS, math.ceil(deadline - self._clock.monotonic())))}
        try:
            return self._call("describe_statement", Id=identifier, **waits)
        except ThrottledError:
            if not waits:
                raise
            self._waits = {}  # too many wait already: ask without waiting from now on
            return self._call("describe_statement", Id=identifier)

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise translate(error, self._what) from error
        return answer

    def _classified(self, error: StatementError) -> TablekeepError:
        """A family other than permanent where Redshift's words tell so."""
        message = error.message.lower()
        if "could not connect" in message or message.startswith("fatal"):
            return TransientError(self._what, error.message, "check that the warehouse runs and is not paused")
        if "serializable isolation violation" in message or "deadlock" in message:
            return TransientError(self._what, error.message, "try again; others wrote to the same tables")
        if "does not exist" in message and "database" in message:
            return BadInputError(self._what, error.message, "correct the database's name")
        if "permission denied" in message or "must be owner" in message:
            return PermanentError(self._what, error.message, "grant it to the user that copies")
        return error


def _value(field: dict[str, Any]) -> Any:
    return None if field.get("isNull") else next(iter(field.values()))


def literal(value: str) -> str:
    """A text as SQL: Redshift reads backslashes in literals as escapes."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
