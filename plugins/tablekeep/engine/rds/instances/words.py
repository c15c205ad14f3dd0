"""A plan of a restore in words, for a terminal, a log and the page on which it is approved."""

from typing import Any

from tablekeep.engine.rds.instances.plan import InstanceRestorePlan
from tablekeep.engine.words import about, fact_text, markdown_table


def plan_lines(plan: InstanceRestorePlan) -> list[tuple[str, str]]:
    """(name, text) of what a person has to know before approving."""
    state = f"the snapshot {plan.snapshot} of {plan.at}" if plan.snapshot else f"the point in time {plan.at}"
    known = "a record tells what is in it" if plan.compared else "NOTHING tells what is in it"
    cost = (
        f"NOT KNOWN: {plan.usd_why}"
        if plan.usd is None or plan.usd_hour is None
        else f"{plan.usd_hour:,.3f} dollars an hour while it is there, {plan.usd:,.2f} for {plan.hours:g} hours"
        f" (prices of {plan.prices_as_of}; backups, traffic and licenses come on top)"
    )
    lines = [
        ("restore", f"{plan.family} {plan.database} of {plan.home}, {plan.engine}: {state}; {known}"),
        (
            "to",
            f"the new {plan.family} {plan.to} in account {plan.account}, {plan.region}; nothing that exists is changed",
        ),
        ("settings of", plan.settings_from),
    ]
    lines += [(name, fact_text(value)) for name, value in sorted(plan.settings.items()) if _worth_telling(name, value)]
    lines += [("set afterwards", ", ".join(plan.modified))] if plan.modified else []
    lines += [("instance", f"{one['name']}: {one['parameters']['DBInstanceClass']}") for one in plan.members]
    lines += [
        ("OTHERWISE", f"{one['name']}: {fact_text(one['actual'])} instead of {fact_text(one['expected'])}")
        for one in plan.differs
    ]
    lines += [("not restored", f"{one['name']}: {one['why']}. {one['command']}".rstrip()) for one in plan.not_restored]
    lines += [
        ("cost", cost),
        ("time", f"{'not known' if plan.seconds is None else about(plan.seconds)}: {plan.seconds_from}"),
    ]
    lines += [("NOTE", note) for note in plan.notes]
    return [*lines, ("plan", plan.hash)]


def _worth_telling(name: str, value: Any) -> bool:
    return value not in (None, [], {}) and name not in ("engine", "master user")


def plan_markdown(plan: InstanceRestorePlan) -> str:
    """The same as a table in Markdown."""
    return markdown_table(plan_lines(plan))
