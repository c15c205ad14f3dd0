"""Loading Parquet files into a table under the rules of Redshift's columnar COPY.

Columns go by position; their number must match; a Parquet type must be exactly the column's. The texts of the errors
follow what users of Redshift Spectrum report; where a rule could not be confirmed it says so, and the stricter
reading is taken.
"""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from moto.s3.models import s3_backends

from local_aws.redshift.copy import Copy
from local_aws.redshift.documents import stored
from local_aws.redshift.tokens import SqlError, path_text, quoted
from local_aws.redshift.types import ColumnType

ROWS_A_BATCH = 10_000


class LoadError(SqlError):
    """A COPY that failed on a file: what SYS_LOAD_ERROR_DETAIL shows of it."""

    def __init__(self, message: str, *, file: str = "", column: str = "", column_type: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.column = column
        self.column_type = column_type


@dataclass(frozen=True)
class Column:
    name: str
    type: ColumnType
    identity: bool = False


def read_columns(cursor: psycopg.Cursor[Any], copy: Copy) -> tuple[str, list[Column]]:
    """The target's name as PostgreSQL knows it, and the columns that the files' columns go to, in order.

    :raises SqlError: when the table or a listed column does not exist.
    """
    from local_aws.redshift.types import parse_type

    cursor.execute("SELECT to_regclass(%s)::oid", [path_text(copy.table)])
    found = cursor.fetchone()
    if found is None or found[0] is None:
        raise SqlError(f"Cannot COPY into nonexistent table {copy.table[-1]}")
    cursor.execute(
        """SELECT attname, coalesce(substr(col_description(attrelid, attnum), 10), format_type(atttypid, atttypmod)),
                  attidentity
           FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        [found[0]],
    )
    columns = {name: Column(name, parse_type(kind), identity != "") for name, kind, identity in cursor.fetchall()}
    if copy.columns:
        for name in copy.columns:
            if name not in columns:
                raise SqlError(f'column "{name}" of relation "{copy.table[-1]}" does not exist')
        wanted = [columns[name] for name in copy.columns]
    else:
        # identity columns are not loaded, unless EXPLICIT_IDS says so
        wanted = [c for c in columns.values() if copy.explicit_ids or not c.identity]
    return path_text(copy.table), wanted


@dataclass(frozen=True)
class S3File:
    url: str
    body: bytes


def find_files(copy: Copy, region: str) -> list[S3File]:
    """The files that a COPY reads, checked against the manifest before the first row.

    :param region: the cluster's; the bucket must be in the same (COPY from Parquet takes no REGION).
    """
    if not copy.manifest:
        objects = list_objects(copy.bucket, copy.key, region)
        if not objects:
            raise SqlError(f"The specified S3 prefix '{copy.key}' does not exist")
        return objects
    body = read_object(copy.bucket, copy.key, region)
    if body is None:
        raise SqlError(f"The specified S3 manifest '{copy.key}' does not exist")
    return [file for entry in manifest_entries(copy, body) if (file := entry_file(entry, region)) is not None]


def manifest_entries(copy: Copy, body: bytes) -> list[dict[str, Any]]:
    where = f"s3://{copy.bucket}/{copy.key}"
    try:
        entries = json.loads(body)["entries"]
        urls = [entry["url"] for entry in entries]
    except (ValueError, KeyError, TypeError):
        raise SqlError(f"Invalid manifest {where}: it needs a list `entries`, each with a `url`") from None
    if not urls:
        raise SqlError(f"The manifest {where} lists no files")
    return list(entries)


def entry_file(entry: dict[str, Any], region: str) -> S3File | None:
    url = entry["url"]
    if not isinstance(url, str) or not url.startswith("s3://") or "/" not in url[5:]:
        raise SqlError(f"Invalid manifest entry: {url} is no S3 URL")
    length = (entry.get("meta") or {}).get("content_length")
    if not isinstance(length, int) or isinstance(length, bool):
        raise LoadError("Manifest entry without meta.content_length, which PARQUET files need", file=url)
    bucket, _, key = url[5:].partition("/")
    body = read_object(bucket, key, region)
    if body is None:
        # without `mandatory` a missing file is passed over in silence
        if entry.get("mandatory") is True:
            raise LoadError(f"The specified S3 object does not exist: {url}", file=url)
        return None
    if len(body) != length:
        # the service's own text is UNCONFIRMED
        raise LoadError(f"meta.content_length of {url} is {length}, the object has {len(body)} bytes", file=url)
    return S3File(url, body)


def bucket_of(name: str, region: str) -> Any:
    owner = s3_backends.bucket_accounts.get(name)
    bucket = s3_backends[owner[1]][owner[0]].buckets.get(name) if owner else None
    if bucket is None:
        raise SqlError(f"S3ServiceException:The specified bucket does not exist,Status 404,Error NoSuchBucket: {name}")
    if bucket.region_name != region:
        raise SqlError(
            f"S3ServiceException:The S3 bucket addressed by the query is in a different region from this cluster "
            f"(bucket {name}: {bucket.region_name}, cluster: {region}),Status 301,Error PermanentRedirect"
        )
    return bucket


def read_object(bucket: str, key: str, region: str) -> bytes | None:
    found = bucket_of(bucket, region).keys.get(key)
    return None if found is None or not hasattr(found, "value") else bytes(found.value)


def list_objects(bucket: str, prefix: str, region: str) -> list[S3File]:
    keys = bucket_of(bucket, region).keys
    found = [(key, keys[key]) for key in sorted(keys) if key.startswith(prefix)]
    # a deleted object of a versioned bucket leaves a marker without a body
    return [S3File(f"s3://{bucket}/{key}", bytes(item.value)) for key, item in found if hasattr(item, "value")]


def load(cursor: psycopg.Cursor[Any], copy: Copy, region: str) -> int:
    """Carry out a COPY inside of the cursor's transaction.

    :return: number of rows.
    :raises SqlError: at the first error; the caller rolls back.
    """
    target, columns = read_columns(cursor, copy)
    files = find_files(copy, region)
    # every file's schema before the first row of any
    opened = [(file, open_file(file, columns, copy)) for file in files]
    rows = 0
    names = ", ".join(quoted(column.name) for column in columns)
    statement = f"COPY {target} ({names}) FROM STDIN"
    with cursor.copy(statement.encode()) as sink:
        for file, parquet in opened:
            for row in read_rows(file, parquet, columns, copy):
                sink.write_row(row)
                rows += 1
    return rows


def open_file(file: S3File, columns: list[Column], copy: Copy) -> pq.ParquetFile:
    if len(file.body) < 12 or file.body[:4] != b"PAR1" or file.body[-4:] != b"PAR1":
        raise LoadError(f"Spectrum Scan Error. File '{file.url}' has an invalid version number", file=file.url)
    try:
        parquet = pq.ParquetFile(io.BytesIO(file.body))
    except (pa.ArrowException, OSError) as error:
        raise LoadError(f"Spectrum Scan Error. File '{file.url}' cannot be read: {error}", file=file.url) from None
    found = len(parquet.schema_arrow)
    if found != len(columns) and not (copy.fill_record and found < len(columns)):
        raise LoadError(
            f"Unmatched number of columns between table and file. Table columns: {len(columns)}, "
            f"Data columns: {found}, File name: {file.url}",
            file=file.url,
        )
    leaves = leaves_by_field(parquet)
    for index, field in enumerate(parquet.schema_arrow):
        check_field(file, columns[index], field, leaves[index], copy)
    return parquet


def leaves_by_field(parquet: pq.ParquetFile) -> list[list[Any]]:
    """The Parquet leaf columns of each top-level field."""
    leaves: list[list[Any]] = []
    last = None
    fields = parquet.schema_arrow.names
    position = 0
    for index in range(len(parquet.schema)):
        leaf = parquet.schema.column(index)
        top = parquet.metadata.schema.column(index).path.split(".")
        # names may contain dots: compare with the next field's name
        name = fields[position] if position < len(fields) else None
        joined = ".".join(top)
        if last is not None and joined.startswith(last + ".") and joined != name:
            leaves[-1].append(leaf)
            continue
        leaves.append([leaf])
        last = name
        position += 1
    return leaves


def check_field(file: S3File, column: Column, field: pa.Field, leaves: list[Any], copy: Copy) -> None:
    kind = column.type.kind
    if pa.types.is_nested(field.type):
        if kind != "super" or not copy.serialize_to_json:
            refuse(file, column, "optional group", " (nested columns load into SUPER, with SERIALIZETOJSON)")
        return
    leaf = leaves[0]
    actual = parquet_types(leaf)
    if kind == "numeric":
        check_decimal(file, column, leaf)
    elif kind == "super":
        # "by specifying SERIALIZETOJSON you can load any column type that aligns with a SUPER column": without it the stricter
        # reading is taken. A string, also one of JSON, loads as a string (UNCONFIRMED).
        if not copy.serialize_to_json:
            refuse(file, column, describe(leaf), " (columns load into SUPER with SERIALIZETOJSON)")
    elif kind not in actual:
        refuse(file, column, describe(leaf))


def refuse(file: S3File, column: Column, schema: str, note: str = "") -> None:
    raise LoadError(
        f"Spectrum Scan Error. File '{file.url}' has an incompatible Parquet schema for column "
        f"'{file.url.rpartition('/')[2]}.{column.name}'. Column type: {str(column.type).upper()}, "
        f"Parquet schema: {schema}{note}",
        file=file.url,
        column=column.name,
        column_type=str(column.type),
    )


def describe(leaf: Any) -> str:
    logical = str(leaf.logical_type)
    return f"{leaf.physical_type.lower()} {leaf.name}" + ("" if logical == "None" else f" ({logical})")


def parquet_types(leaf: Any) -> tuple[str, ...]:
    """Redshift's types that take this Parquet column."""
    physical = leaf.physical_type
    logical = json.loads(leaf.logical_type.to_json())
    kind = logical.get("Type", "None")
    if physical == "BOOLEAN":
        return ("boolean",)
    if physical in {"FLOAT", "DOUBLE"}:
        return ("real",) if physical == "FLOAT" else ("double precision",)
    if kind == "Int":
        if not logical["isSigned"]:
            return ()
        # that INT(16) goes to SMALLINT only is UNCONFIRMED
        return {16: ("smallint",), 32: ("integer",), 64: ("bigint",)}.get(logical["bitWidth"], ())
    if kind == "None" and physical in {"INT32", "INT64", "INT96"}:
        return {"INT32": ("integer",), "INT64": ("bigint",), "INT96": ("timestamp without time zone",)}[physical]
    if kind == "Date":
        return ("date",)
    if kind == "Timestamp":
        # nanoseconds are misread by Redshift (years far in the future): refused here. Milliseconds: UNCONFIRMED.
        if logical["timeUnit"] == "nanoseconds":
            return ()
        return ("timestamp without time zone", "timestamp with time zone")  # the latter UNCONFIRMED
    if kind == "Time":
        return ("time without time zone",) if logical["timeUnit"] == "microseconds" else ()
    if kind == "String":
        return ("character varying", "character")
    if kind == "None" and physical in {"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}:
        return ("binary varying",)
    return ()  # JSON, BSON, ENUM, UUID and INTERVAL annotations: UNCONFIRMED, so refused


def check_decimal(file: S3File, column: Column, leaf: Any) -> None:
    """Precision, scale and physical width must be the column's: Redshift reads a fixed length by its own type."""
    logical = json.loads(leaf.logical_type.to_json())
    if logical.get("Type") != "Decimal":
        refuse(file, column, describe(leaf))
    precision, scale = logical["precision"], logical["scale"]
    expected = decimal_bytes(column.type.size)
    if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" and leaf.length != expected:
        raise LoadError(
            f"Spectrum Scan Error. File '{file.url}' column '{column.name}': invalid type length. "
            f"Expecting: {expected} len in file: {leaf.length}",
            file=file.url,
            column=column.name,
            column_type=str(column.type),
        )
    if (precision, scale) != (column.type.size, column.type.scale):
        refuse(file, column, f"decimal({precision},{scale}) {leaf.name}")


def decimal_bytes(precision: int) -> int:
    """The bytes that a two's complement number of so many digits needs: 8 for 18 digits, 13 for 29, 16 for 38."""
    return (int(10**precision).bit_length() + 8) // 8


def read_rows(file: S3File, parquet: pq.ParquetFile, columns: list[Column], copy: Copy) -> Iterator[list[Any]]:
    missing = [None] * (len(columns) - len(parquet.schema_arrow))
    readers = [ValueReader(file, column, copy).choose() for column in columns]
    for batch in parquet.iter_batches(ROWS_A_BATCH):
        values = [column.to_pylist() for column in batch.columns]
        for row in zip(*values, strict=True):
            yield [None if v is None else read(v) for read, v in zip(readers, row, strict=False)] + missing


@dataclass(frozen=True)
class ValueReader:
    """Turns one column's values into what PostgreSQL takes, and refuses those that Redshift's column cannot hold."""

    file: S3File
    column: Column
    copy: Copy

    def choose(self) -> Callable[[Any], Any]:
        kind = self.column.type.kind
        if kind in {"character varying", "character"}:
            return self.string
        return {"binary varying": self.binary, "super": self.document}.get(kind, lambda value: value)

    def error(self, message: str) -> LoadError:
        return LoadError(message, file=self.file.url, column=self.column.name, column_type=str(self.column.type))

    def check_length(self, length: int, limit: int) -> None:
        if length > limit:
            raise self.error(
                f"Spectrum Scan Error. The length of the data column {self.column.name} is longer than the length "
                f"defined in the table. Table: {limit}, Data: {length}, File: {self.file.url}"
            )

    def string(self, value: str) -> str:
        if "\x00" in value:
            # PostgreSQL cannot hold it; that COPY refuses it for columnar data is UNCONFIRMED
            if self.copy.accept_invalid is None:
                raise self.error(
                    "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: 00 (error 1)"
                )
            value = value.replace("\x00", self.copy.accept_invalid)
        self.check_length(len(value.encode()), self.column.type.size)
        return value

    def binary(self, value: bytes) -> str:
        self.check_length(len(value), self.column.type.size)
        # psycopg would escape bytes for a literal, by this connection's setting for backslashes
        return f"\\x{value.hex()}"

    def document(self, value: Any) -> str:
        try:
            return stored(value)
        except SqlError as error:
            raise self.error(str(error)) from None
