"""The service's own export, against a stand-in that keeps every write: past states exactly, started once, and never half."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.export import convert as convert_module
from tablekeep.engine.progress import NoProgress
from tests.past import ID, NIGHT, StandingClock, hash_of, put, recovery
from tests.tables import BUCKET, clients, export, for_boto, orders


def by_service(clock: StandingClock, **more: Any) -> Any:
    return export("orders", engine="pitr", clock=clock, **more)


def keys(part: str = "") -> list[str]:
    return [info.key for info in S3Store(clients(), BUCKET).list("") if part in info.key]


def exports() -> list[Any]:
    return list(clients().client("dynamodb").list_exports()["ExportSummaries"])


def test_past_states_come_back_exactly(local_aws: Any, clock: StandingClock) -> None:
    first = orders()
    client = local_aws.client("dynamodb")
    clock.set(NIGHT + timedelta(days=1))
    client.delete_item(TableName="orders", Key={"pk": for_boto(first[0]["pk"]), "sk": for_boto(first[0]["sk"])})
    client.update_item(
        TableName="orders",
        Key={"pk": {"S": "customer-1"}, "sk": {"N": "1"}},
        UpdateExpression="SET price = :p",
        ExpressionAttributeValues={":p": {"N": "99.5"}},
    )
    clock.set(NIGHT + timedelta(days=2))
    for start in range(1, 40, 25):
        keys_of = [{"pk": for_boto(one["pk"]), "sk": for_boto(one["sk"])} for one in first[start : start + 25]]
        client.batch_write_item(RequestItems={"orders": [{"DeleteRequest": {"Key": key}} for key in keys_of]})
    clock.set(NIGHT + timedelta(days=3))
    second = [one | {"price": {"N": "99.5"}} if one["sk"] == {"N": "1"} else one for one in first[1:]]
    for days, expected in ((0, first), (0.99, first), (1, second), (1.99, second), (2, []), (3, [])):
        report = by_service(clock, as_of=NIGHT + timedelta(days=days))
        assert report.content_hash == hash_of(expected), days
        manifest = open_backup(clients(), report.backup).manifest
        assert manifest.engine == "pitr"
        assert manifest.as_of == NIGHT + timedelta(days=days)
    proof = verify_backup(
        clients=clients(), clock=clock, progress=NoProgress(), backup=report.backup, actor="t", run="t", level="full"
    )  # fmt: skip
    assert proof.ok
    assert not proof.orphans


def test_nothing_is_left_beside_the_set_and_no_item_was_read(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablekeep.engine.dynamodb.wire import WireClient

    monkeypatch.setattr(WireClient, "scan", None)
    assert by_service(clock).items == 40
    assert not keys("_native")
    assert not keys("_state")


@pytest.mark.parametrize(
    ("prepare", "as_of", "why"),
    [
        (lambda aws: recovery(aws, False), NIGHT, "point-in-time recovery is off"),
        (lambda aws: None, NIGHT - timedelta(days=1), "keeps its past since 2026-11-20T02:00:00.000Z"),
        (lambda aws: None, NIGHT + timedelta(days=1), "in the future"),
        (lambda aws: switch(aws.endpoint, "dynamodb", {"restore_lag_seconds": 7200}), None, "far behind"),
    ],
)
def test_times_that_cannot_be_had_are_refused_before_anything_is_paid(
    local_aws: Any, clock: StandingClock, prepare: Callable[[Any], Any], as_of: datetime | None, why: str
) -> None:
    if as_of is None:
        clock.set(NIGHT + timedelta(days=1))
    prepare(local_aws)
    with pytest.raises(BadInputError, match=why):
        by_service(clock, as_of=as_of)
    assert not exports()
    assert not keys("_state")


def test_it_waits_for_the_services_lag_and_for_the_export(local_aws: Any, clock: StandingClock) -> None:
    clock.set(NIGHT + timedelta(hours=1))
    switch(local_aws.endpoint, "dynamodb", {"restore_lag_seconds": 300, "export_polls": 4})
    report = by_service(clock)
    assert clock.slept >= 300 + 4 * 15
    assert open_backup(clients(), report.backup).manifest.as_of == NIGHT + timedelta(hours=1)


def test_a_crash_after_the_start_finds_the_export_again(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert_module, "wait_for_native", crash)
    with pytest.raises(KeyboardInterrupt):
        by_service(clock, backup_id=ID)
    monkeypatch.undo()
    clock.set(NIGHT + timedelta(hours=9))  # the token is forgotten by now
    put(local_aws, [{"pk": {"S": "later"}, "sk": {"N": "1"}}])
    report = by_service(clock, backup_id=ID)
    assert len(exports()) == 1
    assert report.content_hash == hash_of(orders())
    assert open_backup(clients(), report.backup).manifest.as_of == NIGHT


def test_a_start_whose_answer_was_lost_is_not_paid_twice(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_clients = clients()
    client = session_clients.client("dynamodb")
    real = client.export_table_to_point_in_time

    def lost(**request: Any) -> Any:
        real(**request)
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "export_table_to_point_in_time", lost)
    with pytest.raises(KeyboardInterrupt):
        by_service(clock, backup_id=ID, clients=session_clients)
    assert len(exports()) == 1
    for hours in (1, 9):
        clock.set(NIGHT + timedelta(hours=hours))
        report = by_service(clock, backup_id=ID, clients=clients())
        assert len(exports()) == 1
        assert report.items == 40


def test_a_failed_export_is_told_with_its_reason(local_aws: Any, clock: StandingClock) -> None:
    local_aws.client("s3").delete_bucket(Bucket=BUCKET)
    local_aws.client("s3").create_bucket(Bucket="other-bucket")
    from tablekeep.engine.export.pitr import native_status

    arn = local_aws.client("dynamodb").describe_table(TableName="orders")["Table"]["TableArn"]
    started = local_aws.client("dynamodb").export_table_to_point_in_time(TableArn=arn, S3Bucket=BUCKET)
    with pytest.raises(PermanentError, match="S3NoSuchBucket"):
        native_status(clients(), started["ExportDescription"]["ExportArn"])


def test_auto_takes_the_service_where_recovery_is_on_and_never_falls_back_by_itself(
    local_aws: Any, clock: StandingClock
) -> None:
    recovery(local_aws, False)
    assert open_backup(clients(), export("orders", engine="auto", clock=clock).backup).manifest.engine == "scan"
    recovery(local_aws, True)
    clock.set(NIGHT + timedelta(days=1))
    assert open_backup(clients(), export("orders", engine="auto", clock=clock).backup).manifest.engine == "pitr"
    recovery(local_aws, False)
    with pytest.raises(BadInputError, match="turned off since its last backup"):
        export("orders", engine="auto", clock=clock)


@pytest.mark.parametrize("option", [{"read_budget": 5}, {"segments": 3}, {"workers": 2}])
def test_options_of_the_scan_are_refused_with_pitr(
    local_aws: Any, clock: StandingClock, option: dict[str, Any]
) -> None:
    with pytest.raises(BadInputError, match=next(iter(option))):
        by_service(clock, **option)
    with pytest.raises(BadInputError, match="no engine 'glue'"):
        export("orders", engine="glue", clock=clock)


def test_encryption_and_owner_reach_the_service(local_aws: Any, clock: StandingClock) -> None:
    session_clients: SessionClients = clients()
    sent: list[dict[str, Any]] = []
    session_clients.client("dynamodb").meta.events.register(
        "before-parameter-build.dynamodb.ExportTableToPointInTime", lambda params, **_: sent.append(dict(params))
    )
    by_service(clock, clients=session_clients, encryption="alias/backups", owner="123456789012")
    (request,) = sent
    assert request["S3SseAlgorithm"] == "KMS"
    assert request["S3SseKmsKeyId"] == "alias/backups"
    assert request["S3BucketOwner"] == "123456789012"
    assert request["ExportFormat"] == "DYNAMODB_JSON"
    assert "$" not in request["ClientToken"]


def test_the_recovery_period_bounds_the_window(local_aws: Any, clock: StandingClock) -> None:
    local_aws.client("dynamodb").update_continuous_backups(
        TableName="orders",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 3},
    )
    clock.set(NIGHT + timedelta(days=10))
    assert by_service(clock, as_of=NIGHT + timedelta(days=7)).items == 40
    with pytest.raises(BadInputError, match="keeps its past since 2026-11-27"):
        by_service(clock, as_of=NIGHT + timedelta(days=6, hours=23))
