"""`kind: dynamodb`: one table, its backups and all that is done with them."""

from typing import Literal

from pydantic import model_validator

from tablekeep.engine.config.base import Pipeline, only_once
from tablekeep.engine.config.model import Backup, Copy, Drill, Restore, Verify
from tablekeep.engine.config.values import TableName


class DynamoDBPipeline(Pipeline):
    """One table, its backups and all that is done with them."""

    kind: Literal["dynamodb"] = "dynamodb"
    """The family of templates."""
    table: TableName
    """The DynamoDB table."""
    backup: Backup
    """The backup."""
    verify: Verify | None = None
    """Verifies the newest backup again."""
    copies: list[Copy] = []
    """Databases to which each new backup is copied."""
    drill: Drill | None = None
    """Rehearses the restore."""
    restore: Restore = Restore()
    """Rules for restores."""

    @model_validator(mode="after")
    def _names_once(self) -> "DynamoDBPipeline":
        only_once("copies", [copy.name for copy in self.copies])
        return self

    @property
    def subject(self) -> str:
        return f"the DynamoDB table {self.table}"

    @property
    def tag(self) -> str:
        return f"table:{self.table}"


PIPELINE = DynamoDBPipeline
