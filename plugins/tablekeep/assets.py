"""Assets: the names under which Airflow knows that something new is there."""

from typing import TYPE_CHECKING

from airflow.sdk import Asset

if TYPE_CHECKING:
    from tablekeep.engine.config.model import Pipeline


def backup_asset(pipeline: "Pipeline") -> Asset:
    """The verified backups of a pipeline. Its events carry the newest one's manifest, id, as_of, items, bytes and hash."""
    root = pipeline.backup.to.removesuffix("/")
    return Asset(name=f"{pipeline.name}/backup", uri=f"{root}/v1/_pipelines/{pipeline.name}", group="tablekeep")
