"""What a plan says before anything costs."""

from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import probe_conditional_writes
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export import estimate as module
from tablekeep.engine.export.estimate import ExportEstimate, estimate_export
from tablekeep.engine.prices import Prices, load_prices
from tests.engine.export.test_faults import Raw, answer, faulty
from tests.tables import BUCKET, ROOT, clients, make_bucket, make_table, orders

PRICES = Prices("2026-01-01", "us-east-1", 0.125, 0.625, 0.1, 0.005)
GB = 1_000_000_000


@pytest.fixture
def table(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The table orders, which DynamoDB says has 100 GB."""
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders(5))
    monkeypatch.setattr(module.TableSettings, "size_bytes", 100 * GB)
    return local_aws


def planned(**more: Any) -> ExportEstimate:
    return estimate_export(
        **({"clients": clients(), "clock": SystemClock(), "table": "orders", "to": ROOT, "prices": PRICES} | more)
    )


def test_a_scan_in_dollars_minutes_and_read_units(table: Any) -> None:
    plan = planned(read_budget=1000, workers=4)
    scan, pitr = plan.ways
    assert scan.read_units == round(100 * GB / 8192)
    assert scan.usd == pytest.approx(scan.read_units * 0.125e-6, rel=0.02)
    assert plan.minutes == pytest.approx(scan.read_units / 1000 / 60, rel=0.01)
    assert pitr.usd == pytest.approx(10, rel=0.01)
    assert pitr.minutes is None
    assert "1000 RCU a second" in plan.capacity
    assert "dynamodb:Scan" in plan.permissions
    assert not plan.problems
    fast = planned(workers=4).minutes
    assert fast is not None
    assert planned(workers=1).minutes == pytest.approx(4 * fast, rel=0.01)


def test_provisioned_capacity_is_not_paid_again(table: Any) -> None:
    table.client("dynamodb").update_table(
        TableName="orders", BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 40, "WriteCapacityUnits": 5}
    )  # fmt: skip
    plan = planned(read_budget="25%")
    assert plan.usd < 0.1
    assert "10 RCU a second: 25% of 40" in plan.capacity


def test_auto_says_why(table: Any) -> None:
    assert (planned(engine="auto").engine, planned(engine="auto").why) == (
        "scan", "auto: point-in-time recovery is off",
    )  # fmt: skip
    refused = planned(engine="pitr")
    assert any("recovery is off" in one for one in refused.problems)
    table.client("dynamodb").update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    plan = planned(engine="auto")
    assert plan.engine == "pitr"
    assert not plan.problems
    assert "dynamodb:Scan" not in plan.permissions


def test_what_cannot_finish_in_time_is_a_problem(table: Any) -> None:
    assert not planned(read_budget=1000, within_minutes=300).problems
    assert any("204 minutes and 60 are allowed" in one for one in planned(read_budget=1000, within_minutes=60).problems)


def test_a_bucket_in_another_region_and_a_refused_read_are_problems(
    table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablekeep.engine.dynamodb.wire import WireClient
    from tablekeep.engine.errors import PermanentError

    table.client("s3").create_bucket(
        Bucket="far-away-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    monkeypatch.setattr(S3Store, "check", lambda self: "eu-west-1")
    assert any("eu-west-1 and the table in us-east-1" in one for one in planned(to="s3://far-away-bucket/x").problems)
    monkeypatch.undo()
    monkeypatch.setattr(module.TableSettings, "size_bytes", 100)

    def refused(self: WireClient, *_: Any, **__: Any) -> Any:
        raise PermanentError("reading", "Scan answered AccessDeniedException")

    monkeypatch.setattr(WireClient, "scan", refused)
    assert any("AccessDenied" in one for one in planned().problems)


def test_a_plan_writes_nothing(table: Any) -> None:
    planned()
    assert not list(S3Store(clients(), BUCKET).list(""))
    with pytest.raises(BadInputError, match="no such bucket"):
        planned(to="s3://not-there-bucket/x")
    with pytest.raises(BadInputError, match="no such table"):
        planned(table="not-there")


def test_prices_come_from_a_file_that_users_can_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = load_prices()
    assert own.export_gb > 0
    text = (Path(module.__file__).parents[2] / "prices.yaml").read_text()
    edited = tmp_path / "prices.yaml"
    edited.write_text(text.replace("export_gb: 0.10", "export_gb: 0.25"))
    monkeypatch.setenv("TABLEKEEP_PRICES", str(edited))
    assert load_prices().export_gb == 0.25
    edited.write_text(text.replace("export_gb: 0.10", "export_gb: cheap"))
    with pytest.raises(BadInputError, match="export_gb is 'cheap'"):
        load_prices()
    edited.write_text("as_of: 2026-01-01\nregion: x\n")
    with pytest.raises(BadInputError, match="'dynamodb' is missing"):
        load_prices()
    monkeypatch.setenv("TABLEKEEP_PRICES", str(tmp_path / "nowhere"))
    with pytest.raises(BadInputError, match="cannot be read"):
        load_prices()


def test_pieces_of_killed_uploads_are_spoken_of_until_a_rule_removes_them(table: Any) -> None:
    assert "AbortIncompleteMultipartUpload" in planned().notes[0]
    rule = {
        "ID": "x",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    table.client("s3").put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})
    assert not planned().notes


def test_a_limit_in_dollars_is_a_problem_with_both_figures(table: Any) -> None:
    assert not planned(max_usd=2).problems
    (problem,) = planned(max_usd=1).problems
    assert "about 1.5" in problem
    assert "1.00" in problem


def test_increments_are_paid_by_what_was_changed(table: Any) -> None:
    pitr = planned(engine="pitr", incremental=True).ways[1]
    assert pitr.usd < 0.01
    assert "at least" in pitr.note


def refusing(service: str, *operations: str) -> Any:
    """Clients whose calls of these operations are denied."""

    def decide(operation: str, _: Any) -> Any:
        if operation not in operations:
            return None
        if service == "s3":
            return answer(403, "AccessDenied")
        body = b'{"__type": "com.amazon.coral.service#AccessDeniedException", "message": "m"}'
        return AWSResponse("http://dynamodb", 400, {"content-type": "application/x-amz-json-1.0"}, Raw(body))

    return faulty(service, decide)


def test_a_missing_permission_is_found_before_anything_is_begun(table: Any) -> None:
    recovery = {"PointInTimeRecoveryEnabled": True}
    table.client("dynamodb").update_continuous_backups(TableName="orders", PointInTimeRecoverySpecification=recovery)
    assert not planned(engine="pitr").problems
    assert not list(S3Store(clients(), BUCKET).list(""))  # it wrote nothing to find that out
    assert not table.client("dynamodb").list_exports()["ExportSummaries"]
    (problem,) = planned(engine="pitr", clients=refusing("dynamodb", "ExportTableToPointInTime")).problems
    assert "dynamodb:ExportTableToPointInTime is refused" in problem
    probe_conditional_writes(S3Store(clients(), BUCKET), "backups")
    before = [(one.key, one.etag) for one in S3Store(clients(), BUCKET).list("")]
    (problem,) = planned(clients=refusing("s3", "PutObject")).problems
    assert "AccessDenied" in problem
    assert not planned().problems
    assert [(one.key, one.etag) for one in S3Store(clients(), BUCKET).list("")] == before
