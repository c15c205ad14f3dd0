"""F-25: an import or a bulk put that ends with a part of the items in. The content decides, never the service's word; what was made is
marked, so that what may be removed can be."""

import gzip
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills.drill import run_drill
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import services
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.tables import ROOT, clients, export, make_bucket, make_table, orders


@pytest.fixture
def backup(local_aws: Any) -> str:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return export("orders", segments=3).backup


def common() -> dict[str, Any]:
    return {"clients": clients(), "clock": SystemClock(), "progress": NoProgress(), "actor": "t", "run": "t"}


def restore(backup: str) -> RestoreReport:
    return restore_table(RestoreRequest("again", backup, path="import-table"), **common())


@pytest.mark.parametrize(
    ("fault", "why", "there"),
    [
        ({"refuse_every": 7}, "ItemValidationError, 5 items refused, 35 are in the table", 35),
        ({"fail_after": 11}, "S3AccessDenied, 0 items refused, 11 are in the table", 11),
    ],
    ids=["refused", "broken off"],
)
def test_f25_an_import_that_left_items_out_is_compared_and_named(
    backup: str, local_aws: Any, fault: dict[str, int], why: str, there: int
) -> None:
    switch(local_aws.endpoint, "dynamodb", fault)
    with pytest.raises(IntegrityError) as caught:
        restore(backup)
    assert why in caught.value.why
    assert f"{40 - there} missing in the table" in caught.value.why
    assert "aws dynamodb delete-table --region us-east-1 --table-name again" in caught.value.todo
    report = caught.value.report  # type: ignore[attr-defined]
    assert not report.proved
    assert {one["state"] for one in report.differing} == {"missing in the table"}
    client = local_aws.client("dynamodb")
    assert client.scan(TableName="again", Select="COUNT")["Count"] == there, "it is left as it is"
    arn = client.describe_table(TableName="again")["Table"]["TableArn"]
    tags = {one["Key"] for one in client.list_tags_of_resource(ResourceArn=arn)["Tags"]}
    assert "tablekeep:run" in tags, "whose it is, is known"


def test_f25_a_drill_whose_import_left_items_out_fails_and_leaves_nothing(backup: str, local_aws: Any) -> None:
    switch(local_aws.endpoint, "dynamodb", {"refuse_every": 7})
    report = run_drill(DrillRequest(ROOT, "orders", path="import-table"), **common())
    assert not report.proved
    assert not report.passed
    assert "5 items refused" in report.problems[0]
    assert len(report.differing) == 5
    assert report.torn_down
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == ["orders"], "the scratch table alone is dropped"


def test_f25_an_import_that_says_failed_and_holds_everything_is_proved(
    backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = services.import_table

    def spoiled(prepared: Any, prefix: str, *given: Any, **more: Any) -> Any:
        line = b'{"Item":{"pk":{"S":""},"sk":{"N":"1"}}}\n'
        prepared.source.store.put(f"{prefix}zzz.json.gz", gzip.compress(line))
        return real(prepared, prefix, *given, **more)

    monkeypatch.setattr(services, "import_table", spoiled)
    report = restore(backup)
    assert report.proved, "the table is read, and the service's status is not believed"
    assert report.phases.keys() >= {"stage", "load", "proof", "indexes", "settings"}


def test_f25_without_a_proof_the_services_word_is_a_failure(backup: str, local_aws: Any) -> None:
    switch(local_aws.endpoint, "dynamodb", {"refuse_every": 7})
    with pytest.raises(IntegrityError, match="5 items refused"):
        restore_table(RestoreRequest("again", backup, path="import-table"), prove=False, **common())
