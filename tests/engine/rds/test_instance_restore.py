"""Restores of instances and clusters: planned, with every trap set, compared, gone on with, proved."""

from typing import Any

import pytest

from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.rds.instances import restore as restore_module
from tablekeep.engine.rds.instances.created import PLAN_TAG
from tablekeep.engine.rds.instances.record import shelf_of
from tablekeep.engine.rds.instances.service import Awaited
from tablekeep.engine.rds.instances.settings import BY_FAMILY, facts, modified_names, restore_parameters
from tests.engine.rds.instances import plan, request, restore
from tests.rds import BUCKET, ROOT, clients, describe


def test_every_setting_for_which_a_restore_has_a_default_is_given(shop: Any) -> None:
    client = shop
    shown = plan()
    report = restore(plan_hash=shown.hash)
    source, restored = describe(client, "shop"), describe(client, "shop-restored")
    moving = {
        "DBInstanceIdentifier", "DBInstanceArn", "DbiResourceId", "InstanceCreateTime", "Endpoint", "TagList", "AvailabilityZone",
    }  # fmt: skip
    assert {name for name in source.keys() | restored.keys() if source.get(name) != restored.get(name)} <= moving
    assert source["Endpoint"]["Port"] == restored["Endpoint"]["Port"]
    tags = {one["Key"]: one["Value"] for one in restored["TagList"]}
    assert tags == {"team": "shop", RUN_TAG: "run-1", PLAN_TAG: shown.hash[:32]}
    assert report.settings == []
    assert report.proved
    assert (report.tables, report.rows, report.equal) == (2, 1200, 2)
    assert {"restore", "settings", "scan"} == report.phases.keys()
    (record,) = read_records(
        S3Store(clients(), BUCKET), shelf_of(ROOT, clients().account(), "us-east-1", "shop"), "restore"
    )
    assert record["result"] == report.as_dict()
    assert plan(request("third")).seconds == report.rto_seconds, "the next plan knows how long it takes"


def test_each_setting_is_given_by_name(shop: Any) -> None:
    """Whoever forgets one finds it here: a setting is given to the restore, set afterwards, or can only be compared."""
    client = shop
    given = facts(describe(client, "shop"), "instance")
    by_itself = {"engine", "engine version", "encrypted", "key", "roles", "master user"}
    nothing = {
        "iops",
        "storage throughput",
        "processor features",
        "dedicated log volume",
    }  # this source has none of them
    parameters = restore_parameters(given, "instance")
    for setting in BY_FAMILY["instance"]:
        here = setting.restore in parameters or setting.name in modified_names(given, "instance")
        assert here != (setting.name in by_itself | nothing), setting.name


def test_a_setting_that_is_lost_is_named(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = restore_module.begin

    def forget(prepared: Any, **more: Any) -> Any:
        for name in ("DBParameterGroupName", "MultiAZ", "DeletionProtection"):
            prepared.plan.parameters.pop(name)
        return real(prepared, **more)

    monkeypatch.setattr(restore_module, "begin", forget)
    report = restore()
    assert sorted(report.settings_differ) == [
        "Multi-AZ", "deletion protection", "parameter group",
    ]  # fmt: skip
    assert report.proved, "the data is whole all the same"


class Stopped(Exception):
    """The try ended here, as a deferred task's does."""


def test_a_restore_that_died_is_gone_on_with_and_another_plan_is_not(shop: Any) -> None:
    shown = plan()

    def stop(awaited: Awaited) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        restore(wait=stop)
    with pytest.raises(BadInputError, match="of this name"):
        restore(request(skip=("tags",)))
    report = restore(run="another", plan_hash=shown.hash)
    assert report.proved
    assert report.settings == []
