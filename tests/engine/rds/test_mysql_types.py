"""Every value of MariaDB comes out of a backup exactly: as the text that the server gives, or as the number or the bytes that it is."""

import base64
from typing import Any

import pytest

from tests.engine.rds.conftest import Database, backed_up, items_of, opened
from tests.tables import verify

# column type · values as SQL · what comes of each · how: a type and its logical one · how many miss the column
TYPES: list[tuple[str, list[str], list[Any], str, str | None, int]] = [
    ("tinyint", ["-128", "127"], ["-128", "127"], "N", None, 0),
    ("tinyint(1)", ["1", "2"], ["1", "2"], "N", None, 0),
    ("int(6) zerofill", ["42"], ["42"], "N", None, 0),
    ("bigint", ["-9223372036854775808"], ["-9223372036854775808"], "N", None, 0),
    ("bigint unsigned", ["18446744073709551615", "0"], ["18446744073709551615", "0"], "N", None, 0),
    ("decimal(10,2)", ["1.50", "-0.00"], ["1.5", "0"], "N", None, 0),
    ("decimal(65,30)", ["12345678901234567890123456789012345.123456789012345678901234567890", "2.5"], ["12345678901234567890123456789012345.123456789012345678901234567890", "2.5"], "N", None, 1),
    ("float", ["0.1", "3.4028235e38", "1e-5", "16777217", "123456.7"], ["0.1", "3.4028235e+38", "1e-05", "1.6777216e+07", "123456.7"], "S", "float4", 0),
    ("double", ["0.1", "1e300", "1e15", "1.7976931348623157e308", "-0e0", "0.1e0+0.2e0"], ["0.1", "1e+300", "1e+15", "1.7976931348623157e+308", "0", "0.30000000000000004"], "S", "float8", 0),
    ("bit(5)", ["b'101'", "0"], ["00101", "00000"], "S", None, 0),
    ("bit(1)", ["1"], ["1"], "S", None, 0),
    ("date", ["'2026-11-23'", "'0000-00-00'", "'2026-02-31'", "'2026-00-00'"], ["2026-11-23", "0000-00-00", "2026-02-31", "2026-00-00"], "S", "date", 3),
    ("datetime", ["'2026-11-23 02:00:00'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59'"], ["2026-11-23 02:00:00", "0000-00-00 00:00:00", "9999-12-31 23:59:59"], "S", "timestamp", 1),
    ("datetime(3)", ["'2026-11-23 02:00:00.120'", "'2026-11-23 02:00:00'"], ["2026-11-23 02:00:00.12", "2026-11-23 02:00:00"], "S", "timestamp", 0),
    ("timestamp null", ["'2026-11-23 07:00:00'", "'0000-00-00 00:00:00'"], ["2026-11-23 02:00:00+00", "0000-00-00 00:00:00"], "S", "timestamptz", 1),
    ("timestamp(6) null", ["'2026-11-23 07:00:00.000001'"], ["2026-11-23 02:00:00.000001+00"], "S", "timestamptz", 0),
    ("time", ["'02:00:00'", "'838:59:59'", "'-01:00:00'"], ["02:00:00", "838:59:59", "-01:00:00"], "S", "time", 2),
    ("time(2)", ["'02:00:00.50'"], ["02:00:00.5"], "S", "time", 0),
    ("year", ["2026", "0"], ["2026", "0000"], "S", None, 0),
    ("char(5)", ["'ab  '", "''"], ["ab", ""], "S", None, 0),
    ("varchar(20)", ["'ab  '", "'\U0001f600 \u00e9 \\\\ \\' \\n \\0'"], ["ab  ", "\U0001f600 \u00e9 \\ ' \n \x00"], "S", None, 0),
    ("varchar(20) character set latin1", ["'\u00e9'"], ["\u00e9"], "S", None, 0),
    ("longtext", ["repeat('x', 100000)"], ["x" * 100000], "S", None, 0),
    ("binary(3)", ["x'00ff'"], [b"\x00\xff\x00"], "B", None, 0),
    ("varbinary(10)", ["x'41'", "''"], [b"A", b""], "B", None, 0),
    ("longblob", ["x'00'"], [b"\x00"], "B", None, 0),
    ("enum('a','b','')", ["'b'", "''"], ["b", ""], "S", None, 0),
    ("set('p','q')", ["'q,p'", "''"], ["p,q", ""], "S", None, 0),
    ("json", ["'{\"a\": 1.50}'"], ['{"a": 1.50}'], "S", None, 0),
    ("uuid", ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"], ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "S", "uuid", 0),
    ("inet6", ["'::1'"], ["::1"], "S", None, 0),
    ("point", ["point(1,2)"], [bytes.fromhex("000000000101000000000000000000f03f0000000000000040")], "B", None, 0),
]  # fmt: skip


@pytest.fixture
def typed(my: Database) -> Database:
    """A table with a column of each type; as many rows as the most values. The server's time zone is five hours ahead."""
    my.run(
        "CREATE TABLE typed (id int PRIMARY KEY, " + ", ".join(f"c{n} {one[0]}" for n, one in enumerate(TYPES)) + ")"
    )
    for row in range(max(len(values) for _, values, *_ in TYPES)):
        cells = [values[row] if row < len(values) else "NULL" for _, values, *_ in TYPES]
        my.run("SET sql_mode = 'ALLOW_INVALID_DATES'", f"SET STATEMENT sql_mode = 'ALLOW_INVALID_DATES' FOR INSERT INTO typed VALUES ({row}, {', '.join(cells)})")  # fmt: skip
    return my


def test_every_type_exactly(bucket: None, typed: Database) -> None:
    made = backed_up(typed.source("typed"))
    verify(made.backup)
    found = opened(made.backup).manifest
    got = {item["id"]["N"]: item for item in items_of(made.backup)}
    for number, (kind, _, expected, attribute, logical, misfits) in enumerate(TYPES):
        column = found.layout.column_of(f"c{number}")
        assert column, kind
        assert (column.type, column.logical) == (attribute, logical), kind
        for row in range(len(got)):
            value = got[str(row)].get(f"c{number}")
            if row >= len(expected):
                assert value is None, kind
                continue
            wanted = expected[row]
            if isinstance(wanted, bytes):
                assert value == {"B": base64.b64encode(wanted).decode()}, kind
            else:
                long = attribute == "N" and len(wanted) > 40
                assert value == {"S" if long else attribute: wanted}, kind
        assert found.columns[column.column].misfits == misfits, kind


def test_table_json_has_the_schema_as_the_server_tells_it(bucket: None, my: Database) -> None:
    my.run(
        "CREATE TABLE `odd ``name` (b int NOT NULL DEFAULT 7 COMMENT 'hm', `A b` varchar(9), c int AS (b * 2) STORED, nr bigint unsigned, "
        "UNIQUE KEY u (nr, b), KEY (`A b`(3)))",
        "INSERT INTO `odd ``name` (b, `A b`, nr) VALUES (1, 'x', NULL)",
    )
    made = backed_up(my.source('"odd `name"'))
    verify(made.backup)
    found = opened(made.backup)
    document = found.document("table")
    columns = {one["name"]: one for one in document["columns"]}
    assert (columns["b"]["type"], columns["b"]["default"], columns["b"]["nullable"], columns["b"]["comment"]) == (
        "int(11)",
        "7",
        False,
        "hm",
    )
    assert "`b` * 2" in columns["c"]["expression"]
    assert document["definition"].startswith("CREATE TABLE `odd ``name` (")
    assert {one["name"] for one in document["indexes"]} == {"u", "A b"}
    assert "MariaDB" in document["server"]["version"]
    assert document["key"] == ["_row"]  # u has a column that may be NULL
    assert found.manifest.table["name"] == f"shop-db.{my.name}.odd%20%60name"
    (item,) = items_of(made.backup)
    assert item == {"_row": {"N": "1"}, "b": {"N": "1"}, "A b": {"S": "x"}, "c": {"N": "2"}}
