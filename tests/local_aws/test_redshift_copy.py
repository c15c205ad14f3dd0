"""COPY from Parquet refuses what Redshift refuses, and a refused load leaves nothing."""

import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local_aws.server import LocalAws
from tests.local_aws.redshift import ROLE, Redshift

PLAIN_COPY = f"copy orders from 's3://warehouse/manifest.json' iam_role '{ROLE}' format as parquet manifest"
COPY = f"{PLAIN_COPY} serializetojson"
DDL = """create table orders (id varchar(6), n numeric(18,4), i integer, b bigint, f double precision, ok boolean,
         doc super, at timestamp, d date, raw varbyte(4))"""


class Warehouse(Redshift):
    """A bucket with one Parquet file and its manifest, beside the table `orders`."""

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(aws)
        self.s3 = aws.client("s3")
        self.s3.create_bucket(Bucket="warehouse")
        self(DDL)

    def put(self, table: pa.Table, key: str = "data/1.parquet", **options: Any) -> int:
        body = io.BytesIO()
        pq.write_table(table, body, **options)
        self.s3.put_object(Bucket="warehouse", Key=key, Body=body.getvalue())
        return len(body.getvalue())

    def manifest(self, *entries: dict[str, Any]) -> None:
        self.s3.put_object(Bucket="warehouse", Key="manifest.json", Body=json.dumps({"entries": entries}))

    def offer(self, table: pa.Table, **options: Any) -> None:
        length = self.put(table, **options)
        self.manifest(entry(length))


def entry(length: int, key: str = "data/1.parquet", **more: Any) -> dict[str, Any]:
    return {"url": f"s3://warehouse/{key}", "mandatory": True, "meta": {"content_length": length}} | more


COLUMNS: dict[str, pa.Array] = {
    "id": pa.array(["a", "é"]),
    "n": pa.array([Decimal("1.5000"), None], pa.decimal128(18, 4)),
    "i": pa.array([1, None], pa.int32()),
    "b": pa.array([2**60, None], pa.int64()),
    "f": pa.array([0.5, None]),
    "ok": pa.array([True, None]),
    "doc": pa.array(['{"a":1}', None]),
    "at": pa.array([1_500_000, None], pa.timestamp("us")),
    "d": pa.array([1, None], pa.date32()),
    "raw": pa.array([b"\x00\xff", None]),
}


def table(**changed: pa.Array) -> pa.Table:
    return pa.table(COLUMNS | changed)


@pytest.fixture
def warehouse(local_redshift: LocalAws) -> Warehouse:
    return Warehouse(local_redshift)


def test_a_load_by_manifest(warehouse: Warehouse) -> None:
    warehouse.offer(table())
    batch = warehouse.batch("delete from orders", COPY, "select pg_last_copy_count()")
    assert (batch["Status"], batch["SubStatements"][1]["ResultRows"]) == ("FINISHED", 2)
    assert warehouse.client.get_statement_result(Id=f"{batch['Id']}:3")["Records"] == [[{"longValue": 2}]]
    assert warehouse.rows("select * from orders order by id")[0] == [
        "a", "1.5000", 1, 2**60, 0.5, True, '"{\\"a\\":1}"', "1970-01-01 00:00:01.5", "1970-01-02", "00ff"
    ]  # fmt: skip
    assert warehouse.rows("select status, loaded_rows from sys_load_history") == [["completed", 2]]


def test_columns_go_by_position_not_by_name(warehouse: Warehouse) -> None:
    warehouse.offer(table().rename_columns([f"c{n}" for n in range(10)]))
    assert warehouse(COPY)["ResultRows"] == 2


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"b": pa.array([1, 2], pa.int32())}, "incompatible Parquet schema"),
        ({"i": pa.array([1, 2], pa.int64())}, "incompatible Parquet schema"),
        ({"i": pa.array([1, 2], pa.uint32())}, "incompatible Parquet schema"),
        ({"f": pa.array([1, 2], pa.float32())}, "incompatible Parquet schema"),
        ({"n": pa.array([None, None], pa.decimal128(17, 4))}, "incompatible Parquet schema"),
        ({"n": pa.array([None, None], pa.decimal128(18, 3))}, "incompatible Parquet schema"),
        ({"n": pa.array([None, None], pa.decimal128(29, 9))}, "invalid type length. Expecting: 8 len in file: 13"),
        ({"n": pa.array(["1", "2"])}, "incompatible Parquet schema"),
        ({"id": pa.array([1, 2])}, "incompatible Parquet schema"),
        ({"at": pa.array([0, 1], pa.timestamp("ns"))}, "incompatible Parquet schema"),
        ({"raw": pa.array(["a", "b"])}, "incompatible Parquet schema"),
        ({"id": pa.array(["ééé", "éééé"])}, "Table: 6, Data: 8"),
        ({"raw": pa.array([b"12345", None])}, "Table: 4, Data: 5"),
        ({"id": pa.array(["a\x00b", None])}, "invalid or unsupported UTF8"),
        ({"doc": pa.array([b"a", None])}, "inside of SUPER"),
        ({"doc": pa.array(["x" * 65536, None])}, "longer than 65535 bytes"),
        ({"doc": pa.array([["é" * 32768], None])}, "longer than 65535 bytes"),
        ({"doc": pa.array([[float("nan")], None])}, "no NaN"),
        ({"doc": pa.array([["x" * 65535] * 257, None])}, "longer than 16777216 bytes"),
    ],
)
def test_types_must_be_exactly_the_columns(warehouse: Warehouse, changed: dict[str, pa.Array], why: str) -> None:
    warehouse("insert into orders (id) values ('old')")
    warehouse.offer(table(**changed))
    batch = warehouse.batch("delete from orders", COPY)
    assert batch["Status"] == "FAILED"
    assert why in batch["Error"]
    assert warehouse.rows("select id from orders") == [["old"]]
    (name,) = changed
    detail = "select file_name, column_name, error_message from sys_load_error_detail"
    file, column, message = warehouse.rows(detail)[0]
    assert (file, column) == ("s3://warehouse/data/1.parquet", name)
    assert why in message


def test_the_number_of_columns_must_match(warehouse: Warehouse) -> None:
    warehouse.offer(table().drop_columns(["raw"]))
    assert "Table columns: 10, Data columns: 9" in warehouse.error(COPY)
    assert warehouse(COPY + " fillrecord")["ResultRows"] == 2
    warehouse.offer(table().append_column("more", pa.array([1, 2])))
    assert "Table columns: 10, Data columns: 11" in warehouse.error(COPY + " fillrecord")


def test_a_list_of_columns_narrows_the_target(warehouse: Warehouse) -> None:
    warehouse.offer(pa.table({"x": COLUMNS["b"], "y": COLUMNS["id"]}))
    assert warehouse(COPY.replace("orders", "orders (b, id)"))["ResultRows"] == 2
    assert 'column "zz" of relation "orders" does not exist' in warehouse.error(COPY.replace("orders", "orders (zz)"))


def test_columns_load_into_super_with_serializetojson_only(warehouse: Warehouse) -> None:
    """Developer guide, "Loading semistructured data", columnar formats."""
    precise = Decimal("12345678901234567890123456789012.345678")
    value = [{"a": 1, "l": [{"x": "é", "n": precise}]}, None]
    for changed in (COLUMNS["doc"], pa.array(value)):
        warehouse.offer(table(doc=changed))
        assert "with SERIALIZETOJSON" in warehouse.error(PLAIN_COPY)
    warehouse(COPY)
    loaded = '{"a":1,"l":[{"x":"é","n":12345678901234567890123456789012.345678}]}'
    assert warehouse.rows("select doc, json_typeof(doc) from orders order by id") == [[loaded, "object"], [None, None]]


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([{"url": "s3://warehouse/data/1.parquet", "mandatory": True}], "meta.content_length"),
        ([entry(7)], "content_length of s3://warehouse/data/1.parquet is 7"),
        ([entry(7, "data/none.parquet")], "does not exist: s3://warehouse/data/none.parquet"),
        ([{"mandatory": True}], "each with a `url`"),
        ([], "lists no files"),
        ([entry(7) | {"url": "https://warehouse/x"}], "is no S3 URL"),
    ],
)
def test_manifests_that_are_refused(warehouse: Warehouse, entries: list[dict[str, Any]], why: str) -> None:
    warehouse.put(table())
    warehouse.manifest(*entries)
    assert why in warehouse.error(COPY)


def test_a_missing_file_that_is_not_mandatory_is_passed_over(warehouse: Warehouse) -> None:
    length = warehouse.put(table())
    missing = entry(5, "data/none.parquet")
    del missing["mandatory"]
    warehouse.manifest(missing, entry(length))
    assert warehouse(COPY)["ResultRows"] == 2


def test_one_bad_file_of_two_loads_nothing(warehouse: Warehouse) -> None:
    good, bad = (
        warehouse.put(table(), "data/1.parquet"),
        warehouse.put(table(b=pa.array([1, 2], pa.int32())), "data/2.parquet"),
    )
    warehouse.manifest(entry(good), entry(bad, "data/2.parquet"))
    assert "2.parquet" in warehouse.error(COPY)
    assert warehouse.rows("select count(*) from orders") == [[0]]


def test_a_prefix_takes_every_object_also_strays(warehouse: Warehouse) -> None:
    statement = f"copy orders from 's3://warehouse/data/' iam_role '{ROLE}' format parquet serializetojson"
    assert "prefix 'data/' does not exist" in warehouse.error(statement)
    warehouse.put(table(), "data/1.parquet")
    warehouse.put(table(), "data/2.parquet")
    assert warehouse(statement)["ResultRows"] == 4
    warehouse.s3.put_object(Bucket="warehouse", Key="data/manifest.json", Body=b"{}")
    assert "has an invalid version number" in warehouse.error(statement)


def test_the_bucket_must_be_in_the_clusters_region(warehouse: Warehouse, local_redshift: LocalAws) -> None:
    elsewhere = local_redshift.client("s3", region="eu-west-1")
    elsewhere.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    elsewhere.put_object(Bucket="far-away", Key="x", Body=b"")
    statement = f"copy orders from 's3://far-away/x' iam_role '{ROLE}' format parquet"
    assert "different region" in warehouse.error(statement)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (COPY + " maxerror 10", "MAXERROR argument is not supported"),
        (COPY + " region 'us-east-1'", "REGION argument is not supported"),
        (COPY + " compupdate off", "COMPUPDATE argument is not supported"),
        (COPY + " manifest", "redundant"),
        (COPY + " nonsense", 'at or near "nonsense"'),
        (COPY.replace(f"iam_role '{ROLE}'", ""), "IAM_ROLE"),
        (COPY.replace(ROLE, "role"), "Invalid credentials"),
        (COPY.replace("format as parquet", ""), "PARQUET only"),
        (COPY.replace("orders", "nowhere", 1), "Cannot COPY into nonexistent table nowhere"),
        (COPY.replace("s3://", "dynamodb://"), "s3:// only"),
        (COPY.replace("manifest.json", "none.json"), "manifest 'none.json' does not exist"),
        (COPY.replace("warehouse", "no-such-bucket"), "NoSuchBucket"),
    ],
)
def test_statements_that_are_refused(warehouse: Warehouse, statement: str, why: str) -> None:
    warehouse.offer(table())
    assert why in warehouse.error(statement)


def test_not_null_columns_are_kept(warehouse: Warehouse) -> None:
    warehouse("create table strict (id varchar(5) not null)")
    warehouse.offer(pa.table({"id": pa.array(["a", None])}))
    assert "violates not-null constraint" in warehouse.error(COPY.replace("orders", "strict", 1))
