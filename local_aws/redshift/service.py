"""The Redshift Data API: statements, their states and their results.

Texts of validation errors are UNCONFIRMED unless the API model gives them; their codes are the model's.
"""

import json
import secrets
import threading
import uuid
from collections.abc import Callable
from typing import Any

import psycopg

from local_aws.dynamodb.tables import scope
from local_aws.redshift.executions import Body, Execution, Part, now
from local_aws.redshift.runner import Database, Run
from local_aws.redshift.tokens import SqlError
from local_aws.responses import Response, ServiceError, json_error

CONTENT_TYPE = "application/x-amz-json-1.1"
NAMESPACE = "com.amazonaws.redshiftdata"
MAX_STATEMENTS = 40
MAX_SQL_BYTES = 100_000  # UNCONFIRMED
MAX_WAIT_SECONDS = 30
MAX_ACTIVE = 500  # UNCONFIRMED
ROWS_A_PAGE = 1000  # the service pages by size; a page of its own size is enough to test paging


class RedshiftData:
    """Answers `RedshiftData.*` requests.

    :param postgres: DSN of the database in which SQL runs. Without it every statement fails and says so.
    """

    def __init__(self, postgres: str | None) -> None:
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[str, str] = {}
        self._sessions: dict[str, psycopg.Connection[Any]] = {}
        self._lock = threading.Lock()
        self._databases: dict[str, Database] = {}
        self._database: Database | None = None
        self.use_postgres(postgres)
        self._operations: dict[str, Callable[[Body, str], Body]] = {
            "ExecuteStatement": self._execute_statement,
            "BatchExecuteStatement": self._batch_execute_statement,
            "DescribeStatement": self._describe_statement,
            "GetStatementResult": self._get_statement_result,
            "CancelStatement": self._cancel_statement,
            "ListStatements": self._list_statements,
        }

    def __call__(self, operation: str, environ: dict[str, Any]) -> Response:
        try:
            handler = self._operations.get(operation)
            if handler is None:
                raise ServiceError("ValidationException", f"this stand-in does not know {operation}")
            try:
                body = json.loads(environ["local_aws.body"] or b"{}")
            except ValueError:
                raise ServiceError("SerializationException", "The request body is not valid JSON") from None
            return Response(200, json.dumps(handler(body, scope(environ)[1])).encode(), CONTENT_TYPE)
        except ServiceError as error:
            return json_error(error, NAMESPACE, CONTENT_TYPE)

    def use_postgres(self, dsn: str | None) -> None:
        if dsn != (self._database.dsn if self._database else None):
            self.close()
            # the same object for the same database: it knows whether statements have run there
            self._database = self._databases.setdefault(dsn, Database(dsn)) if dsn else None

    def reset(self) -> None:
        self.close()
        with self._lock:
            self._executions.clear()
            self._tokens.clear()
        if self._database is not None:
            self._database.reset()

    def close(self) -> None:
        """Cancel what runs, and close sessions."""
        for execution in list(self._executions.values()):
            if not execution.ended.is_set():
                self._cancel(execution)
                execution.ended.wait(10)
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _execute_statement(self, body: Body, region: str) -> Body:
        if not isinstance(body.get("Sql"), str) or not body["Sql"].strip():
            raise invalid("Sql must not be empty")
        return self._begin(body, region, [body["Sql"]], batch=False)

    def _batch_execute_statement(self, body: Body, region: str) -> Body:
        sqls = body.get("Sqls")
        if not isinstance(sqls, list) or not 1 <= len(sqls) <= MAX_STATEMENTS:
            raise invalid(
                f"1 validation error detected: Value at 'sqls' failed to satisfy constraint: "
                f"Member must have length between 1 and {MAX_STATEMENTS}, inclusive"
            )
        if body.get("ExecutionMode", "TRANSACTION") not in {"TRANSACTION", "AUTO_COMMIT"}:
            raise invalid("ExecutionMode must be TRANSACTION or AUTO_COMMIT")
        return self._begin(body, region, sqls, batch=True)

    def _begin(self, body: Body, region: str, sqls: list[str], *, batch: bool) -> Body:
        check_target(body)
        if sum(len(sql.encode()) for sql in sqls) > MAX_SQL_BYTES:
            raise invalid(f"Sql is longer than {MAX_SQL_BYTES} bytes")
        token = body.get("ClientToken")
        with self._lock:
            known = self._executions.get(self._tokens.get(token or "", ""))
            if known is None:
                if sum(not one.ended.is_set() for one in self._executions.values()) >= MAX_ACTIVE:
                    message = f"The number of active statements exceeds the limit of {MAX_ACTIVE}"
                    raise ServiceError("ActiveStatementsExceededException", message)
                known = Execution(str(uuid.uuid4()), body, region, [Part(sql) for sql in sqls], batch, now())
                self._attach_session(known)
                self._executions[known.id] = known
                if token:
                    self._tokens[token] = known.id
                threading.Thread(target=self._run, args=[known], name="redshift-statement", daemon=True).start()
            elif content(known.body) != content(body):
                # UNCONFIRMED: the service may return the first statement's id instead
                raise invalid("ClientToken was used before with other parameters")
        wait(known, body)
        answer: Body = {"Id": known.id, "CreatedAt": known.created}
        for member in ("ClusterIdentifier", "WorkgroupName", "Database", "DbUser", "SecretArn"):
            if body.get(member):
                answer[member] = body[member]
        return answer | ({"SessionId": known.session} if known.session else {})

    def _attach_session(self, execution: Execution) -> None:
        given, keep = execution.body.get("SessionId"), execution.body.get("SessionKeepAliveSeconds")
        if given:
            if given not in self._sessions:
                raise ServiceError("ResourceNotFoundException", f"Session {given} does not exist")
            execution.session = given
        elif keep:
            execution.session = str(uuid.uuid4())
            self._sessions[execution.session] = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        if self._database is None:
            raise SqlError("no database: start the stand-in with --postgres DSN")
        return self._database.connect()

    def _run(self, execution: Execution) -> None:
        execution.become("PICKED")
        try:
            connection = self._sessions.get(execution.session or "") or self._connect()
        except (SqlError, psycopg.Error) as error:
            for part in execution.parts:
                part.become("FAILED" if part is execution.parts[0] else "ABORTED", str(error).strip())
            execution.become("FAILED", f"FATAL: {str(error).strip()}")
            return
        execution.connection = connection
        try:
            execution.become("STARTED")
            self._run_parts(execution, connection)
        finally:
            execution.connection = None
            if execution.session is None:
                connection.close()
            if not execution.ended.is_set():
                execution.become("FAILED", "ERROR: the stand-in failed; its log says why")

    def _run_parts(self, execution: Execution, connection: psycopg.Connection[Any]) -> None:
        assert self._database is not None
        together = execution.batch and execution.body.get("ExecutionMode", "TRANSACTION") == "TRANSACTION"
        run = Run(self._database, connection, execution.region, together)
        failed: list[str] = []
        for number, part in enumerate(execution.parts, 1):
            if execution.cancelled or (failed and together):
                part.become("ABORTED")
                continue
            part.become("STARTED")
            try:
                part.result = run.execute(part.sql, execution.parameters, part.query_id)
                if not together:
                    connection.commit()
                part.become("FINISHED")
            except (SqlError, psycopg.Error) as error:
                connection.rollback()
                part.become("ABORTED" if execution.cancelled else "FAILED", f"ERROR: {error}")
                failed.append(f"Query #{number} failed with ERROR: {error}" if execution.batch else f"ERROR: {error}")
        if execution.cancelled:
            connection.rollback()
            execution.become("ABORTED")
        elif failed:
            execution.become("FAILED", failed[0])
        else:
            try:
                connection.commit()
            except psycopg.Error as error:  # deferred failures, a broken connection
                execution.become("FAILED", f"ERROR: {error}")
                return
            execution.become("FINISHED")

    def _find(self, body: Body) -> tuple[Execution, Part | None]:
        """The execution, and with an id such as `…:2` its part."""
        identifier, _, number = str(body.get("Id", "")).partition(":")
        execution = self._executions.get(identifier)
        if execution is None or (number and not (number.isdigit() and 1 <= int(number) <= len(execution.parts))):
            raise ServiceError("ResourceNotFoundException", f"Query {body.get('Id')} does not exist.")
        return execution, execution.parts[int(number) - 1] if number else None

    def _describe_statement(self, body: Body, region: str) -> Body:
        execution, chosen = self._find(body)
        wait(execution, body)
        part = chosen or execution.parts[-1]
        answer = part.describe() | {"Id": body["Id"], "RedshiftPid": 1073000000}
        if chosen is None:
            answer |= {"Status": execution.status, "CreatedAt": execution.created}
            answer["UpdatedAt"] = execution.updated or execution.created
            answer["Duration"] = int((answer["UpdatedAt"] - execution.created) * 1e9)
            answer.pop("Error", None)
            if execution.error:
                answer["Error"] = execution.error
        for member in ("ClusterIdentifier", "WorkgroupName", "Database", "DbUser", "SecretArn"):
            if execution.body.get(member):
                answer[member] = execution.body[member]
        if execution.body.get("Parameters"):
            answer["QueryParameters"] = execution.body["Parameters"]
        if execution.session:
            answer["SessionId"] = execution.session
        if execution.batch and chosen is None:
            answer["SubStatements"] = [
                p.describe() | {"Id": f"{execution.id}:{n}"} for n, p in enumerate(execution.parts, 1)
            ]
            answer["HasResultSet"] = any(p.result.columns is not None for p in execution.parts)
            answer["ExecutionMode"] = execution.body.get("ExecutionMode", "TRANSACTION")
            del answer["QueryString"]
        return answer

    def _get_statement_result(self, body: Body, region: str) -> Body:
        execution, chosen = self._find(body)
        wait(execution, body)
        part = chosen or execution.parts[-1]
        if execution.batch and chosen is None and len(execution.parts) > 1:
            raise invalid("A batch has a result for each of its statements: ask for <Id>:<number>")
        if execution.status != "FINISHED" or part.result.columns is None:
            raise ServiceError(
                "ResourceNotFoundException",
                "Query does not have result. Please check query status with DescribeStatement.",
            )
        begin = page_start(body.get("NextToken"), len(part.result.records))
        end = begin + ROWS_A_PAGE
        answer: Body = {
            "Records": part.result.records[begin:end],
            "ColumnMetadata": part.result.columns,
            "TotalNumRows": part.result.rows,
        }
        return answer | ({"NextToken": f"{secrets.token_hex(4)}-{end}"} if end < len(part.result.records) else {})

    def _cancel_statement(self, body: Body, region: str) -> Body:
        execution, _ = self._find(body)
        if execution.ended.is_set():
            raise invalid(f"Could not cancel a query that is already in {execution.status} state with ID: {body['Id']}")
        self._cancel(execution)
        return {"Status": True}

    @staticmethod
    def _cancel(execution: Execution) -> None:
        execution.cancelled = True
        connection = execution.connection
        if connection is not None:
            connection.cancel()

    def _list_statements(self, body: Body, region: str) -> Body:
        wanted, name = body.get("Status", "ALL"), body.get("StatementName", "")
        found = sorted(self._executions.values(), key=lambda e: e.created, reverse=True)
        listed = [
            {
                "Id": e.id,
                "Status": e.status,
                "StatementName": e.body.get("StatementName", ""),
                "CreatedAt": e.created,
                "UpdatedAt": e.updated or e.created,
                "IsBatchStatement": e.batch,
                **({"QueryStrings": [p.sql for p in e.parts]} if e.batch else {"QueryString": e.parts[0].sql}),
            }
            for e in found
            if wanted in {"ALL", e.status} and e.body.get("StatementName", "").startswith(name)
        ]
        begin = page_start(body.get("NextToken"), len(listed))
        end = begin + body.get("MaxResults", 100)
        return {"Statements": listed[begin:end]} | ({"NextToken": f"t-{end}"} if end < len(listed) else {})


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def content(body: Body) -> Body:
    return {name: value for name, value in body.items() if name not in {"ClientToken", "WaitTimeSeconds"}}


def check_target(body: Body) -> None:
    """Exactly one way to say where and as whom: a cluster or a workgroup, and a secret or temporary credentials.

    A statement in a session takes neither. Source: API reference of ExecuteStatement, "authentication".
    """
    if body.get("SessionId"):
        if body.get("ClusterIdentifier") or body.get("WorkgroupName") or body.get("Database"):
            raise invalid("SessionId cannot be given together with a cluster, workgroup or database")
        return
    cluster, workgroup = body.get("ClusterIdentifier"), body.get("WorkgroupName")
    if cluster and workgroup:
        raise invalid("ClusterIdentifier and WorkgroupName cannot be given together")
    if not cluster and not workgroup:
        raise invalid("Either ClusterIdentifier or WorkgroupName is required")
    if body.get("DbUser") and body.get("SecretArn"):
        raise invalid("DbUser and SecretArn cannot be given together")
    if body.get("DbUser") and workgroup:
        raise invalid("DbUser cannot be given with a WorkgroupName: the user is the caller's IAM identity")
    if not body.get("Database"):
        raise invalid("Database is required")
    secret = body.get("SecretArn")
    if secret and not secret.startswith("arn:aws"):
        raise invalid(f"SecretArn is not an ARN: {secret}")
    for parameter in body.get("Parameters") or []:
        if not parameter.get("name") or not isinstance(parameter.get("value"), str):
            raise invalid("Each of Parameters needs a name and a value")


def wait(execution: Execution, body: Body) -> None:
    """WaitTimeSeconds: answers as soon as the statement has ended."""
    seconds = body.get("WaitTimeSeconds")
    if seconds is None:
        return
    if not isinstance(seconds, int) or not 1 <= seconds <= MAX_WAIT_SECONDS:
        raise invalid(f"WaitTimeSeconds must be between 1 and {MAX_WAIT_SECONDS}")
    execution.ended.wait(seconds)


def page_start(token: str | None, total: int) -> int:
    if token is None:
        return 0
    _, _, number = token.rpartition("-")
    if not number.isdigit() or not 0 < int(number) <= total:
        raise invalid("Invalid NextToken")
    return int(number)
