"""What all tests of drills of RDS instances ask."""

from typing import Any

import pytest

from tablekeep.engine.drills import instances as drill_module
from tablekeep.engine.drills.instance_report import InstanceDrillReport
from tablekeep.engine.drills.instance_scratch import scratch_instance
from tablekeep.engine.drills.instances import InstanceDrillRequest, run_instance_drill
from tablekeep.engine.rds.instances.contents import Reading
from tests.rds import ROOT, clients, common, connect, login


class Left(BaseException):
    """A deferred task's way out."""


def drill(run: str = "drill-1", wait: Any = None, **more: Any) -> InstanceDrillReport:
    given = common(run=run) | ({"wait": wait} if wait else {})
    reading = Reading(login(), marker="public.tablekeep_marker")
    return run_instance_drill(InstanceDrillRequest("shop", ROOT, "us-east-1", **({"reading": reading} | more)), **given)


def names(client: Any) -> list[str]:
    return [one["DBInstanceIdentifier"] for one in client.describe_db_instances()["DBInstances"]]


def after_restore(monkeypatch: pytest.MonkeyPatch, client: Any, damage: str) -> None:
    """Damages the scratch database when it is available, before it is read."""
    real = drill_module.read_first

    def read(record: Any, reading: Any, endpoint: Any, **more: Any) -> Any:
        with connect(client, scratch_instance("shop", "drill-1")) as connection:
            connection.execute(damage.encode())
        return real(record, reading, endpoint, **more)

    monkeypatch.setattr(drill_module, "read_first", read)


def page_of(report: InstanceDrillReport) -> str:
    bucket, key = report.page.removeprefix("s3://").split("/", 1)
    return clients().client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()  # type: ignore[no-any-return]
