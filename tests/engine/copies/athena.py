"""Reads a table of Glue's catalog as Athena does: the list of files at its Location, columns by name or by number, types as declared."""

from pathlib import Path
from typing import Any

import duckdb

SYMLINKS = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
TYPES = {
    "string": {"VARCHAR", "JSON"}, "bigint": {"BIGINT"}, "boolean": {"BOOLEAN"}, "binary": {"BLOB"}, "double": {"DOUBLE"},
    "float": {"FLOAT"}, "date": {"DATE"}, "timestamp": {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"},
}  # fmt: skip
"""Which of DuckDB's types, as it reads the file, each of Athena's is."""


class Athena:
    """`athena("analytics", "orders")` gives the rows as dicts; every declared type is checked against the files."""

    def __init__(self, local_aws: Any, folder: Path) -> None:
        self._glue, self._s3, self._folder = local_aws.client("glue"), local_aws.client("s3"), folder

    def table(self, database: str, table: str) -> dict[str, Any]:
        return dict(self._glue.get_table(DatabaseName=database, Name=table)["Table"])

    def files(self, database: str, table: str) -> list[str]:
        """The addresses that every object at the Location lists."""
        bucket, _, prefix = (
            self.table(database, table)["StorageDescriptor"]["Location"].removeprefix("s3://").partition("/")
        )
        found = []
        for listed in self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
            found += self._s3.get_object(Bucket=bucket, Key=listed["Key"])["Body"].read().decode().splitlines()
        return found

    def __call__(self, database: str, table: str) -> list[dict[str, Any]]:
        descriptor = self.table(database, table)["StorageDescriptor"]
        assert (descriptor["InputFormat"], descriptor["SerdeInfo"]["SerializationLibrary"]) == (SYMLINKS, PARQUET)
        by_number = descriptor["SerdeInfo"]["Parameters"].get("parquet.column.index.access") == "true"
        rows = []
        for number, uri in enumerate(self.files(database, table)):
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            path = self._folder / f"{number}.parquet"
            path.write_bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            rows += self._read(path, descriptor["Columns"], by_number)
        return rows

    def _read(self, path: Path, columns: list[dict[str, str]], by_number: bool) -> list[dict[str, Any]]:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            relation = connection.read_parquet(str(path))
            present = list(zip(relation.columns, map(str, relation.types), strict=True))
            chosen = []
            for number, column in enumerate(columns):
                if by_number:
                    name, kind = present[number]
                else:
                    ((name, kind),) = [one for one in present if one[0].lower() == column["Name"]]
                check_type(column["Type"], kind)
                chosen.append((column["Name"], name))
            listed = ", ".join('"{}" AS "{}"'.format(name.replace('"', '""'), alias) for alias, name in chosen)
            found = relation.project(listed).fetchall()
        return [dict(zip((alias for alias, _ in chosen), row, strict=True)) for row in found]


def check_type(declared: str, kind: str) -> None:
    if declared.startswith("array<"):
        assert kind.endswith("[]"), (declared, kind)
        check_type(declared[6:-1], kind[:-2])
    elif declared.startswith("decimal("):
        assert kind == declared.upper(), (declared, kind)
    else:
        assert kind in TYPES[declared], (declared, kind)
