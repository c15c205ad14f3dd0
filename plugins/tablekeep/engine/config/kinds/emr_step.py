"""`kind: emr-step`: a step of an EMR cluster, on a schedule."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from tablekeep.engine.config.base import Model
from tablekeep.engine.config.steps import Argument, StepPipeline
from tablekeep.engine.config.values import Duration, Filled, S3Uri, known_names

InstanceType = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$", examples=["m5.xlarge"])]
RoleName = Annotated[str, Field(min_length=1, max_length=2048)]


class Bootstrap(Model):
    """A script that prepares each node before the step."""

    path: S3Uri
    """Its address."""
    arguments: list[Argument] = []
    """Its arguments."""


class NewClusterSection(Model):
    """A cluster that is made for the step, and ends with it."""

    release: Annotated[str, Field(pattern=r"^emr-[0-9.]+$", examples=["emr-7.9.0"])]
    """EMR's release."""
    master: InstanceType = "m5.xlarge"
    """Instance type of the master."""
    core: InstanceType = "m5.xlarge"
    """Instance type of the core nodes."""
    core_count: Annotated[int, Field(ge=0, le=10_000, examples=[2])] = 2
    """How many core nodes."""
    applications: list[Annotated[str, Field(min_length=1, max_length=100, examples=["Spark"])]] = []
    """What is installed."""
    subnet: Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$", examples=["subnet-0a1b2c3d"])] | None = None
    """The subnet."""
    log_uri: S3Uri | None = None
    """Where EMR puts its logs."""
    service_role: RoleName = "EMR_DefaultRole"
    """EMR's own role."""
    instance_role: RoleName = "EMR_EC2_DefaultRole"
    """The instances' profile."""
    bootstrap: list[Bootstrap] = []
    """Scripts that prepare each node."""
    settings: Annotated[dict[str, Any], AfterValidator(known_names)] = {}
    """More of RunJobFlow's parameters, as EMR names them; not those that would keep the cluster alive."""


class EmrStepPipeline(StepPipeline):
    """A step of an EMR cluster: one that is there, or one that is made for it and always ended."""

    kind: Literal["emr-step"]
    """The family of templates."""
    jar: Annotated[Filled, Field(min_length=1, max_length=2048, examples=["command-runner.jar"])] = "command-runner.jar"
    """The JAR: EMR's own, or an S3 address."""
    main_class: Annotated[str, Field(min_length=1, max_length=1000, examples=["com.acme.Main"])] | None = None
    """Its main class, where the JAR names none."""
    arguments: list[Argument] = []
    """One argument each."""
    properties: dict[str, Filled] = {}
    """Java properties."""
    cluster: Annotated[str, Field(pattern=r"^j-[A-Z0-9]+$", examples=["j-2AXXXXXXGAPLF"])] | None = None
    """The id of a cluster that is there."""
    new_cluster: NewClusterSection | None = None
    """Or a cluster that is made for the step."""
    timeout: Annotated[Duration, Field(examples=["4h"])] = timedelta(hours=12)
    """What takes longer is stopped."""

    @model_validator(mode="after")
    def _one_cluster(self) -> "EmrStepPipeline":
        if (self.cluster is None) == (self.new_cluster is None):
            raise ValueError("give either cluster or new_cluster")
        return self


PIPELINE = EmrStepPipeline
