"""Steps in pipeline files: pipelines that are one step (`kind: sql`, `script`, `aws-call`, `emr-step`), and steps before and after
what a pipeline does.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from tablekeep.engine.config.base import Model, Pipeline, only_once
from tablekeep.engine.config.places import RedshiftPlace
from tablekeep.engine.config.values import (
    ConnectionId,
    Cron,
    Duration,
    Filled,
    FilledS3,
    Name,
    Region,
    Timezone,
    known_names,
)
from tablekeep.engine.steps.facts import NAMES, TIMES, names_in

WINDOW = {"window_start", "window_end"}


Argument = Annotated[Filled, Field(max_length=10_000, examples=["{{ as_of:%Y-%m-%d }}"])] | int
StepFile = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^/].*[^/]$", examples=["shop/totals.sql"])]
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class SqlAction(Model):
    """SQL statements, run in one transaction; `:name` is a parameter, which is bound and never part of the text."""

    sql: (
        Annotated[str, Field(min_length=1, max_length=100_000, examples=["REFRESH MATERIALIZED VIEW totals"])] | None
    ) = None
    """The statements."""
    file: StepFile | None = None
    """Or the file that holds them, below include/sql."""
    parameters: dict[ParameterName, Filled | int | float | bool | None] = {}
    """Values of the parameters by name."""
    conn_id: ConnectionId | None = None
    """The Airflow connection of a PostgreSQL or MySQL database."""
    redshift: RedshiftPlace | None = None
    """Or a database of Redshift."""
    timeout: Annotated[Duration, Field(examples=["15m"])] | None = None
    """What takes longer is stopped and undone; without it there is no limit."""

    @model_validator(mode="after")
    def _one_of_each(self) -> "SqlAction":
        if (self.sql is None) == (self.file is None):
            raise ValueError("give either sql or file")
        if self.sql is not None:
            check_sql(self.sql)
        if (self.conn_id is None) == (self.redshift is None):
            raise ValueError("give either conn_id (PostgreSQL, MySQL) or redshift")
        return self


def check_sql(text: str) -> None:
    """That nothing is to be filled into a statement.

    :raises ValueError: else, for pydantic.
    """
    for name in NAMES:
        if re.search(rf"\{{\{{\s*{name}\b", text):
            raise ValueError(
                f"nothing is filled into SQL: write :{name} there, and {name}: '{{{{ {name} }}}}' under parameters"
            )


class ScriptAction(Model):
    """A program from include/scripts. It runs only where the deployment sets TABLEKEEP_ALLOW_SCRIPTS=true."""

    script: Annotated[StepFile, Field(examples=["tell-shop.sh"])]
    """The file, below include/scripts."""
    arguments: list[Argument] = []
    """One argument each; no shell reads them."""
    inputs: list[FilledS3] = []
    """Folders of S3 that are fetched before it: the script finds them in INPUT1_STAGING_DIR and so on."""
    outputs: list[FilledS3] = []
    """Folders of S3 to which goes what it leaves in OUTPUT1_STAGING_DIR and so on, when it has ended well."""
    timeout: Annotated[Duration, Field(examples=["15m"])] = timedelta(hours=1)
    """What takes longer is killed with all that it has started."""


class AwsCallAction(Model):
    """One call of AWS, checked against the service's description before it is made."""

    service: Annotated[str, Field(min_length=1, max_length=100, examples=["rds"])]
    """The service, as boto3 names it."""
    method: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", examples=["create_db_snapshot"])]
    """The method, as boto3 or the service names it."""
    parameters: Annotated[dict[str, Any], AfterValidator(known_names)] = {}
    """Its parameters, as the service names them."""


class Step(Model):
    """What every step before or after something has."""

    name: Name
    """Part of the task's id: before.<name>, after.<name>."""


class SqlStep(Step, SqlAction):
    """SQL before or after something."""

    kind: Literal["sql"]
    """The kind of step."""


class ScriptStep(Step, ScriptAction):
    """A script before or after something."""

    kind: Literal["script"]
    """The kind of step."""


class AwsCallStep(Step, AwsCallAction):
    """A call of AWS before or after something."""

    kind: Literal["aws-call"]
    """The kind of step."""
    aws_conn_id: ConnectionId | None = None
    """The Airflow connection; the pipeline's when not given."""
    region: Region | None = None
    """The Region; the pipeline's when not given."""


AnyStep = Annotated[SqlStep | ScriptStep | AwsCallStep, Field(discriminator="kind")]


class Stepped(Model):
    """A section to which steps can be added: what the section does is done when those before it have succeeded."""

    before: list[AnyStep] = []
    """Steps before it, one after the other."""
    after: list[AnyStep] = []
    """Steps after it has succeeded, one after the other; {{ manifest }} is the backup with which it had to do."""

    @model_validator(mode="after")
    def _steps_can_run(self) -> "Stepped":
        only_once("steps", [step.name for step in (*self.before, *self.after)])
        early, late = _names_of(*self.before), _names_of(*self.after)
        if "manifest" in early:
            raise ValueError("before it there is no {{ manifest }}: only steps after it know the backup")
        check_window(early | late, getattr(self, "schedule", None))
        return self


def _names_of(*actions: Model) -> set[str]:
    """The names to be filled in; SQL has none, its values are parameters."""
    return {name for one in actions for name in names_in(one.model_dump(exclude={"sql", "before", "after"}))}


def check_window(names: set[str], schedule: str | None) -> None:
    """That an interval is only spoken of where there is a schedule.

    :raises ValueError: else, for pydantic.
    """
    if schedule is None and names & WINDOW:
        raise ValueError(
            f"{{{{ {min(names & WINDOW)} }}}} needs a schedule, and there is none here; there is {{{{ {TIMES[0]} }}}}"
        )


class StepPipeline(Stepped, Pipeline):
    """A pipeline that is one step, on a schedule."""

    LEAD: ClassVar[str] = "run"
    TIMED: ClassVar[str] = ""

    schedule: Cron | None = None
    """Cron expression of five fields; without it the step runs by hand only."""
    timezone: Timezone = "UTC"
    """Time zone of the schedule."""

    @model_validator(mode="after")
    def _names_are_known(self) -> "StepPipeline":
        names = _names_of(self)
        check_window(names, self.schedule)
        if "manifest" in names | _names_of(*self.after):
            raise ValueError("{{ manifest }} is not known here: this pipeline has to do with no backup")
        return self

    @property
    def subject(self) -> str:
        return f"the {self.kind} step {self.name}"


def stepped_sections(value: BaseModel, path: str = "") -> Iterator[tuple[str, Stepped]]:
    """The sections of a pipeline that may have steps, by their names: `backup`, `copies.analytics`; the pipeline's own is empty."""
    if isinstance(value, Stepped):
        yield path, value
    for name in type(value).model_fields:
        inner = getattr(value, name)
        for one in inner if isinstance(inner, list) else [inner]:
            if isinstance(one, BaseModel) and not isinstance(one, Step):
                here = ".".join(part for part in (path, name, getattr(one, "name", "")) if part)
                yield from stepped_sections(one, here)
