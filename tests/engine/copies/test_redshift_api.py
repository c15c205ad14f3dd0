"""SQL over the Data API: what its errors say, and what they never say."""

import pytest

from tablekeep.engine.copies.redshift_api import without_values


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('ERROR: relation "orders" does not exist', 'ERROR: relation "orders" does not exist'),
        ('column "my col" of relation "t" does not exist', 'column "my col" of relation "t" does not exist'),
        ("Invalid digit, Value 'p', Pos 0, Type: Integer", "Invalid digit, Value '…', Pos 0, Type: Integer"),
        ('invalid input syntax for integer: "4711"', "invalid input syntax for integer: '…'"),
        ("context: invalid json object {\"card\": 4711, 'x': 1} query: 7", "context: invalid json object … query: 7"),
        ('context: invalid json array [4711, "cut off', "context: invalid json array …"),
        (
            "File 's3://b/k.parquet' has an incompatible Parquet schema for column 's3://b/k.parquet.n'. Column type: BIGINT",
            "File 's3://b/k.parquet' has an incompatible Parquet schema for column 's3://b/k.parquet.n'. Column type: BIGINT",
        ),
        ("value 'it''s' too long for type character varying(5)", "value '…' too long for type character varying(5)"),
    ],
)
def test_messages_without_values(message: str, shown: str) -> None:
    assert without_values(message) == shown
