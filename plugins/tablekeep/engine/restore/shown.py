"""Plans that were shown to a person: a record beside the backups, and how long what it says may be carried out."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the constant is read while Airflow parses
    from tablekeep.engine.clock import Clock
    from tablekeep.engine.restore.plan import Prepared

PLAN_HOLDS = timedelta(hours=4)
"""So long after a plan was shown it may be approved, in Airflow's page or by its hash on the command line: who approves has the state of
things before his eyes, and prices, tables and backups go on changing."""


def record_plan(prepared: "Prepared", *, actor: str, run: str, clock: "Clock") -> None:
    """Writes down that the plan was shown, and when."""
    from tablekeep.engine.backups.records import write_record

    location = prepared.source.manifest.location
    write_record(
        prepared.source.store, location.shelf, "plan", prepared.plan.as_dict(), backup_id=location.backup_id, actor=actor, run=run,
        clock=clock,
    )  # fmt: skip


def check_age(prepared: "Prepared", holds: timedelta, clock: "Clock") -> None:
    """That the plan was shown no longer ago than it holds.

    :raises BadInputError: else, or when nobody has written down that it was shown.
    """
    from tablekeep.engine.backups.records import read_records
    from tablekeep.engine.clock import parse_utc
    from tablekeep.engine.errors import BadInputError

    plan = prepared.plan
    records = read_records(prepared.source.store, prepared.source.manifest.location.shelf, "plan")
    shown = max((parse_utc(one["at"]) for one in records if one["result"].get("hash") == plan.hash), default=None)
    hours = f"{holds.total_seconds() / 3600:g} hours"
    if shown is not None and clock.now() - shown <= holds:
        return
    why = f"no record beside the backups says when the plan {plan.hash[:16]} was shown"
    if shown is not None:
        why = f"the plan {plan.hash[:16]} was shown at {shown:%Y-%m-%dT%H:%M:%SZ}, more than {hours} ago"
    raise BadInputError(
        f"restoring to the table {plan.to_table}", why,
        f"look at it again with `tablekeep plan restore`, and approve that one within {hours}",
    )  # fmt: skip
