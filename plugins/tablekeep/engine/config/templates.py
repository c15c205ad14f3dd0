"""Predefined pipelines: text of a pipeline file for a table, ready to be edited. Checked by the loader before it is given out."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tablekeep.engine.config.check import check_pipeline
from tablekeep.engine.config.load import slug
from tablekeep.engine.config.yaml_reader import Document
from tablekeep.engine.errors import BadInputError


@dataclass(frozen=True)
class Template:
    """A predefined pipeline.

    :ivar needs: options that must be given, with an example each; the names are those of the command line without dashes.
    """

    name: str
    summary: str
    needs: Mapping[str, str]


TEMPLATES = (
    Template("dynamodb-to-s3", "nightly backup, weekly verification, weekly restore drill", {"to": "s3://acme-backups/dynamodb"}),
    Template(
        "dynamodb-to-postgres",
        "the same, and each backup is copied to PostgreSQL (RDS, Aurora)",
        {"to": "s3://acme-backups/dynamodb", "conn_id": "analytics_pg"},
    ),
    Template(
        "dynamodb-to-redshift",
        "the same, and each backup is copied to Redshift Serverless",
        {
            "to": "s3://acme-backups/dynamodb", "workgroup": "dwh", "database": "prod",
            "iam_role": "arn:aws:iam::123456789012:role/copy",
        },
    ),
)  # fmt: skip


SPREAD_BYTES = 64_000_000_000
"""A table that is larger is given several tasks."""


@dataclass(frozen=True)
class TableFacts:
    """What the live table tells, for the file's comments and values.

    :ivar read_capacity: provisioned RCU; None when on demand or not known.
    """

    table: str
    region: str
    items: int
    size_bytes: int
    read_capacity: int | None
    recoverable: bool | None


def find_template(name: str) -> Template:
    """The template of that name.

    :raises BadInputError: when there is none; lists them.
    """
    for template in TEMPLATES:
        if template.name == name:
            return template
    known = ", ".join(template.name for template in TEMPLATES)
    raise BadInputError(
        f"choosing the template {name!r}",
        f"there is none of that name (there: {known})",
        "run `tablekeep new` for the list",
    )


def write_pipeline(template: Template, facts: TableFacts, given: Mapping[str, str]) -> str:
    """The text of the pipeline's file.

    :param given: the options that the template needs.
    :raises BadInputError: for a missing or impossible option.
    """
    missing = [name for name in template.needs if not given.get(name)]
    what = f"writing a pipeline for the table {facts.table}"
    if missing:
        options = " ".join(f"--{name.replace('_', '-')} {template.needs[name]}" for name in missing)
        raise BadInputError(what, f"the template {template.name} needs {', '.join(missing)}", f"for example {options}")
    text = _backup(facts, given) + _copies(template, facts, given) + _rest(facts)
    problems = _problems(text)
    if problems:
        raise BadInputError(what, "; ".join(problems), "correct the option")
    return text


def _backup(facts: TableFacts, given: Mapping[str, str]) -> str:
    minute = zlib.crc32(facts.table.encode()) % 60  # spread, so that many tables do not all begin at once
    pitr = {True: "on", False: "OFF: turn it on for restores to any second", None: "not known"}[facts.recoverable]
    if facts.read_capacity is None:
        budget = "  # read_budget: 500   # RCU a second; the table is on demand, so a scan without a limit is only fast"
    else:
        budget = f'  read_budget: "25%"   # of {facts.read_capacity:,} provisioned RCU'
    engine = "scan"
    if facts.recoverable:
        engine = "pitr   # DynamoDB's own export: no read capacity, and backfills of past days"
        budget = "  # mode: {full_every: 7d, merge: true}   # exports what was changed, between full exports"
    spread = "  spread: {above_gb: 64, tasks: 8}\n" if facts.size_bytes > SPREAD_BYTES else ""
    return f"""\
# {facts.table} in {facts.region}: about {facts.items:,} items, {facts.size_bytes:,} bytes (counted by DynamoDB every six hours).
# Point-in-time recovery is {pitr}.
version: 1
name: {slug(facts.table)}
owner: data-platform
table: {_quoted(facts.table)}
region: {facts.region}
backup:
  schedule: "{minute} 2 * * *"
  timezone: UTC
  engine: {engine}
{budget}
{spread}  to: {_quoted(given["to"])}
"""


def _copies(template: Template, facts: TableFacts, given: Mapping[str, str]) -> str:
    target = _quoted("public." + re.sub(r"[^a-z0-9_]", "_", slug(facts.table)))
    if "conn_id" in template.needs:
        return f"""\
copies:
  - name: analytics
    to: postgres
    conn_id: {_quoted(given["conn_id"])}
    table: {target}
    mode: replace
"""
    if "workgroup" in template.needs:
        return f"""\
copies:
  - name: warehouse
    to: redshift
    workgroup: {_quoted(given["workgroup"])}
    database: {_quoted(given["database"])}
    table: {target}
    mode: replace
    iam_role: {_quoted(given["iam_role"])}
"""
    return ""


def _rest(facts: TableFacts) -> str:
    minute = (zlib.crc32(facts.table.encode()) + 30) % 60
    return f"""\
verify:
  schedule: "{minute} 5 * * 6"
drill:
  schedule: "{minute} 6 * * 0"
  objectives:   # what you have promised
    rto: 4h
    rpo: 26h
restore:
  patterns_refused: [{_quoted(facts.table)}]
"""


def _quoted(text: str) -> str:
    """A YAML scalar that is text for certain."""
    return "'" + text.replace("'", "''") + "'"


def _problems(text: str) -> list[str]:
    import yaml

    data = yaml.safe_load(text)
    _, found = check_pipeline(data, Document(data), Path("the new file"))
    return [f"{one.field}: {one.rule}" for one in found]
