"""StartBulkPutItems, by the API's model of a newer botocore alone: what is asked and what is answered is held against that model, and what
was written is proved as on every other way to an existing table. Never tried against AWS."""

import functools
import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest

from local_aws.server import switch
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import making
from tablekeep.engine.restore.plan import plan_restore
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tablekeep.engine.restore.words import plan_lines
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders

MODELS = Path(sys.prefix) / "models" / "botocore" / "data"
PREFIX = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders").prefix


@functools.cache
def newer() -> SessionClients:
    """Clients of a botocore that knows the operation: the installed one with the newer model."""
    if not (MODELS / "dynamodb").is_dir():
        pytest.fail("the newer model is not there: run `make setup`")
    core = botocore.session.Session()
    core.register_component("data_loader", botocore.loaders.Loader(extra_search_paths=[str(MODELS)]))
    made = SessionClients(boto3.session.Session(botocore_session=core, region_name="us-east-1"), region="us-east-1")
    database = made.client("dynamodb")
    for name in ("StartBulkPutItems", "DescribeBulkOperation", "ListBulkOperations"):
        shape = database.meta.service_model.operation_model(name).output_shape
        database.meta.events.register(
            f"after-call.dynamodb.{name}",
            lambda http_response, shape=shape, **_: (
                fits(json.loads(http_response.content), shape) if http_response.status_code == 200 else None
            ),
        )
    return made


def fits(value: Any, shape: Any) -> None:
    """That an answer has no member and no type that the model does not know."""
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), (shape.name, set(value) - set(shape.members))
        assert set(shape.required_members) <= set(value), shape.name
        for name, one in value.items():
            fits(one, shape.members[name])
    elif shape.type_name == "list":
        for one in value:
            fits(one, shape.member)
    elif shape.type_name == "string":
        assert isinstance(value, str)
        assert not getattr(shape, "enum", None) or value in shape.enum, (shape.name, value)
    elif shape.type_name in ("integer", "long", "timestamp"):
        assert isinstance(value, int | float)


@pytest.fixture
def backup(local_aws: Any) -> str:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    make_table(local_aws, "there", [])
    return export("orders", segments=3).backup


def restore(backup: str, to_table: str = "there", using: SessionClients | None = None, **more: Any) -> RestoreReport:
    given: dict[str, Any] = {"path": "bulk-put", "mode": "empty"} | more
    return restore_table(
        RestoreRequest(to_table, backup, **given),
        clients=using or newer(),
        clock=SystemClock(),
        progress=NoProgress(),
        actor="t",
        run="t",
    )


def objects() -> list[str]:
    return [one.key.removeprefix(PREFIX) for one in S3Store(clients(), BUCKET).list(f"{PREFIX}/_restores/bulk-")]


def operations() -> list[dict[str, Any]]:
    database = newer().client("dynamodb")
    listed = database.list_bulk_operations()["BulkOperationsSummaryList"]
    return [
        database.describe_bulk_operation(BulkOperationArn=one["BulkOperationArn"])["BulkOperationDescription"]
        for one in listed
    ]


def count(aws: Any, table: str = "there") -> int:
    return int(aws.client("dynamodb").scan(TableName=table, Select="COUNT")["Count"])


def test_a_botocore_that_does_not_know_it_is_told_in_words(backup: str, local_aws: Any) -> None:
    with pytest.raises(BadInputError, match=r"botocore [\d.]+ does not know StartBulkPutItems"):
        restore(backup, using=clients())
    assert count(local_aws) == 0


def test_an_empty_table_is_filled_and_proved(backup: str, local_aws: Any) -> None:
    report = restore(backup, max_wcu=2048)
    assert report.proved
    assert (report.items, report.written, report.path) == (40, 40, "bulk-put")
    assert report.bulk == {"processed": 40, "failed": 0, "reported": 0}
    assert objects() == [], "what was staged is removed"
    (one,) = operations()
    assert one["MaxWriteRequestUnits"] == 2048
    assert one["InputS3Configuration"]["InputCompressionType"] == "GZIP"
    assert set(one["OutputS3Configuration"]["OutputType"]) == {"ERROR", "CONDITION_CHECK_FAILURE"}


def test_items_are_given_out_of_order(backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[bytes]] = []
    real = random.shuffle

    def shuffle(items: list[bytes]) -> None:
        before = list(items)
        real(items)
        seen.append(before)
        assert sorted(before) == sorted(items)

    monkeypatch.setattr(random, "shuffle", shuffle)
    assert restore(backup).proved
    assert sum(map(len, seen)) == 40


def test_listed_keys_are_overwritten_and_what_was_there_is_kept(backup: str, local_aws: Any) -> None:
    changed = [orders()[1] | {"price": {"N": "0"}}, orders()[2] | {"price": {"N": "0"}}]
    make_table(local_aws, "used", changed)
    report = restore(backup, "used", mode="overwrite-listed-keys", keys=('{"pk": "customer-1", "sk": 1}',))
    assert report.proved
    assert (report.written, report.replaced) == (1, 1)
    items = {
        int(one["sk"]["N"]): one["price"]["N"] for one in local_aws.client("dynamodb").scan(TableName="used")["Items"]
    }
    assert items == {1: "1.25", 2: "0"}


@pytest.mark.parametrize(
    ("fault", "why", "there"),
    [
        (
            {"refuse_every": 8},
            "COMPLETED_WITH_ERRORS: 40 items processed, 5 of them refused; it tells of them in s3://",
            35,
        ),
        ({"fail_after": 9}, "FAILED: S3AccessDenied: 9 items processed", 9),
    ],
    ids=["refused", "broken off"],
)
def test_f25_a_bulk_put_that_left_items_out_is_compared_and_named(
    backup: str, local_aws: Any, fault: dict[str, int], why: str, there: int
) -> None:
    switch(local_aws.endpoint, "dynamodb", fault)
    with pytest.raises(IntegrityError) as caught:
        restore(backup)
    assert why in caught.value.why
    assert f"{40 - there} missing in the table" in caught.value.why
    assert "put the rest with --mode missing-only" in caught.value.todo
    assert count(local_aws) == there, "what was written stays"
    switch(local_aws.endpoint, "dynamodb", dict.fromkeys(fault, 0))
    assert all("/output/" in one for one in objects()), "the staged items are gone, what the service tells is kept"
    rest = restore_table(
        RestoreRequest("there", backup, mode="missing-only"),
        clients=newer(),
        clock=SystemClock(),
        progress=NoProgress(),
        actor="t",
        run="u",
    )
    assert (rest.proved, rest.written) == (True, 40 - there)


def test_one_whose_answer_was_lost_is_gone_on_with(
    backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = making.Making.wait, list[int]()

    def dying(self: Any, what: str, running: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise TransientError("waiting", "the network is gone")
        real(self, what, running)

    monkeypatch.setattr(making.Making, "wait", dying)
    with pytest.raises(TransientError):
        restore(backup)
    report = restore(backup)
    assert (report.proved, report.written) == (True, 40)
    assert len(operations()) == 1, "it is not given and paid twice"
    assert objects() == []


def test_auto_never_takes_it_and_the_plan_says_what_is_not_known(backup: str) -> None:
    common: dict[str, Any] = {"clients": newer(), "clock": SystemClock(), "progress": NoProgress()}
    prices = load_prices()
    auto = plan_restore(RestoreRequest("there", backup, mode="empty"), prices=prices, **common).plan
    assert auto.path == "batch-write"
    asked = RestoreRequest("there", backup, mode="empty", path="bulk-put")
    plan = plan_restore(asked, prices=prices, **common).plan
    text = "\n".join(line for _, line in plan_lines(plan))
    assert "NOT KNOWN" in text
    assert "API model only" in text
    known = plan_restore(replace(asked, max_usd=1.0), prices=replace(prices, bulk_put_gb=0.5), **common).plan
    assert known.usd > 0
    with pytest.raises(BadInputError, match="the prices do not say how much"):
        plan_restore(replace(asked, max_usd=1.0), prices=prices, **common)


def test_the_model_has_no_place_for_a_condition() -> None:
    """Why `missing-only` is refused. When this fails, a newer model may have one: then it can be done."""
    asked = newer().client("dynamodb").meta.service_model.operation_model("StartBulkPutItems").input_shape
    parts = [asked, asked.members["InputS3Configuration"]]
    assert {name for shape in parts for name in shape.members} == {
        "ClientToken", "InputS3Configuration", "OutputS3Configuration", "TableName", "MaxWriteRequestUnits", "PerformanceTier",
        "S3BucketOwner", "S3Bucket", "S3KeyPrefix", "InputFormat", "InputCompressionType",
    }  # fmt: skip
    told = asked.members["OutputS3Configuration"].members["OutputType"]
    assert "CONDITION_CHECK_FAILURE" in told.documentation, "of conditions only the failures are spoken of"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"mode": "missing-only"}, "the API's model has none"),
        ({"mode": "new", "to_table": "another"}, "writes to a table that exists"),
        ({"max_wcu": 100}, "no limit below 1,024"),
        ({"to_table": "orders"}, "it is not empty"),
    ],
)
def test_what_cannot_be_is_refused(backup: str, local_aws: Any, more: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        restore(backup, **more)
    assert operations() == []
    assert count(local_aws) == 0


def test_the_stand_in_refuses_what_the_model_does_not_allow(backup: str) -> None:
    database = newer().client("dynamodb")
    given: dict[str, Any] = {
        "TableName": "there", "InputS3Configuration": {"S3Bucket": BUCKET, "InputFormat": "DYNAMODB_JSON"},
        "OutputS3Configuration": {"S3Bucket": BUCKET, "OutputType": ["ERROR"]}, "ClientToken": "a",
    }  # fmt: skip
    database.start_bulk_put_items(**given)
    with pytest.raises(database.exceptions.IdempotentParameterMismatchException):
        database.start_bulk_put_items(**given | {"TableName": "orders"})
    for wrong in ({"TableName": "nowhere"}, {"OutputS3Configuration": {"OutputType": ["ERROR"]}}):
        with pytest.raises(database.exceptions.ClientError):
            database.start_bulk_put_items(**given | wrong | {"ClientToken": "b"})
    with pytest.raises(database.exceptions.ResourceNotFoundException):
        database.describe_bulk_operation(
            BulkOperationArn="arn:aws:dynamodb:us-east-1:123456789012:table/x/bulk-operation/1"
        )
