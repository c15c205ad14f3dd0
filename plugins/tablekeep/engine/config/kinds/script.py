"""`kind: script`: a program of a team, on a schedule."""

from typing import Literal

from tablekeep.engine.config.steps import ScriptAction, StepPipeline


class ScriptPipeline(StepPipeline, ScriptAction):
    """A program from include/scripts, where the deployment allows it."""

    kind: Literal["script"]
    """The family of templates."""


PIPELINE = ScriptPipeline
