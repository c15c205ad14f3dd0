"""Assets: the names under which Airflow knows that something new is there."""

from typing import TYPE_CHECKING

from airflow.sdk import Asset

from tablekeep.engine.names import parse_s3

if TYPE_CHECKING:
    from tablekeep.engine.config.model import Pipeline


def backup_asset(pipeline: "Pipeline") -> Asset:
    """The verified backups of a pipeline. Its events carry the newest one's manifest, id, as_of, items, bytes and hash."""
    bucket, root = parse_s3(pipeline.backup.to)
    # x-: a scheme of our own. For s3: Airflow would import the Amazon provider, and boto3 with it, each time a file is parsed
    place = f"{bucket}/{root}/v1" if root else f"{bucket}/v1"
    return Asset(
        name=f"{pipeline.name}/backup", uri=f"x-tablekeep://{place}/_pipelines/{pipeline.name}", group="tablekeep"
    )
