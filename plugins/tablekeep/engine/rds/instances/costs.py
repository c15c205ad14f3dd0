"""What an instance costs while it is there, and a copy once."""

from dataclasses import dataclass
from typing import Any

from tablekeep.engine.prices import RdsPrices
from tablekeep.engine.rds.instances.settings import Facts

HOURS_A_MONTH = 730
SIZES = {
    "micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1, "xlarge": 2, "2xlarge": 4, "4xlarge": 8, "8xlarge": 16, "12xlarge": 24,
    "16xlarge": 32, "24xlarge": 48,
}  # fmt: skip
"""In multiples of `large`: a family's prices grow with its memory."""


@dataclass(frozen=True)
class Hourly:
    """US dollars an hour; `usd` is None where a class has no price, which `why` names."""

    usd: float | None
    why: str = ""


def instance_hour(facts: Facts, prices: RdsPrices) -> Hourly:
    """Of an instance with these settings: compute and storage, twice with a second zone. Backups, traffic and licenses come on top.

    :param facts: see `settings.facts`; a member's have no storage.
    """
    name = str(facts.get("class") or "")
    family, _, size = name.rpartition(".")
    aurora = str(facts.get("engine") or "").startswith("aurora")
    table = prices.aurora_hour_large if aurora else prices.hour_large
    if family not in table or size not in SIZES:
        return Hourly(None, f"there is no price for the class {name}")
    storage = float(facts.get("storage") or 0) * prices.storage_gb_month
    if facts.get("storage type") in ("io1", "io2"):
        storage += float(facts.get("iops") or 0) * prices.iops_month
    usd = table[family] * SIZES[size] + storage / HOURS_A_MONTH
    return Hourly(usd * (2 if facts.get("Multi-AZ") else 1))


def together(parts: list[Hourly]) -> Hourly:
    """Of several instances."""
    unknown = [one for one in parts if one.usd is None]
    return unknown[0] if unknown else Hourly(sum(one.usd or 0.0 for one in parts))


def copy_cost(gigabytes: int, away: bool, prices: RdsPrices) -> dict[str, Any]:
    """At most: `once` for the transfer of the first copy, `month` for keeping it. Snapshots are incremental, so it is less mostly."""
    return {"once": gigabytes * prices.copy_gb if away else 0.0, "month": gigabytes * prices.snapshot_gb_month}
