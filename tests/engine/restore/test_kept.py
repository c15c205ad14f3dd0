"""What AWS keeps of a table is restored by AWS and proved by a backup set; where no set shows its moment, that is said, and no more."""

from datetime import timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import making
from tablekeep.engine.restore.plan import plan_restore
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tablekeep.engine.restore.words import plan_lines
from tests.local_aws.test_aws_backup import recovery_point
from tests.local_aws.test_ondemand import backed_up
from tests.past import NIGHT, StandingClock, hash_of, put, recovery
from tests.tables import BUCKET, clients, export, make_table, orders, verify

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")
INDEX = {
    "IndexName": "by-note", "KeySchema": [{"AttributeName": "note", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
}  # fmt: skip
CHANGED = [orders()[0] | {"price": {"N": "7"}}]


def request(to_table: str = "again", backup: str | None = None, **more: Any) -> RestoreRequest:
    given = {"path": "backup"} | more
    return RestoreRequest(to_table, backup, shelf=None if backup else SHELF, **given)


def restore(clock: StandingClock, *given: Any, run: str = "t", **more: Any) -> Any:
    return restore_table(request(*given, **more), clients=clients(), clock=clock, progress=NoProgress(), actor="t", run=run)  # fmt: skip


def pitr_set(clock: StandingClock) -> str:
    """A set of the clock's time, by DynamoDB's own export."""
    return export("orders", engine="pitr", clock=clock, as_of=clock.now()).backup


def later(clock: StandingClock, **delta: float) -> None:
    clock.set(clock.now() + timedelta(**delta))


def keys_of(aws: Any, table: str) -> int:
    return int(aws.client("dynamodb").scan(TableName=table, Select="COUNT")["Count"])


def test_a_backup_of_the_sets_moment_is_proved(local_aws: Any, clock: StandingClock) -> None:
    client = local_aws.client("dynamodb")
    arn = client.describe_table(TableName="orders")["Table"]["TableArn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "shop"}])
    client.update_table(
        TableName="orders", AttributeDefinitions=[{"AttributeName": "note", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": INDEX}],
    )  # fmt: skip
    later(clock, minutes=10)
    made, kept = pitr_set(clock), backed_up(local_aws)
    later(clock, hours=5)
    put(local_aws, [orders()[1] | {"price": {"N": "7"}}])
    report = restore(clock, "again", made, backup_arn=kept)
    assert report.proved
    assert not report.unverified
    assert report.content_hash == str(hash_of(orders()))
    assert report.source_backup["arn"] == kept
    assert report.source_backup["same_moment"]
    assert not report.settings_differ
    table = client.describe_table(TableName="again")["Table"]
    assert [one["IndexName"] for one in table["GlobalSecondaryIndexes"]] == ["by-note"]
    tags = {one["Key"]: one["Value"] for one in client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]}
    assert (tags["team"], tags["tablekeep:run"]) == ("shop", "t"), "settings are applied as on every path"
    recovered = client.describe_continuous_backups(TableName="again")["ContinuousBackupsDescription"]
    assert recovered["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_the_newest_backup_is_taken_and_the_set_that_can_tell_most_of_it(local_aws: Any, clock: StandingClock) -> None:
    first = pitr_set(clock)
    backed_up(local_aws, "old")
    later(clock, hours=1)
    put(local_aws, CHANGED)
    second, newest = pitr_set(clock), backed_up(local_aws, "new")
    later(clock, hours=1)
    third = pitr_set(clock)
    report = restore(clock)
    assert (report.source_backup["arn"], report.backup, report.proved) == (newest, second, True)
    assert len({first, second, third}) == 3


def test_a_quiet_table_is_proved_by_any_set(local_aws: Any, clock: StandingClock) -> None:
    made = export("orders", clock=clock).backup
    later(clock, hours=9)
    backed_up(local_aws)
    report = restore(clock, "again", made)
    assert report.proved, "equal is equal, whenever it was"
    assert not report.source_backup["same_moment"], "a scan shows no moment"


def test_where_no_set_shows_the_moment_it_is_unverified_with_its_bounds(local_aws: Any, clock: StandingClock) -> None:
    made = pitr_set(clock)
    later(clock, hours=3)
    put(local_aws, [*CHANGED, *orders(42)[40:]])
    kept = backed_up(local_aws)
    report = restore(clock, "again", made, backup_arn=kept)
    assert not report.proved
    for part in ("set of 2026-11-20T02:00:00.000Z", "2 h 59 min before it", "2 not in the backup", "1 different"):
        assert part in report.unverified, part
    assert report.items == 42
    assert [one["state"] for one in report.differing].count("different") == 1
    assert "price" in str(report.differing)
    assert "customer-0" not in str(report.as_dict())
    assert keys_of(local_aws, "again") == 42, "the table is there, with its settings"
    assert not report.settings_differ


def test_a_set_of_the_moment_that_differs_is_a_failure(local_aws: Any, clock: StandingClock) -> None:
    made = pitr_set(clock)
    later(clock, seconds=30)
    put(local_aws, CHANGED)
    kept = backed_up(local_aws)
    with pytest.raises(IntegrityError, match="1 different"):
        restore(clock, "again", made, backup_arn=kept)


def test_a_deleted_table_comes_back_from_the_backup_that_dynamodb_made(local_aws: Any, clock: StandingClock) -> None:
    pitr_set(clock)
    later(clock, seconds=20)
    local_aws.client("dynamodb").delete_table(TableName="orders")
    later(clock, days=2)
    report = restore(clock, "orders")
    assert report.proved
    assert report.source_backup["kind"] == "backup of the deleted table"
    assert keys_of(local_aws, "orders") == 40


def test_a_recovery_point_is_restored_by_aws_backup(local_aws: Any, clock: StandingClock) -> None:
    switch(local_aws.endpoint, "backup", {"restore_polls": 3})
    later(clock, minutes=5)
    made, point = pitr_set(clock), recovery_point(local_aws)
    later(clock, hours=1)
    put(local_aws, CHANGED)
    report = restore(clock, "again", made)
    assert (report.proved, report.source_backup["arn"]) == (True, point)
    assert report.source_backup["role"].endswith(":role/service-role/AWSBackupDefaultServiceRole")
    assert clock.slept >= 20, "the job was waited for"
    (job,) = local_aws.client("backup").list_restore_jobs()["RestoreJobs"]
    assert job["Status"] == "COMPLETED"
    other = "arn:aws:iam::123456789012:role/restorer"
    assert restore(clock, "third", made, backup_arn=point, backup_role=other).proved
    assert {one["IamRoleArn"].rsplit("/", 1)[1] for one in local_aws.client("backup").list_restore_jobs()["RestoreJobs"]} == {
        "AWSBackupDefaultServiceRole", "restorer",
    }  # fmt: skip
    make_table(local_aws, "taken-by-then", [])
    with pytest.raises(BadInputError, match="exists"):
        restore(clock, "taken-by-then", made, backup_arn=point)


@pytest.mark.parametrize("kind", ["on-demand", "recovery point", "pitr"])
def test_a_restore_whose_answer_was_lost_is_gone_on_with(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    switch(local_aws.endpoint, "dynamodb", {"restore_polls": 2})
    made = pitr_set(clock)
    more: dict[str, Any] = {"path": "pitr"}
    if kind != "pitr":
        more = {"backup_arn": (backed_up if kind == "on-demand" else recovery_point)(local_aws)}
    real, tries = making.mark, list[int]()

    def dying(*given: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise TransientError("tagging", "the network is gone")
        real(*given)

    monkeypatch.setattr(making, "mark", dying)
    with pytest.raises(TransientError):
        restore(clock, "again", made, **more)
    table = local_aws.client("dynamodb").describe_table(TableName="again")["Table"]["TableId"]
    report = restore(clock, "again", made, **more)
    assert (report.proved, report.table_id) == (True, table), "the same table"
    assert len(local_aws.client("backup").list_restore_jobs()["RestoreJobs"]) == (kind == "recovery point")


def test_a_table_that_another_made_meanwhile_is_not_taken_for_ours(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kept = pitr_set(clock), backed_up(local_aws)
    other = backed_up(local_aws, "another")
    monkeypatch.setattr(making, "mark", lambda *given: (_ for _ in ()).throw(TransientError("tagging", "gone")))
    with pytest.raises(TransientError):
        restore(clock, "again", made, backup_arn=kept)
    monkeypatch.undo()
    client = local_aws.client("dynamodb")
    client.delete_table(TableName="again")
    client.restore_table_from_backup(TargetTableName="again", BackupArn=other)
    with pytest.raises(BadInputError, match="another table has that name"):
        restore(clock, "again", made, backup_arn=kept)
    assert client.list_tags_of_resource(ResourceArn=SHELF_ARN.replace("orders", "again"))["Tags"] == []


SHELF_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"


def test_a_restored_table_that_was_removed_meanwhile_is_made_anew(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kept = pitr_set(clock), backed_up(local_aws)
    monkeypatch.setattr(making, "mark", lambda *given: (_ for _ in ()).throw(TransientError("tagging", "gone")))
    with pytest.raises(TransientError):
        restore(clock, "again", made, backup_arn=kept)
    monkeypatch.undo()
    local_aws.client("dynamodb").delete_table(TableName="again")
    assert restore(clock, "again", made, backup_arn=kept).proved


def test_a_job_that_failed_is_told(local_aws: Any, clock: StandingClock) -> None:
    switch(local_aws.endpoint, "backup", {"restore_polls": 1})
    made, point = pitr_set(clock), recovery_point(local_aws)
    using = clients()
    using.client("backup").meta.events.register(
        "after-call.backup.StartRestoreJob", lambda **given: make_table(local_aws, "again", [])
    )  # somebody is faster than the job
    with pytest.raises(PermanentError, match="ended FAILED: Table already exists"):
        restore_table(
            request("again", made, backup_arn=point),
            clients=using,
            clock=clock,
            progress=NoProgress(),
            actor="t",
            run="t",
        )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"where": ("paid = true",)}, "AWS restores whole tables"),
        ({"as_of": NIGHT, "backup": None}, "has a time of its own"),
        ({"path": "auto", "backup_arn": "arn:aws:dynamodb:x"}, "by the path backup alone"),
        ({"backup_arn": "orders"}, "no backup's ARN"),
        ({"backup_arn": "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/backup/1"}, "lies in 123456789012/eu-west-1"),
        ({"backup_arn": "arn:aws:backup:us-east-1:210987654321:recovery-point:1"}, "lies in 210987654321/us-east-1"),
        ({"backup_arn": f"{SHELF_ARN}/backup/0"}, "no such backup any more"),
        ({"backup_arn": "arn:aws:backup:us-east-1:123456789012:recovery-point:1"}, "no such recovery point"),
        ({}, "AWS keeps no backup of orders"),
        ({"mode": "empty", "to_table": "orders"}, "the table|it is not empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(local_aws: Any, clock: StandingClock, more: dict[str, Any], why: str) -> None:
    made = pitr_set(clock)
    given = {"to_table": "again", "backup": made} | more
    with pytest.raises(BadInputError, match=why):
        restore(clock, **given)
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_a_backup_that_is_being_made_costs_too_much_or_is_of_another_table(
    local_aws: Any, clock: StandingClock
) -> None:
    made = pitr_set(clock)
    kept = backed_up(local_aws)
    with pytest.raises(BadInputError, match="it would cost"):
        restore(clock, "again", made, max_usd=1e-9)
    switch(local_aws.endpoint, "dynamodb", {"backup_polls": 9})
    with pytest.raises(TransientError, match="is being made"):
        restore(clock, "again", made, backup_arn=backed_up(local_aws, "slow"))
    recovery(local_aws, False)
    local_aws.client("dynamodb").delete_table(TableName="orders")
    make_table(local_aws, "orders", orders(3))
    switch(local_aws.endpoint, "dynamodb", {"backup_polls": 0})
    anew = backed_up(local_aws, "of-the-new-one")
    with pytest.raises(BadInputError, match="a table that had this name before or after"):
        restore(clock, "again", made, backup_arn=anew)
    make_table(local_aws, "customers", orders(3))
    other = local_aws.client("dynamodb").create_backup(TableName="customers", BackupName="abc")["BackupDetails"]
    with pytest.raises(BadInputError, match="of the table customers"):
        restore(clock, "again", made, backup_arn=other["BackupArn"])
    with pytest.raises(BadInputError, match="no full backup set of orders with the table id"):
        restore(clock, "again", backup_arn=anew)
    assert restore(clock, "again", made, backup_arn=kept).proved, "the old table's, which is gone"


def test_the_plan_says_what_it_will_be_compared_with(local_aws: Any, clock: StandingClock) -> None:
    made = pitr_set(clock)
    verify(made)
    later(clock, hours=2)
    kept = backed_up(local_aws)
    common: dict[str, Any] = {
        "clients": clients(), "clock": clock, "progress": NoProgress(), "prices": load_prices(),
    }  # fmt: skip
    plan = plan_restore(request("again", made), **common).plan
    text = "\n".join(f"{name} {line}" for name, line in plan_lines(plan))
    for part in (kept, "1 h 59 min before it", "UNVERIFIED", "the service restores what it keeps", "no write capacity"):
        assert part in text, part
    later(clock, minutes=1)
    backed_up(local_aws, "newer")
    assert plan_restore(request("again", made), **common).plan.hash != plan.hash, "another backup, another plan"
    assert plan_restore(request("again", made, backup_arn=kept), **common).plan.hash == plan.hash
