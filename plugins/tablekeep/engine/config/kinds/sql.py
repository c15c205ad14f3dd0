"""`kind: sql`: statements of a team, on a schedule."""

from typing import Literal

from tablekeep.engine.config.steps import SqlAction, StepPipeline


class SqlPipeline(StepPipeline, SqlAction):
    """SQL statements, run in one transaction on PostgreSQL, MySQL or Redshift."""

    kind: Literal["sql"]
    """The family of templates."""


PIPELINE = SqlPipeline
