"""What the kinds of pipeline have in common that make backup sets, of whatever."""

from pydantic import Field, model_validator

from tablekeep.engine.config.base import Pipeline, only_once
from tablekeep.engine.config.model import Copy, Verify


class SetPipeline(Pipeline):
    """A kind gives its `table` and its `backup`, made from `model.AnyBackup`."""

    verify: Verify | None = None
    """Verifies the newest backup again."""
    copies: list[Copy] = Field(default=[])
    """Databases to which each new backup is copied."""

    @model_validator(mode="after")
    def _names_once(self) -> "SetPipeline":
        only_once("copies", [copy.name for copy in self.copies])
        return self
