"""Where a database is, as several sections of pipeline files say it."""

from typing import Annotated

from pydantic import Field, model_validator

from tablekeep.engine.config.base import Model
from tablekeep.engine.config.values import ConnectionId, Region, SecretArn


class RedshiftPlace(Model):
    """A database of Redshift, over its Data API: of a serverless workgroup, or of a cluster with a user or a secret."""

    workgroup: Annotated[str, Field(min_length=3, max_length=64, examples=["dwh"])] | None = None
    """The serverless workgroup."""
    cluster: Annotated[str, Field(min_length=1, max_length=63, examples=["dwh"])] | None = None
    """The provisioned cluster."""
    database: Annotated[str, Field(min_length=1, max_length=127, examples=["prod"])]
    """The database."""
    db_user: Annotated[str, Field(min_length=1, max_length=127, examples=["loader"])] | None = None
    """The database user of a cluster, when no secret is given."""
    secret: SecretArn | None = None
    """The secret with user and password."""
    aws_conn_id: ConnectionId | None = None
    """The Airflow connection for the Data API; the pipeline's when not given."""
    region: Region | None = None
    """The warehouse's Region; the pipeline's when not given."""

    @model_validator(mode="after")
    def _one_place(self) -> "RedshiftPlace":
        if bool(self.workgroup) == bool(self.cluster):
            raise ValueError("give either workgroup or cluster")
        if self.workgroup and self.db_user:
            raise ValueError("db_user goes with cluster; a workgroup takes the role's own user, or a secret")
        if self.cluster and bool(self.db_user) == bool(self.secret):
            raise ValueError("a cluster needs either db_user or secret")
        return self
