"""Steps of pipelines without Airflow: which there are, what they would do, and doing it."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablekeep.cli.command import Context
from tablekeep.cli.connections import add_connection_option, pipeline_clients
from tablekeep.cli.times import moment
from tablekeep.engine.config.base import Model, Pipeline
from tablekeep.engine.config.kinds.emr_step import EmrStepPipeline
from tablekeep.engine.config.load import find_folder, find_pipeline, load_folder
from tablekeep.engine.config.steps import AwsCallAction, ScriptAction, SqlAction, StepPipeline, stepped_sections
from tablekeep.engine.connections import resolve_connection
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.steps.aws_call import AwsCallRequest, plan_aws_call, run_aws_call
from tablekeep.engine.steps.emr import EmrStepRequest, NewCluster, plan_emr_step, run_emr_step
from tablekeep.engine.steps.facts import RunFacts, window_of
from tablekeep.engine.steps.script import ScriptRequest, plan_script, run_script
from tablekeep.engine.steps.sql import (
    Database,
    SqlRequest,
    database_of,
    plan_sql,
    redshift_database,
    run_sql,
    sql_request,
)


@dataclass(frozen=True)
class Work:
    """One step that is to be run.

    :ivar address: `backup.after.grants`; of a pipeline that is one step its own: `run`. :ivar section: whose schedule counts.
    """

    address: str
    pipeline: Pipeline
    section: Any
    action: Model

    @property
    def kind(self) -> str:
        return str(getattr(self.action, "kind", ""))

    @property
    def name(self) -> str:
        return str(getattr(self.action, "name", self.pipeline.name))


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `run` and `plan run` share."""
    parser.add_argument("name", metavar="PIPELINE", help="the pipeline's name")
    parser.add_argument(
        "--step",
        metavar="ADDRESS",
        help="one step only, for example backup.after.grants; without it all of a pipeline of steps",
    )
    parser.add_argument("--manifest", metavar="S3-URI", help="of the backup with which the step has to do")
    parser.add_argument(
        "--as-of", metavar="TIME", help="the run's time, for example 2026-11-23T02:00:00Z (default: now)"
    )
    parser.add_argument(
        "--pipelines",
        metavar="DIR",
        help="the folder of pipeline files (default: $TABLEKEEP_PIPELINES, include/pipelines)",
    )
    add_connection_option(parser)


def wanted(args: argparse.Namespace) -> tuple[Pipeline, list[Work]]:
    """The pipeline, and the steps that were asked for.

    :raises BadInputError: when there is none of that address, or the pipeline is no pipeline of steps; lists what there is.
    """
    folder = Path(args.pipelines) if args.pipelines else find_folder()
    pipeline = find_pipeline(load_folder(folder, only=args.name), args.name, Pipeline)
    found = {one.address: one for one in _all(pipeline)}
    there = ", ".join(found) or "none"
    if args.step is not None:
        if args.step not in found:
            raise BadInputError(
                f"finding the step {args.step}", f"{pipeline.name} has no such step (there: {there})", "name one"
            )
        return pipeline, [found[args.step]]
    if not isinstance(pipeline, StepPipeline):
        raise BadInputError(
            f"running the pipeline {pipeline.name}",
            f"it is of the kind {pipeline.kind}, whose verbs are commands of their own",
            f"for one of its steps ({there}) give --step",
        )
    return pipeline, list(found.values())


def _all(pipeline: Pipeline) -> Iterator[Work]:
    """All steps, in the order of a run."""
    for path, section in stepped_sections(pipeline):
        prefix = f"{path}." if path else ""
        yield from (Work(f"{prefix}before.{one.name}", pipeline, section, one) for one in section.before)
        if not path:
            yield Work("run", pipeline, section, pipeline)
        yield from (Work(f"{prefix}after.{one.name}", pipeline, section, one) for one in section.after)


def facts_of(work: Work, args: argparse.Namespace, context: Context) -> RunFacts:
    as_of = moment(args.as_of) or context.clock.now()
    schedule, timezone = getattr(work.section, "schedule", None), getattr(work.section, "timezone", "UTC")
    start, end = window_of(schedule, timezone, as_of)
    return RunFacts(work.pipeline.name, work.name, context.run, as_of, start, end, args.manifest)


def do_plan(work: Work, args: argparse.Namespace, context: Context) -> dict[str, Any]:
    """What a step would do. Nothing is asked of a database or a service.

    :raises BadInputError: when it could not be done.
    """
    facts, action = facts_of(work, args, context), work.action
    told: dict[str, Any] = {"step": work.address, "kind": work.kind}
    if isinstance(action, SqlAction):
        request, dialect = (
            _sql_request(work, action),
            "redshift" if action.redshift else _dialect(action, args, context),
        )
        statements = plan_sql(request, dialect)  # type: ignore[arg-type]
        facts.fill(dict(request.parameters))
        lines = [{"line": one.line, "does": one.does, "parameters": sorted(set(one.parameters))} for one in statements]
        return told | {"source": request.source, "dialect": dialect, "statements": lines}
    if isinstance(action, ScriptAction):
        script = _script_request(work, action)
        command = plan_script(script)
        facts.texts(script.arguments)
        return told | {"command": command, "environment": sorted(facts.environment())}
    if isinstance(action, AwsCallAction):
        operation, _ = plan_aws_call(_call_request(action), facts)
        return told | {"call": f"{action.service}.{operation.name}", "parameters": sorted(action.parameters)}
    assert isinstance(action, EmrStepPipeline)
    return told | plan_emr_step(emr_request(action), facts)


def do_run(work: Work, args: argparse.Namespace, context: Context) -> dict[str, Any]:
    """Runs a step; gives the engine's report.

    :raises TablekeepError: as the engine does.
    """
    facts, action, pipeline = facts_of(work, args, context), work.action, work.pipeline
    context.progress.note(f"{work.address} ({work.kind})")
    told: dict[str, Any] = {"address": work.address, "kind": work.kind}
    if isinstance(action, SqlAction):
        database = _database(work, action, args, context)
        sql = run_sql(_sql_request(work, action), database, facts, clock=context.clock, progress=context.progress)
        return told | sql.as_dict()
    if isinstance(action, ScriptAction):
        quiet = args.quiet or args.json
        say = (lambda line: None) if quiet else (lambda line: print(line, file=sys.stderr))
        clients = None
        if action.inputs or action.outputs:
            clients = pipeline_clients(context, args, pipeline.aws_conn_id, pipeline.region)
        script = run_script(_script_request(work, action), facts, clock=context.clock, say=say, clients=clients)
        return told | script.as_dict()
    if isinstance(action, AwsCallAction):
        conn_id = getattr(action, "aws_conn_id", None) or pipeline.aws_conn_id
        region = getattr(action, "region", None) or pipeline.region
        caller = pipeline_clients(context, args, conn_id, region, action.service)
        call = run_aws_call(_call_request(action), caller, facts, attempt=context.run, clock=context.clock)
        return told | call.as_dict()
    assert isinstance(action, EmrStepPipeline)
    owner = pipeline_clients(context, args, pipeline.aws_conn_id, pipeline.region)
    emr = run_emr_step(
        emr_request(action),
        owner,
        facts,
        timeout_seconds=action.timeout.total_seconds(),
        clock=context.clock,
        progress=context.progress,
    )
    return told | emr.as_dict()


def _sql_request(work: Work, action: SqlAction) -> SqlRequest:
    timeout = action.timeout.total_seconds() if action.timeout else None
    return sql_request(action.sql, action.file, action.parameters, timeout, work.pipeline.include)


def _dialect(action: SqlAction, args: argparse.Namespace, context: Context) -> str:
    return database_of(resolve_connection(str(action.conn_id), given=args.connection)).dialect


def _database(work: Work, action: SqlAction, args: argparse.Namespace, context: Context) -> Database:
    if action.redshift is None:
        return database_of(resolve_connection(str(action.conn_id), given=args.connection))
    place, pipeline = action.redshift, work.pipeline
    clients = pipeline_clients(
        context, args, place.aws_conn_id or pipeline.aws_conn_id, place.region or pipeline.region
    )
    return redshift_database(clients, place.model_dump())


def _script_request(work: Work, action: ScriptAction) -> ScriptRequest:
    return ScriptRequest(
        work.pipeline.include,
        action.script,
        action.arguments,
        action.timeout.total_seconds(),
        work.pipeline.region,
        action.inputs,
        action.outputs,
    )


def _call_request(action: AwsCallAction) -> AwsCallRequest:
    return AwsCallRequest(action.service, action.method, action.parameters)


def emr_request(pipeline: EmrStepPipeline) -> EmrStepRequest:
    """What a pipeline's step is."""
    cluster = NewCluster(**pipeline.new_cluster.model_dump()) if pipeline.new_cluster else None
    return EmrStepRequest(
        pipeline.jar, pipeline.arguments, pipeline.main_class, pipeline.properties, pipeline.cluster, cluster
    )
