"""`kind: dynamodb`: one table, its backups and all that is done with them."""

from typing import Literal

from tablekeep.engine.config.model import Backup, Drill, Restore
from tablekeep.engine.config.sets import SetPipeline
from tablekeep.engine.config.values import TableName


class DynamoDBPipeline(SetPipeline):
    """One table, its backups and all that is done with them."""

    kind: Literal["dynamodb"] = "dynamodb"
    """The family of templates."""
    table: TableName
    """The DynamoDB table."""
    backup: Backup
    """The backup."""
    drill: Drill | None = None
    """Rehearses the restore."""
    restore: Restore = Restore()
    """Rules for restores."""

    @property
    def subject(self) -> str:
        return f"the DynamoDB table {self.table}"

    @property
    def tag(self) -> str:
        return f"table:{self.table}"


PIPELINE = DynamoDBPipeline
