"""Files that steps name: looked at while pipelines are loaded, so that a missing one is a problem with a line, not a red night."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from tablekeep.engine.config.base import Pipeline
from tablekeep.engine.config.steps import ScriptAction, SqlAction, check_sql
from tablekeep.engine.config.yaml_reader import Path_
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.steps.files import find_step_file, read_step_file
from tablekeep.engine.steps.statements import Dialect, check_statements, split_statements


def wrong_files(pipeline: Pipeline, include: Path) -> Iterator[tuple[Path_, str]]:
    """What is wrong with the SQL and the scripts of a pipeline: where, and the rule. No database is asked.

    :param include: the folder that holds `sql/` and `scripts/`.
    """
    for path, action in _actions(pipeline, ()):
        try:
            if isinstance(action, ScriptAction):
                find_step_file(include, "scripts", action.script)
            else:
                _check_sql(action, include)
        except (BadInputError, ValueError) as error:
            key = "script" if isinstance(action, ScriptAction) else "sql" if action.file is None else "file"
            said = f"{error.why}; {error.todo}" if isinstance(error, BadInputError) else str(error)
            yield (*path, key), said


def _actions(value: object, path: Path_) -> Iterator[tuple[Path_, SqlAction | ScriptAction]]:
    if isinstance(value, SqlAction | ScriptAction):
        yield path, value
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _actions(getattr(value, name), (*path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _actions(one, (*path, number))


def _check_sql(action: SqlAction, include: Path) -> None:
    text = action.sql if action.file is None else read_step_file(include, "sql", action.file)
    assert text is not None
    check_sql(text)
    # which database a connection leads to is not known here: what either would take is not refused
    dialects: list[Dialect] = ["redshift"] if action.redshift else ["postgres", "mysql"]
    errors: list[BadInputError] = []
    for dialect in dialects:
        try:
            check_statements(split_statements(text, dialect), dialect, action.parameters)
            return
        except BadInputError as error:
            errors.append(error)
    raise errors[0]
