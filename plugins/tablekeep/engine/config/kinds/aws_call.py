"""`kind: aws-call`: one call of AWS, on a schedule."""

from typing import Literal

from tablekeep.engine.config.steps import AwsCallAction, StepPipeline


class AwsCallPipeline(StepPipeline, AwsCallAction):
    """One call of AWS, checked against the service's description before it is made."""

    kind: Literal["aws-call"]
    """The family of templates."""


PIPELINE = AwsCallPipeline
