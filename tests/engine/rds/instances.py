"""What all tests of restores of RDS instances ask."""

from typing import Any

from tablekeep.engine.prices import load_prices
from tablekeep.engine.rds.instances.contents import Reading
from tablekeep.engine.rds.instances.plan import InstanceRestorePlan, plan_instance_restore
from tablekeep.engine.rds.instances.request import InstanceRestoreRequest
from tablekeep.engine.rds.instances.restore import InstanceRestoreReport, restore_instance
from tests.rds import ROOT, clients, common, login

AWAY = "eu-west-1"


def request(to: str = "shop-restored", **more: Any) -> InstanceRestoreRequest:
    return InstanceRestoreRequest("shop", ROOT, to, "us-east-1", **more)


def plan(asked: InstanceRestoreRequest | None = None, region: str = "us-east-1") -> InstanceRestorePlan:
    return plan_instance_restore(
        asked or request(), clients=clients(region), record_clients=clients(), prices=load_prices()
    ).plan


def restore(
    asked: InstanceRestoreRequest | None = None, region: str = "us-east-1", **more: Any
) -> InstanceRestoreReport:
    reading = Reading(login(), marker="public.tablekeep_marker")
    given: dict[str, Any] = (
        {"reading": reading, "prices": load_prices(), "record_clients": clients()} | common(region) | more
    )
    return restore_instance(asked or request(), **given)
