"""What every pipeline file says, whatever its kind. Each kind is a module in `kinds/` with a class made from `Pipeline`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from tablekeep.engine.config.values import ConnectionId, Duration, Filled, FilledS3, Name, Region, TableName, TopicArn
from tablekeep.engine.steps.facts import names_in


class Model(BaseModel):
    """A mapping in a pipeline file: unknown keys are refused, values keep their types, docstrings go into the JSON Schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Monitor(Model):
    """Who is told."""

    notify: TopicArn | None = None
    """An SNS topic: told when a drill fails or misses an objective, and when a restore waits for approval."""


class Limits(Model):
    """What one run may cost."""

    max_usd: Annotated[float, Field(gt=0, strict=False, examples=[50])]
    """A backup, restore or drill that would cost more is refused before anything is paid, with the figure."""


class Notice(Model):
    """Whom to tell, and in which words."""

    topic: TopicArn
    """An SNS topic."""
    subject: Annotated[Filled, Field(min_length=1, max_length=100, examples=["{{ pipeline }} failed"])] | None = None
    """At most 100 characters; without it the DAG and what became of it."""
    message: Annotated[Filled, Field(min_length=1, max_length=10_000, examples=["Look at {{ run }}"])] | None = None
    """Without it: pipeline, owner, DAG, run, time, and the tasks that failed."""


def _notice(value: Any) -> Any:
    return {"topic": value} if isinstance(value, str) else value


AnyNotice = Annotated[
    Notice,
    BeforeValidator(_notice, json_schema_input_type=str | Notice),
    Field(examples=["arn:aws:sns:us-east-1:123456789012:ops"]),
]


class Require(Model):
    """What must be there before the pipeline begins; it waits for it."""

    within: Annotated[Duration, Field(examples=["2h"])] = timedelta(hours=1)
    """How long it waits; then the run fails and says what was missing."""
    table_exists: list[TableName] = []
    """DynamoDB tables that are there."""
    table_has_data: list[TableName] = []
    """DynamoDB tables with an item at least."""
    key_exists: list[FilledS3] = []
    """Objects in S3."""
    prefix_not_empty: list[FilledS3] = []
    """Folders in S3 with an object at least: s3://bucket/orders does not mean s3://bucket/orders_v2."""

    @model_validator(mode="after")
    def _something(self) -> "Require":
        if not self.requirements:
            raise ValueError("it requires nothing: give table_exists, table_has_data, key_exists or prefix_not_empty")
        return self

    @property
    def requirements(self) -> list[tuple[str, str]]:
        """Kind and name of each, as `steps/require.py` takes them."""
        kinds = ("table_exists", "table_has_data", "key_exists", "prefix_not_empty")
        return [(kind, name) for kind in kinds for name in getattr(self, kind)]


def _version(value: Any) -> Any:
    if isinstance(value, bool) or value != 1:
        raise ValueError("this Tablekeep reads version 1 only")
    return value


class Pipeline(Model):
    """What all kinds have in common.

    A kind gives the class variables, narrows `kind` to its own name and adds its keys.

    :cvar LEAD: the verb of the DAG that stands for the pipeline: `backup` gives `backup__<name>`, which a bad file gets, too.
    :cvar TIMED: the section that holds this DAG's `schedule` and `timezone`; empty when they stand at the top.
    """

    LEAD: ClassVar[str] = "backup"
    TIMED: ClassVar[str] = "backup"

    version: Annotated[Literal[1], BeforeValidator(_version, json_schema_input_type=Literal[1]), Field(examples=[1])]
    """Version of the file's format."""
    kind: str
    """The family of templates."""
    name: Name
    """DAG ids come from it: backup__<name>. Default: the file's name."""
    owner: Annotated[str, Field(min_length=1, max_length=200, examples=["shop-team"])] = "tablekeep"
    """Who is asked about it; Airflow shows it."""
    enabled: bool = True
    """true: DAGs are created unpaused; false: no DAGs."""
    region: Region | None = None
    """The Region of what the pipeline works on; as boto3 finds it when not given."""
    aws_conn_id: ConnectionId = "aws_default"
    """The Airflow connection for AWS."""
    pool: Annotated[str, Field(min_length=1, max_length=256, examples=["dynamodb"])] | None = None
    """An Airflow pool that exists: tasks of a missing pool wait for ever."""
    monitor: Monitor | None = None
    """Who is told when something is wrong."""
    limits: Limits | None = None
    """What one run may cost."""
    require: Require | None = None
    """What must be there before the leading DAG (backup__, run__) begins."""
    on_fail: AnyNotice | None = None
    """An SNS topic that is told when a run of any of the pipeline's DAGs has failed."""
    on_success: AnyNotice | None = None
    """An SNS topic that is told when a run of any of them has succeeded."""
    late_after: Annotated[Duration, Field(examples=["2h"])] | None = None
    """A scheduled run of the leading DAG that has not succeeded so long after its time is late."""
    on_late: AnyNotice | None = None
    """An SNS topic that is told of it."""

    _include: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _late_is_told(self) -> "Pipeline":
        if (self.late_after is None) != (self.on_late is None):
            raise ValueError("late_after and on_late go together")
        schedule = self.timed[0]
        if self.late_after and schedule is None:
            raise ValueError("late_after needs a schedule: what has no time is never late")
        wanted = names_in([name for _, name in self.require.requirements]) if self.require else set()
        if schedule is None and wanted & {"window_start", "window_end"}:
            raise ValueError(f"require: {{{{ {min(wanted)} }}}} needs a schedule, and there is none")
        if "manifest" in wanted:
            raise ValueError("require: before the pipeline begins there is no {{ manifest }}")
        return self

    @property
    def include(self) -> Path | None:
        """The folder beside `pipelines/`, which holds `sql/` and `scripts/`; None when the pipeline is from no file."""
        return self._include

    def lies_in(self, include: Path) -> None:
        """Tells the pipeline where its file lies."""
        self._include = include

    @property
    def subject(self) -> str:
        """What the pipeline works on, as descriptions say it: `the DynamoDB table orders`."""
        raise NotImplementedError

    @property
    def tag(self) -> str:
        """By which the DAGs of one subject are found: `table:orders`."""
        return f"{self.kind}:{self.name}"

    @property
    def timed(self) -> tuple[str | None, str]:
        """Schedule and time zone of the leading DAG."""
        section: Any = getattr(self, self.TIMED) if self.TIMED else self
        return section.schedule, section.timezone


def only_once(what: str, names: list[str]) -> None:
    """That no two entries of a list have one name.

    :raises ValueError: else, for pydantic. :param what: `copies`.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two {what} have the name {twice[0]}")
