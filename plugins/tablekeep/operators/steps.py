"""Steps of a team: SQL, scripts, calls of AWS."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tablekeep.operators.base import TablekeepOperator
from tablekeep.runtime import LogProgress, clients_for, connection_for, run_name, run_time


class StepOperator(TablekeepOperator):
    """What all steps share: the facts of the run. Airflow's templates are not rendered in their options; `{{ as_of }}` and the like
    are filled in by the engine, as on the command line.

    :param pipeline: its name. :param step: the step's name; the pipeline's when None.
    :param schedule, timezone: of the DAG, for `window_start` and `window_end`.
    :param manifest: of the backup with which it has to do: its URI, or a report that names it as `backup`.
    :param include: the folder that holds `sql/` and `scripts/`.
    """

    template_fields: Sequence[str] = ("manifest", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        pipeline: str,
        step: str | None = None,
        schedule: str | None = None,
        timezone: str = "UTC",
        manifest: Any = None,
        include: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.pipeline, self.step = pipeline, step
        self.schedule, self.timezone = schedule, timezone
        self.manifest, self.include = manifest, include

    def facts(self, context: Mapping[str, Any]) -> Any:
        """The facts of the run, as the engine takes them."""
        from tablekeep.engine.steps.facts import RunFacts, window_of

        as_of = run_time(context).as_of
        start, end = window_of(self.schedule, self.timezone, as_of)
        # most tasks give a report, which names the backup
        named = self.manifest.get("backup") if isinstance(self.manifest, Mapping) else self.manifest
        manifest = str(named) if named else None
        return RunFacts(self.pipeline, self.step or self.pipeline, run_name(context), as_of, start, end, manifest)

    def _folder(self) -> Path | None:
        return Path(self.include) if self.include else None


class SqlOperator(StepOperator):
    """Runs SQL in one transaction. Returns the engine's report: lines, first words and counts; never what SQL says or gives.

    :param sql: the statements. :param file: or the file that holds them, below `include/sql`.
    :param parameters: bound to `:name` in the statements. :param conn_id: the connection of a PostgreSQL or MySQL database.
    :param redshift: or where Redshift is: `workgroup`, or `cluster` with `db_user` or `secret`; `database`; `aws_conn_id`, `region`.
    :param timeout_seconds: what takes longer is stopped and undone.
    """

    def __init__(
        self,
        *,
        sql: str | None = None,
        file: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        conn_id: str | None = None,
        redshift: Mapping[str, Any] | None = None,
        timeout_seconds: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.sql, self.file, self.parameters = sql, file, dict(parameters or {})
        self.conn_id, self.redshift = conn_id, dict(redshift) if redshift else None
        self.timeout_seconds = timeout_seconds

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.clock import SystemClock
        from tablekeep.engine.steps.sql import run_sql, sql_request

        request = sql_request(self.sql, self.file, self.parameters, self.timeout_seconds, self._folder())
        report = run_sql(request, self._database(), self.facts(context), clock=SystemClock(), progress=LogProgress())
        for one in report.statements:
            rows = "" if one.rows is None else f": {one.rows:,} rows"
            self.log.info("%s line %s: %s%s", report.source, one.line, one.does, rows)
        return report.as_dict()

    def _database(self) -> Any:
        from tablekeep.engine.steps.sql import database_of, redshift_database

        if self.redshift is None:
            return database_of(connection_for(str(self.conn_id)))
        place = self.redshift
        clients = clients_for(place.get("aws_conn_id") or self.aws_conn_id, place.get("region") or self.region_name)
        return redshift_database(clients, place)


class ScriptOperator(StepOperator):
    """Runs a script from `include/scripts`, where the worker's environment allows it. Its output stands in the task's log.

    :param script: the file. :param arguments: one each; no shell reads them. :param timeout_seconds: then it is killed.
    :param inputs, outputs: folders of S3, fetched before it and put after it.
    """

    def __init__(
        self,
        *,
        script: str,
        arguments: Sequence[str | int] = (),
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        timeout_seconds: float = 3600,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.script, self.arguments, self.timeout_seconds = script, list(arguments), timeout_seconds
        self.inputs, self.outputs = list(inputs), list(outputs)
        self._running: Any = None

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.clock import SystemClock
        from tablekeep.engine.steps.script import Running, ScriptRequest, run_script

        request = ScriptRequest(
            self._folder(),
            self.script,
            self.arguments,
            self.timeout_seconds,
            self.region_name,
            self.inputs,
            self.outputs,
        )
        clients = clients_for(self.aws_conn_id, self.region_name) if self.inputs or self.outputs else None
        self._running = Running()
        report = run_script(
            request, self.facts(context), clock=SystemClock(), say=lambda line: self.log.info("%s", line), running=self._running,
            clients=clients,
        )  # fmt: skip
        self.log.info(
            "%s ended with exit code 0 after %s lines, %.1f s", report.script, f"{report.lines:,}", report.seconds
        )
        return report.as_dict()

    def on_kill(self) -> None:
        """Airflow calls it when the task is to end: in 3.3 it only calls it, and goes on."""
        if self._running is not None:
            self._running.stop()


class AwsCallOperator(StepOperator):
    """Makes one call of AWS, after its parameters were checked against the service's description.

    Returns a summary: identifiers, names, states, times and counts, never content. Tries of one run give the same idempotency token.

    :param service, method: as boto3 names them. :param parameters: as the service names them.
    """

    def __init__(self, *, service: str, method: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.service, self.method, self.parameters = service, method, dict(parameters or {})

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        import json

        from tablekeep.engine.clock import SystemClock
        from tablekeep.engine.steps.aws_call import AwsCallRequest, run_aws_call

        clients = clients_for(self.aws_conn_id, self.region_name, self.service)
        attempt = f"{run_name(context)}/{context['dag_run'].clear_number or 0}"
        request = AwsCallRequest(self.service, self.method, self.parameters)
        report = run_aws_call(request, clients, self.facts(context), attempt=attempt, clock=SystemClock())
        self.log.info("%s in %s: %s", report.call, report.region, json.dumps(report.answered))
        return report.as_dict()
