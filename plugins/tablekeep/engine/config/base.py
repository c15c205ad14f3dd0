"""What every pipeline file says, whatever its kind. Each kind is a module in `kinds/` with a class made from `Pipeline`."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tablekeep.engine.config.values import ConnectionId, Name, Region, TopicArn


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
