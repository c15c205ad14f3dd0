"""Prices, from one dated file that users can edit. Every estimate says from when they are."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablekeep.engine.errors import BadInputError

FILE = Path(__file__).parents[1] / "prices.yaml"
VARIABLE = "TABLEKEEP_PRICES"


@dataclass(frozen=True)
class RdsPrices:
    """Of instances, by family (`db.r6g`) for the size `large`, an hour; of storage and snapshots, a GB and month."""

    hour_large: Mapping[str, float] = field(default_factory=dict)
    aurora_hour_large: Mapping[str, float] = field(default_factory=dict)
    storage_gb_month: float = 0.115
    iops_month: float = 0.10
    snapshot_gb_month: float = 0.095
    copy_gb: float = 0.02


@dataclass(frozen=True)
class Prices:
    """US dollars.

    :ivar as_of: from when, ISO 8601. :ivar region: of which Region. :ivar bulk_put_gb: of StartBulkPutItems; None: not known.
    """

    as_of: str
    region: str
    read_request_units_million: float
    write_request_units_million: float
    export_gb: float
    write_requests_thousand: float
    import_gb: float = 0.15
    restore_gb: float = 0.15
    bulk_put_gb: float | None = None
    rds: RdsPrices = RdsPrices()

    def over_limit(self, usd: float, max_usd: float | None) -> str | None:
        """What to say when something costs more than a limit; None when it does not."""
        if max_usd is None or usd <= max_usd:
            return None
        return f"it would cost about {usd:,.2f} dollars (prices of {self.as_of}), and limits.max_usd is {max_usd:,.2f}"


def load_prices(file: Path | None = None) -> Prices:
    """The prices of `file`, else of the file that TABLEKEEP_PRICES names, else the project's.

    :raises BadInputError: for a file that is not there, or lacks a price.
    """
    import yaml

    chosen = file or Path(os.environ.get(VARIABLE) or FILE)
    what = f"reading the prices in {chosen}"
    try:
        document: Any = yaml.safe_load(chosen.read_text())
        return Prices(
            str(document["as_of"]), str(document["region"]), _price(document["dynamodb"], "read_request_units_million"),
            _price(document["dynamodb"], "write_request_units_million"), _price(document["dynamodb"], "export_gb"),
            _price(document["s3"], "write_requests_thousand"), _later(document["dynamodb"], "import_gb"),
            _later(document["dynamodb"], "restore_gb"),
            _price(document["dynamodb"], "bulk_put_gb") if "bulk_put_gb" in document["dynamodb"] else None,
            _rds(document.get("rds") or {}),
        )  # fmt: skip
    except OSError as error:
        raise BadInputError(what, f"the file cannot be read ({error.strerror})", f"correct {VARIABLE}") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise BadInputError(what, why, f"begin with a copy of {FILE.name}") from None


def _rds(group: dict[str, Any]) -> RdsPrices:
    """Prices of RDS, which files of earlier versions lack."""
    large, aurora = (
        {family: _price(group[name], family) for family in group.get(name) or {}}
        for name in ("hour_large", "aurora_hour_large")
    )
    others = ("storage_gb_month", "iops_month", "snapshot_gb_month", "copy_gb")
    return RdsPrices(large, aurora, *(_price({name: getattr(RdsPrices, name)} | group, name) for name in others))


def _later(group: dict[str, Any], name: str) -> float:
    """A price that files of earlier versions lack."""
    return _price({name: getattr(Prices, name)} | group, name)


def _price(group: dict[str, Any], name: str) -> float:
    value = group[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise ValueError(f"{name} is {value!r}, not a price")
    return float(value)
