"""A plan in words, for a terminal, a log and the page on which it is approved."""

from typing import Any

from tablekeep.engine.progress import size_text
from tablekeep.engine.restore.plan import RestorePlan
from tablekeep.engine.words import about, markdown_table

_MODES = {
    "new": "a new table",
    "empty": "the existing, empty table",
    "missing-only": "the existing table: only items whose key is not there; nothing is overwritten",
    "overwrite-listed-keys": "the existing table: the listed items, WHATEVER IS THERE NOW; what is there is kept beside the backups",
}


def plan_lines(plan: RestorePlan) -> list[tuple[str, str]]:
    """(name, text) of what a person has to know before approving."""
    proof = "NEVER verified"
    if plan.verified:
        proof = f"{'verified' if plan.verified['ok'] else 'FOUND WRONG'} {plan.verified['at'][:16]}Z, level {plan.verified['level']}"
    lines = [
        ("backup", plan.backup),
        ("", f"of {plan.source_table} as of {plan.as_of}; {proof}"),
        *(("increment", one) for one in plan.increments),
        ("to", f"{plan.to_table} in account {plan.account}, {plan.region}: {_MODES[plan.mode]}"),
        ("items", _items(plan)),
        ("how", f"{plan.path}: {plan.path_why}"),
        (
            "cost",
            _cost(plan),
        ),
        ("time", f"{'not known' if plan.seconds is None else about(plan.seconds)}: {plan.seconds_from}"),
    ]
    if plan.mode == "new":
        lines += [("index", _index(plan, name)) for name in plan.indexes] or [("indexes", "none")]
        lines.append(("settings", ", ".join(plan.settings) or "none beyond keys, billing and encryption"))
    if plan.ttl_attribute and plan.ttl_expired is not None:
        fate = (
            "will vanish, as expiry is switched on at last"
            if plan.ttl_on
            else "will be there, and stay: expiry stays off"
        )
        if plan.mode != "new":
            fate = "are written all the same"
        lines.append(
            (
                "expired",
                f"{plan.ttl_expired:,} items have expired by {plan.ttl_attribute}: they {fate}",
            )
        )
    lines += [("not restored", f"{one['name']}: {one['why']}. {one['command']}".rstrip()) for one in plan.not_restored]
    lines += [("NOTE", note) for note in plan.notes]
    return [*lines, ("plan", plan.hash)]


def _items(plan: RestorePlan) -> str:
    about = "" if plan.exact else "about "
    size = "about " if plan.increments and plan.selection is None else ""
    how = f" ({plan.items_from})" if plan.items_from else ""
    return f"{about}{plan.items:,}, {size}{size_text(plan.raw_bytes)}{_selected(plan)}{how}"


def _index(plan: RestorePlan, name: str) -> str:
    when = "with the table" if name in plan.indexes_with else "when the items are there, one at a time"
    return f"{name}: made {when}: {plan.indexes_why[name]}"


def plan_markdown(plan: RestorePlan) -> str:
    """The same as a table in Markdown."""
    return markdown_table(plan_lines(plan))


def _selected(plan: RestorePlan) -> str:
    if plan.selection is None:
        return ": everything"
    keys = plan.selection["keys"]
    told = [f"{keys['count']:,} listed keys"] if keys else []
    told += [plan.selection["key_prefix"]] if plan.selection["key_prefix"] else []
    return f": {' and '.join([*told, *plan.selection['where']])}"


def _cost(plan: RestorePlan) -> str:
    if plan.path == "bulk-put" and not plan.usd:
        return "NOT KNOWN: bulk puts are paid by their bytes; dynamodb.bulk_put_gb in the prices says how much"
    if not plan.write_units:
        return f"{plan.usd:,.4f} dollars (prices of {plan.prices_as_of}), no write capacity"
    return f"{plan.usd:,.4f} dollars for about {plan.write_units:,} write units (on demand, {plan.prices_as_of}); indexes cost more"


def attributes_text(difference: dict[str, Any]) -> str:
    """Of an item that differs (`ItemDifference.told`), which attributes: `price (N), note (S | absent)`."""
    told = [place_text(one) for one in difference["attributes"]]
    told += [f"{difference['more']:,} more"] if "more" in difference else []
    told += [difference["now"]] if "now" in difference else []
    return ", ".join(told)


def place_text(place: dict[str, Any], *, alone: bool = False) -> str:
    """`price (N)`, `note (S | absent)`; where values are told `price (N): 3.25 | 0`.

    :param alone: one side has the whole item: there is nothing to say of the other.
    """
    kinds, values = [place["left"], place["right"]], ""
    if "left_value" in place:
        given = (place["left_value"], place["right_value"])
        values = ": " + " | ".join(one or "absent" for one in given if one or not alone)
        kinds = [one for one in kinds if one]  # the value says where it is absent
    return f"{place['path']} ({' | '.join(dict.fromkeys(one or 'absent' for one in kinds))}){values}"
