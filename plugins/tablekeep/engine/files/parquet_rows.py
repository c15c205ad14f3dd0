"""Rows of a Parquet file that another program wrote, as texts; nested values as JSON."""

import base64
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tablekeep.engine.copies.kinds import Kind
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.files.columns import Typed
from tablekeep.engine.files.pages import Page
from tablekeep.engine.items.logical import to_texts

BATCH_ROWS = 4000


def parquet_columns(schema: Any) -> list[Typed]:
    """The columns of an Arrow schema with the types that hold their values."""
    return [Typed(field.name, _kind(field.type)) for field in schema]


def _kind(kind: Any) -> Kind:
    if isinstance(kind, pa.BaseExtensionType):
        name = kind.extension_name
        return Kind({"arrow.uuid": "uuid", "arrow.json": "json"}.get(name, "text"))
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_boolean(kind):
        return Kind("boolean")
    if pa.types.is_integer(kind):
        return Kind("numeric", precision=20) if kind == pa.uint64() else Kind("bigint")
    if pa.types.is_decimal(kind):
        return Kind("numeric", precision=kind.precision, scale=kind.scale) if kind.scale >= 0 else Kind("numeric")
    if pa.types.is_floating(kind):
        return Kind("double" if kind == pa.float64() else "real")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return Kind("bytes")
    if pa.types.is_date(kind):
        return Kind("date")
    if pa.types.is_time(kind):
        return Kind("time")
    if pa.types.is_timestamp(kind):
        return Kind("timestamptz" if kind.tz else "timestamp")
    return Kind("json" if pa.types.is_nested(kind) else "text")


def parquet_pages(stream: IO[bytes], file: str) -> Iterator[Page]:
    """The pages of one file.

    :raises IntegrityError: when it is no Parquet file.
    """
    try:
        opened = pq.ParquetFile(stream)
    except (pa.ArrowInvalid, OSError) as error:
        raise IntegrityError(
            f"reading {file}", f"it is no Parquet file ({type(error).__name__})", "write it again"
        ) from None
    row = 0
    for group in range(opened.num_row_groups):
        for batch in opened.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
            texts = {name: cell_texts(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
            yield Page(list(range(row + 1, row + 1 + batch.num_rows)), texts)
            row += batch.num_rows


def parquet_schema(stream: IO[bytes], file: str) -> Any:
    """Its Arrow schema; see `parquet_pages` for the error."""
    try:
        return pq.ParquetFile(stream).schema_arrow
    except (pa.ArrowInvalid, OSError) as error:
        raise IntegrityError(
            f"reading {file}", f"it is no Parquet file ({type(error).__name__})", "write it again"
        ) from None


def cell_texts(array: Any) -> Any:
    """Values as the texts from which `Typed.read` reads them; a fraction of a microsecond stays, and is no value of the type then."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return to_texts("uuid", array) if kind.extension_name == "arrow.uuid" else array.storage.cast(pa.string())
    if pa.types.is_dictionary(kind):
        return cell_texts(array.dictionary_decode())
    name = _kind(kind).name
    if name in ("double", "real"):
        return to_texts(
            "float8" if name == "double" else "float4", array.cast(pa.float64() if name == "double" else pa.float32())
        )
    if name == "bytes":
        cells = [None if one is None else base64.b64encode(one).decode() for one in array.to_pylist()]
        return pa.array(cells, pa.string())
    if name in ("timestamp", "timestamptz", "time"):
        return _moments(array, name)
    if name == "json":
        cells = [None if one is None else msgspec.json.encode(_plain(one)).decode() for one in array.to_pylist()]
        return pa.array(cells, pa.string())
    if pa.types.is_decimal(kind):
        return pa.array([None if one is None else format(one, "f") for one in array.to_pylist()], pa.string())
    return array.cast(pa.string())


def _moments(array: Any, name: str) -> Any:
    if name == "timestamptz":
        array = array.cast(pa.timestamp(array.type.unit, "UTC")).cast(pa.timestamp(array.type.unit))
    texts = array.cast(pa.string())
    texts = pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1")
    texts = pc.replace_substring_regex(texts, r"\.$", "")
    return pc.binary_join_element_wise(texts, "+00", "") if name == "timestamptz" else texts


def _plain(value: Any) -> Any:
    """A nested value as JSON has it: numbers with all their digits, bytes as base64, times as texts, a map's pairs as an object."""
    if isinstance(value, Decimal):
        return msgspec.Raw(format(value, "f").encode())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(one, tuple) and len(one) == 2 for one in value):
            return {str(name): _plain(one) for name, one in value}
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
