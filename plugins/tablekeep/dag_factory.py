"""Pipelines → DAGs. Called while Airflow parses: reads the pipeline files, calls no service and no Variable, imports no AWS.

Each kind of pipeline has a module `dag_<kind>.py` beside this one, with one public function, `makers(pipeline)`: the ids of the
pipeline's DAGs, and for each what makes it. It is imported when a pipeline of the kind is there. A bad file becomes
`<verb>__<file>` with one task that fails with the message, so that its night is red instead of silent.
"""

import importlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from tablekeep.dag_common import cron_timetable
from tablekeep.dag_steps import require_first
from tablekeep.engine.config.base import Pipeline
from tablekeep.engine.config.kinds import module_name
from tablekeep.engine.config.load import BadFile, Loaded, find_folder, load_folder
from tablekeep.operators.configuration import ConfigurationErrorOperator

BROKEN_DAG = "tablekeep__pipelines"
"""Stands for the whole folder when not even it can be read."""


def dags_for(dag_file: str) -> dict[str, DAG]:
    """All DAGs of the project, by id; in a task's process only the one that runs. Never raises.

    :param dag_file: `__file__` of the DAG file, from which the pipeline files are found.
    """
    wanted = get_parsing_context().dag_id
    try:
        loaded = load_folder(find_folder(Path(dag_file)), only=_pipeline_of(wanted))
        return {dag.dag_id: dag for dag in build(loaded, wanted)}
    except Exception as error:
        message = str(error) or "".join(traceback.format_exception_only(error)).strip()
        return {BROKEN_DAG: _failing(BROKEN_DAG, message, "@daily", "UTC", "tablekeep")}


def _pipeline_of(dag_id: str | None) -> str | None:
    """`orders` of `copy__orders__analytics`."""
    return dag_id.split("__")[1] if dag_id and "__" in dag_id else None


def build(loaded: Loaded, only: str | None = None) -> Iterator[DAG]:
    """The DAGs of what was loaded.

    :param only: a DAG id: no other is made.
    """
    for pipeline in loaded.pipelines:
        if pipeline.enabled:
            for dag_id, make in _makers(pipeline).items():
                if only is None or only == dag_id:
                    dag = make()
                    if pipeline.require and dag_id == f"{pipeline.LEAD}__{pipeline.name}":
                        require_first(pipeline, dag)
                    yield dag
    taken = {f"{pipeline.LEAD}__{pipeline.name}" for pipeline in loaded.pipelines if pipeline.enabled}
    for bad in loaded.bad:
        dag_id = f"{bad.lead}__{bad.name}"
        if dag_id in taken:  # the file clashes with a good one, which keeps its DAG
            dag_id = f"{dag_id}.invalid"
        taken.add(dag_id)
        if bad.enabled and (only is None or only == dag_id):
            yield _stand_in(bad, dag_id)


def _makers(pipeline: Pipeline) -> Mapping[str, Callable[[], DAG]]:
    """The DAGs that a pipeline has, and how each is made."""
    module = importlib.import_module(f"tablekeep.dag_{module_name(pipeline.kind)}")
    makers: Mapping[str, Callable[[], DAG]] = module.makers(pipeline)
    return makers


def _stand_in(bad: BadFile, dag_id: str) -> DAG:
    """The DAG of a bad file."""
    message = "\n".join(str(problem) for problem in bad.problems)
    try:
        return _failing(dag_id, message, bad.schedule or "@daily", bad.timezone, f"file:{bad.file.name}"[:100])
    except Exception:  # the schedule or the time zone may be what is wrong
        return _failing(dag_id, message, "@daily", "UTC", f"file:{bad.file.name}"[:100])


def _failing(dag_id: str, message: str, schedule: str, timezone: str, tag: str) -> DAG:
    timetable = cron_timetable(schedule, timezone)
    timetable.validate()  # type: ignore[union-attr]
    with DAG(
        dag_id,
        description="This pipeline's file is wrong: nothing is backed up",
        doc_md=f"# Nothing is backed up\n\nThe pipeline's file is wrong: correct it.\n\n```\n{message}\n```",
        schedule=timetable,
        catchup=False,
        is_paused_upon_creation=False,
        tags=["tablekeep", "invalid", tag],
        default_args={"owner": "tablekeep", "retries": 0},
    ) as dag:
        ConfigurationErrorOperator(task_id="configuration", message=message)
    return dag


class PipelineFilesError(Exception):
    """Some pipeline files are wrong; the message lists file, line, field, rule and example."""


def raise_problems(dag_file: str) -> None:
    """Raises what is wrong with the pipeline files, if anything is. In a task's process nothing is looked at.

    :raises PipelineFilesError: which Airflow shows as this file's import error.
    """
    if get_parsing_context().dag_id:
        return
    loaded = load_folder(find_folder(Path(dag_file)))
    if loaded.problems:
        count = len(loaded.bad)
        listed = "\n".join(str(problem) for problem in loaded.problems)
        raise PipelineFilesError(
            f"{count} pipeline file{'s are' if count > 1 else ' is'} wrong; the others run:\n{listed}"
        )
