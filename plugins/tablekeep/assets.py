"""Assets: the names under which Airflow knows that something new is there."""

from airflow.sdk import Asset

from tablekeep.engine.names import parse_s3


def backup_asset(pipeline: str, to: str) -> Asset:
    """The verified backups of a pipeline. Its events carry the newest one's manifest, id, as_of, items, bytes and hash.

    :param pipeline: its name. :param to: the root of its backups.
    """
    bucket, root = parse_s3(to)
    # x-: a scheme of our own. For s3: Airflow would import the Amazon provider, and boto3 with it, each time a file is parsed
    place = f"{bucket}/{root}/v1" if root else f"{bucket}/v1"
    return Asset(name=f"{pipeline}/backup", uri=f"x-tablekeep://{place}/_pipelines/{pipeline}", group="tablekeep")
