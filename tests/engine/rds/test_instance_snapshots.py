"""Snapshots of ours: marked, recorded, gone on with, copied to other Regions, removed by rules."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_aws.server import switch
from tablekeep.engine.backups.catalog import shelves
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.retention import Keep
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock, utc_text
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.rds.instances import retention as retention_module
from tablekeep.engine.rds.instances.contents import Reading
from tablekeep.engine.rds.instances.copy import copy_snapshot
from tablekeep.engine.rds.instances.marked import COPY_TAG, SNAPSHOT_TAG, Listed, list_snapshots
from tablekeep.engine.rds.instances.record import shelf_of
from tablekeep.engine.rds.instances.retention import PIN_TAG, expire_snapshots, judge_snapshots
from tablekeep.engine.rds.instances.service import Awaited, PollingWait, settled
from tablekeep.engine.rds.instances.snapshots import new_name, take_snapshot
from tests.rds import BUCKET, ROOT, clients, common, connect, login, make_instance, make_snapshot, snapshot
from tests.tables import make_bucket

AWAY = "eu-west-1"


@pytest.fixture
def shop(local_aws: Any) -> Any:
    make_bucket(local_aws, BUCKET)
    return make_instance(local_aws, Tags=[{"Key": "team", "Value": "shop"}])


class Stopped(Exception):
    """The try ended here, as a deferred task's does."""


def stop(awaited: Awaited) -> None:
    raise Stopped


def test_a_snapshot_is_marked_and_its_record_tells_what_was_in_it(shop: Any) -> None:
    report = snapshot()
    found = shop.describe_db_snapshots(DBSnapshotIdentifier=report.snapshot)["DBSnapshots"][0]
    assert {one["Key"]: one["Value"] for one in found["TagList"]} == {SNAPSHOT_TAG: "run-1", "team": "shop"}
    assert report.before["shop"]["tables"]["public.orders"]["rows"] == 1000
    assert report.before["shop"]["tables"] == report.after["shop"]["tables"]
    assert report.marker is not None
    assert report.settings["DBInstanceClass"] == "db.m7g.large"
    store = S3Store(clients(), BUCKET)
    (record,) = read_records(store, shelf_of(ROOT, clients().account(), "us-east-1", "shop"), "snapshot")
    assert record["result"] == report.as_dict()
    assert list(shelves(store, BUCKET, "rds")) == [], "records of instances are no backup sets"
    text = str(record)
    assert "customer 17" not in text
    assert "correct-horse" not in text
    again = snapshot()
    assert again == report, "a second try finds what the first has done"


def test_a_try_that_ended_while_it_waited_is_gone_on_with(shop: Any) -> None:
    given = common() | {"wait": stop}
    reading = Reading(login(), marker="public.tablekeep_marker")
    with pytest.raises(Stopped):
        take_snapshot("shop", ROOT, name="tablekeep-shop-one", reading=reading, **given)
    with connect(shop, "shop") as connection:
        connection.execute("DELETE FROM orders WHERE id <= 10")
    report = snapshot()
    assert report.before["shop"]["tables"]["public.orders"]["rows"] == 1000
    assert report.after["shop"]["tables"]["public.orders"]["rows"] == 990
    with connect(shop, "shop") as connection:
        assert connection.execute("SELECT count(*) FROM tablekeep_marker").fetchone() == (1,)


def test_snapshots_of_others_and_of_what_is_not_available_are_refused(local_aws: Any, shop: Any) -> None:
    make_snapshot(shop, "tablekeep-shop-one")
    with pytest.raises(BadInputError, match="this run did not make"):
        snapshot()
    with pytest.raises(BadInputError, match="there is no instance or cluster nothing"):
        take_snapshot("nothing", ROOT, name="x", reading=None, **common())
    with pytest.raises(BadInputError, match="single hyphens"):
        take_snapshot("shop", ROOT, name="rds:x", reading=None, **common())
    switch(local_aws.endpoint, "rds", {"polls": 9})
    shop.modify_db_instance(DBInstanceIdentifier="shop", BackupRetentionPeriod=0)
    with pytest.raises(TransientError, match="modifying"):
        snapshot("tablekeep-shop-two")


def test_a_snapshot_that_fails_is_said_at_once(local_aws: Any, shop: Any) -> None:
    switch(local_aws.endpoint, "rds", {"fail": "snapshot"})
    with pytest.raises(PermanentError, match="it is failed"):
        snapshot()


def test_without_a_login_nothing_is_read_and_without_a_right_there_is_no_marker(local_aws: Any, shop: Any) -> None:
    bare = take_snapshot("shop", ROOT, name="tablekeep-bare", reading=None, **common())
    assert (bare.before, bare.marker) == ({}, None)
    with connect(shop, "shop") as connection:
        connection.execute(
            "CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA public TO reader; GRANT SELECT ON orders TO reader"
        )
    reading = Reading(login("reader", "x"), marker="public.tablekeep_marker")
    report = take_snapshot("shop", ROOT, name="tablekeep-two", reading=reading, **common())
    assert report.marker is None
    assert "permission denied" in report.notes[0]
    assert set(report.before["shop"]["tables"]) == {"public.orders"}
    make_instance(local_aws, "legacy", Engine="mysql", sql="")
    with pytest.raises(BadInputError, match="PostgreSQL only"):
        snapshot("tablekeep-legacy", of="legacy")
    assert take_snapshot("legacy", ROOT, name="tablekeep-legacy", reading=None, **common()).engine == "mysql"


def test_a_copy_of_an_encrypted_snapshot_is_asked_for_in_its_region_with_a_key(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    here = make_instance(local_aws, StorageEncrypted=True, sql="")
    key = local_aws.client("kms", AWAY).create_key()["KeyMetadata"]["Arn"]
    name = take_snapshot("shop", ROOT, name="tablekeep-shop-one", reading=None, **common()).snapshot
    given: dict[str, Any] = {
        "family": "instance",
        "to_region": AWAY,
        "option_group": None,
        "clients": clients(),
        "run": "run-1",
    }
    given["wait"] = PollingWait(clients(), SystemClock(), common()["progress"], 0.01)
    with pytest.raises(BadInputError, match="keys belong to a Region"):
        copy_snapshot(name, key=None, **given)
    with pytest.raises(BadInputError, match="the key is of us-east-1"):
        copy_snapshot(name, key="arn:aws:kms:us-east-1:123456789012:key/x", **given)
    with pytest.raises(PermanentError, match="KMSKeyNotAccessible"):
        copy_snapshot(name, key=f"arn:aws:kms:{AWAY}:123456789012:key/none", **given)
    made = copy_snapshot(name, key=key, **given)
    assert (made.region, made.encrypted, made.kind, made.status) == (AWAY, True, "ours", "available")
    assert copy_snapshot(name, key=key, **given) == made, "a second try finds the copy"
    with pytest.raises(BadInputError, match="a name of its own"):
        copy_snapshot(name, key=None, **(given | {"to_region": "us-east-1"}))
    assert copy_snapshot(name, key=None, to_name="tablekeep-again", **(given | {"to_region": "us-east-1"})).encrypted
    make_snapshot(here, "tablekeep-shop-other")
    switch(local_aws.endpoint, "rds", {"fail": "copy"})
    with pytest.raises(PermanentError, match="it is failed"):
        copy_snapshot("tablekeep-shop-other", key=key, **given)


def copied(name: str, to_region: str = AWAY, using: SessionClients | None = None, **more: Any) -> Listed:
    """A copy of an instance's snapshot that needs no key."""
    given: dict[str, Any] = {
        "family": "instance",
        "key": None,
        "option_group": None,
        "run": "run-1",
        "wait": common()["wait"],
    }
    return copy_snapshot(name, to_region=to_region, clients=using or clients(), **(given | more))


def copy_by_hand(local_aws: Any, source: str, target: str) -> None:
    """As others make one."""
    local_aws.client("rds", AWAY).copy_db_snapshot(
        SourceDBSnapshotIdentifier=source, TargetDBSnapshotIdentifier=target, SourceRegion="us-east-1"
    )


def test_what_is_there_under_a_copy_s_name_must_be_our_copy_of_this_source(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    here, away = make_instance(local_aws, Engine="mysql", sql=""), clients(AWAY).client("rds")
    for name in ("tablekeep-a", "tablekeep-b"):
        take_snapshot("shop", ROOT, name=name, reading=None, **common())
    arns = {one["DBSnapshotIdentifier"]: one["DBSnapshotArn"] for one in here.describe_db_snapshots()["DBSnapshots"]}
    copy_by_hand(local_aws, arns["tablekeep-a"], "tablekeep-a")
    with pytest.raises(BadInputError, match="there is a snapshot tablekeep-a in eu-west-1 that we did not make"):
        copied("tablekeep-a")
    assert away.describe_db_snapshots()["DBSnapshots"][0]["TagList"] == [], "it is left as it is"
    away.delete_db_snapshot(DBSnapshotIdentifier="tablekeep-a")
    made = copied("tablekeep-a")
    tags = {one["Key"]: one["Value"] for one in away.describe_db_snapshots()["DBSnapshots"][0]["TagList"]}
    assert tags == {SNAPSHOT_TAG: "run-1", COPY_TAG: arns["tablekeep-a"]}
    assert copied("tablekeep-a", run="another") == made, "ours is gone on with, whichever run began it"
    with pytest.raises(BadInputError, match=f"that is a copy of {arns['tablekeep-a']}"):
        copied("tablekeep-b", to_name="tablekeep-a")
    with pytest.raises(BadInputError, match="there is a snapshot tablekeep-b in us-east-1 that is no copy"):
        copied("tablekeep-a", "us-east-1", to_name="tablekeep-b")
    once_more = copied("tablekeep-a", "us-east-1", to_name="tablekeep-again")
    assert once_more.source == "", "within a Region RDS does not tell the source, our mark does"
    assert copied("tablekeep-a", "us-east-1", to_name="tablekeep-again") == once_more


def test_a_snapshot_that_others_made_at_this_moment_is_not_taken_for_the_copy(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    here = make_instance(local_aws, Engine="mysql", sql="")
    take_snapshot("shop", ROOT, name="tablekeep-a", reading=None, **common())
    arn = here.describe_db_snapshots()["DBSnapshots"][0]["DBSnapshotArn"]
    using = SessionClients(region="us-east-1")
    using.client("rds", AWAY).meta.events.register(
        "before-parameter-build.rds.CopyDBSnapshot", lambda **_: copy_by_hand(local_aws, arn, "tablekeep-a")
    )
    with pytest.raises(BadInputError, match="that we did not make"):
        copied("tablekeep-a", using=using)


def test_a_copy_that_came_out_unencrypted_is_no_success(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    make_instance(local_aws, Engine="mysql", sql="", StorageEncrypted=True)
    take_snapshot("shop", ROOT, name="tablekeep-a", reading=None, **common())
    key = local_aws.client("kms", AWAY).create_key()["KeyMetadata"]["Arn"]

    def plain(parsed: dict[str, Any], **_: Any) -> None:
        for one in parsed.get("DBSnapshots", []):
            one["Encrypted"] = False

    using = SessionClients(region="us-east-1")
    using.client("rds", AWAY).meta.events.register("after-call.rds.DescribeDBSnapshots", plain)
    with pytest.raises(PermanentError, match="the copy is not encrypted, though its source is"):
        copied("tablekeep-a", using=using, key=key)


def test_a_transfer_that_costs_too_much_is_not_begun(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    make_instance(local_aws, Engine="mysql", sql="", AllocatedStorage=100)
    take_snapshot("shop", ROOT, name="tablekeep-a", reading=None, **common())
    with pytest.raises(
        BadInputError, match=r"it costs at most 2\.00 dollars for the transfer.*limits\.max_usd is 1\.00"
    ):
        copied("tablekeep-a", max_usd=1.0)
    assert clients(AWAY).client("rds").describe_db_snapshots()["DBSnapshots"] == []
    assert copied("tablekeep-a", max_usd=2.0).region == AWAY


def test_a_quota_of_copies_is_waited_for(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    here = make_instance(local_aws, Engine="mysql", sql="")
    arn = make_snapshot(here, "tablekeep-one")["DBSnapshotArn"]
    switch(local_aws.endpoint, "rds", {"polls": 9})
    away = local_aws.client("rds", AWAY)
    for number in range(20):
        away.copy_db_snapshot(
            SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier=f"c-{number}", SourceRegion="us-east-1"
        )
    with pytest.raises(TransientError, match="SnapshotQuotaExceeded"):
        copy_snapshot(
            "tablekeep-one",
            family="instance",
            to_region=AWAY,
            key=None,
            option_group=None,
            clients=clients(),
            run="r",
            wait=stop,
        )


def listed(*ages: float, status: str = "available") -> list[Listed]:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    moments = [now - timedelta(days=age) for age in ages]
    return [
        Listed(f"tablekeep-{age}", "us-east-1", "ours", utc_text(one), status, 1, False, "")
        for age, one in zip(ages, moments, strict=True)
    ]


def test_the_rules_of_what_stays() -> None:
    ages = (0.1, 0.2, 1, 2, 9, 40, 400)
    found = judge_snapshots(
        listed(*ages), Keep(daily=2, monthly=2, minimum=2), pinned=["tablekeep-400"], copying=["tablekeep-9"]
    )
    assert {one.snapshot.removeprefix("tablekeep-"): one.why for one in found} == {
        "0.1": ["daily", "monthly", "minimum"], "0.2": ["minimum"], "1": ["daily"], "2": [], "9": ["its copy is on its way"],
        "40": ["monthly"], "400": ["pinned"],
    }  # fmt: skip
    half = judge_snapshots(listed(1, 2, status="creating"), Keep(daily=1), pinned=[])
    assert [one.why for one in half] == [["creating"], ["creating"]]
    assert [one.why for one in judge_snapshots(listed(1, status="failed"), Keep(daily=1), pinned=[])] == [[]]


def test_only_our_own_snapshots_expire(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    client = make_instance(local_aws, Engine="mysql", sql="")
    for name in ("tablekeep-a", "tablekeep-b", "tablekeep-c"):
        take_snapshot("shop", ROOT, name=name, reading=None, **common())
    make_snapshot(client, "before-migration", Tags=[{"Key": SNAPSHOT_TAG, "Value": "run-1"}])
    make_snapshot(client, "tablekeep-looks-like-it")
    arn = client.describe_db_snapshots(DBSnapshotIdentifier="tablekeep-a")["DBSnapshots"][0]["DBSnapshotArn"]
    client.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": PIN_TAG, "Value": "audit"}])
    given: dict[str, Any] = {"clients": clients(), "clock": SystemClock()}
    keep = Keep(daily=1, minimum=1)
    looked = expire_snapshots("shop", "instance", keep, confirm=False, **given)
    assert [(one.snapshot, one.why) for one in looked.snapshots] == [
        ("tablekeep-c", ["daily", "minimum"]), ("tablekeep-b", []), ("tablekeep-a", ["pinned"]),
    ]  # fmt: skip
    stale = expire_snapshots("shop", "instance", keep, confirm=True, stale=timedelta(microseconds=1), **given)
    assert (stale.deleted, "hours old" in stale.stopped) == ([], True)
    assert expire_snapshots("shop", "instance", keep, confirm=True, **given).deleted == ["tablekeep-b"]
    names = {one["DBSnapshotIdentifier"] for one in client.describe_db_snapshots()["DBSnapshots"]}
    assert names == {"tablekeep-a", "tablekeep-c", "before-migration", "tablekeep-looks-like-it"}
    with pytest.raises(BadInputError, match="no day"):
        expire_snapshots("shop", "instance", Keep(), confirm=True, **given)
    kinds = {one.snapshot: one.kind for one in list_snapshots(clients(), "instance", "shop", ["us-east-1"])}
    assert kinds["before-migration"] == "manual"


def test_a_source_is_not_deleted_while_its_copy_is_on_its_way(local_aws: Any) -> None:
    make_bucket(local_aws, BUCKET)
    make_instance(local_aws, Engine="mysql", sql="")
    for name in ("tablekeep-a", "tablekeep-b"):
        take_snapshot("shop", ROOT, name=name, reading=None, **common())
    switch(local_aws.endpoint, "rds", {"polls": 9})
    with pytest.raises(Stopped):
        copy_snapshot(
            "tablekeep-a",
            family="instance",
            to_region=AWAY,
            key=None,
            option_group=None,
            clients=clients(),
            run="run-1",
            wait=stop,
        )
    given: dict[str, Any] = {"clients": clients(), "clock": SystemClock(), "regions": [AWAY], "confirm": True}
    assert expire_snapshots("shop", "instance", Keep(daily=1, minimum=1), **given).deleted == []
    switch(local_aws.endpoint, "rds", {"polls": 0})
    waiting = Awaited("instance-snapshot", "tablekeep-a", AWAY)
    while not settled(clients(), waiting):
        pass
    assert expire_snapshots("shop", "instance", Keep(daily=1, minimum=1), **given).deleted == ["tablekeep-a"], (
        "the copy stays: the newest there"
    )


def test_names_fit_everywhere() -> None:
    name = new_name("a" * 63, SystemClock())
    assert len(name) <= 63
    assert name.startswith("tablekeep-")


def test_a_snapshot_that_lost_its_marks_meanwhile_stays(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bucket(local_aws, BUCKET)
    client = make_instance(local_aws, Engine="mysql", sql="")
    for name in ("tablekeep-a", "tablekeep-b"):
        take_snapshot("shop", ROOT, name=name, reading=None, **common())
    arn = client.describe_db_snapshots(DBSnapshotIdentifier="tablekeep-a")["DBSnapshots"][0]["DBSnapshotArn"]
    real = retention_module._stopped

    def unmark(*given: Any) -> str:
        client.remove_tags_from_resource(ResourceName=arn, TagKeys=[SNAPSHOT_TAG])
        return real(*given)

    monkeypatch.setattr(retention_module, "_stopped", unmark)
    given: dict[str, Any] = {"clients": clients(), "clock": SystemClock(), "confirm": True}
    expiry = expire_snapshots("shop", "instance", Keep(daily=1, minimum=1), **given)
    assert [(one.snapshot, one.why) for one in expiry.snapshots][1] == ("tablekeep-a", []), "it was to go"
    assert expiry.deleted == []
    assert len(client.describe_db_snapshots()["DBSnapshots"]) == 2
