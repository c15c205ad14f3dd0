"""What the demo proved: read from the backup sets, their records and the databases, not from what Airflow says of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import psycopg
from psycopg import sql

from tablekeep.engine.backups.catalog import newest_verified
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.config.kinds.dynamodb import DynamoDBPipeline
from tablekeep.engine.drills.report import rto_text
from tablekeep.engine.names import parse_s3


@dataclass
class TableResult:
    """One pipeline's night.

    :ivar loaded: items that the demo put into the table. :ivar problems: why it is not proved; empty when it is.
    """

    pipeline: str
    loaded: int
    items: int = 0
    bytes: int = 0
    raw_bytes: int = 0
    seconds: float = 0.0
    backup: str = ""
    content_hash: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    rto_seconds: float | None = None
    rpo_seconds: float = 0.0
    drill: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def proved(self) -> bool:
        return not self.problems


@dataclass
class Result:
    """The whole demo.

    :ivar seconds: from start to proof. :ivar phases: seconds by phase.
    """

    tables: list[TableResult]
    seconds: float
    phases: dict[str, float]
    url: str
    user: str

    @property
    def proved(self) -> bool:
        return bool(self.tables) and all(table.proved for table in self.tables)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document."""
        document = asdict(self) | {"proved": self.proved}
        for table, one in zip(document["tables"], self.tables, strict=True):
            table["proved"] = one.proved
        return document


def look(pipeline: DynamoDBPipeline, loaded: int, clients: SessionClients, databases: dict[str, str]) -> TableResult:
    """Gathers one pipeline's figures and judges them.

    :param databases: DSN of the database behind each kind of copy: `{"postgres": …, "redshift": …}`.
    """
    result = TableResult(pipeline.name, loaded)
    bucket, root = parse_s3(pipeline.backup.to)
    store = S3Store(clients, bucket)
    shelf = Shelf(bucket, root, clients.account(), clients.region, "dynamodb", pipeline.table)
    manifest = newest_verified(store, shelf)
    if manifest is None:
        result.problems.append("no backup is verified")
        return result
    result.items, result.bytes, result.raw_bytes = manifest.items, manifest.stored_bytes, manifest.raw_bytes
    result.seconds = round((manifest.finished - manifest.started).total_seconds(), 1)
    result.backup, result.content_hash = manifest.uri, str(manifest.content)
    if manifest.items != loaded:
        result.problems.append(f"the backup has {manifest.items:,} items, the table {loaded:,}")
    for copy in pipeline.copies:
        rows = count_rows(databases[copy.to], copy.table)
        result.rows[copy.name] = rows
        if rows != manifest.items:
            result.problems.append(f"the copy {copy.name} has {rows:,} rows, the backup {manifest.items:,} items")
    drills = [
        record["result"] for record in read_records(store, shelf, "drill") if record["backup_id"] == manifest.backup_id
    ]
    if not drills:
        result.problems.append("the backup was not drilled")
        return result
    last = drills[-1]
    result.drill, result.rto_seconds, result.rpo_seconds = last["passed"], last["rto_seconds"], last["rpo_seconds"]
    if last["content_hash"] != result.content_hash:
        result.problems.append("the drill restored other content than the backup's")
    result.problems += last["problems"]
    return result


def count_rows(dsn: str, table: str) -> int:
    """Rows of `schema.table`; -1 when it does not exist."""
    schema, _, name = table.rpartition(".")
    with psycopg.connect(dsn, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass(%s)", [f"{schema}.{name}"]).fetchone() == (None,):
            return -1
        found = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema or "public", name))
        ).fetchone()
    return int(found[0]) if found else -1


def size_text(count: float) -> str:
    """`186 KiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


HEADINGS = ("pipeline", "items", "stored", "backup", "PostgreSQL", "Redshift stand-in", "drill", "RTO", "RPO")


def cells(table: TableResult) -> list[str]:
    """One row of the table that ends the demo."""
    rows = [f"{count:,} rows" if count >= 0 else "MISSING" for count in table.rows.values()]
    return [
        table.pipeline, f"{table.items:,}", size_text(table.bytes), f"{table.seconds:.1f} s", *[*rows, "–", "–"][:2],
        "proved" if table.drill else "NOT PROVED", rto_text(table.rto_seconds), f"{table.rpo_seconds:.0f} s",
    ]  # fmt: skip


def page(result: Result) -> str:
    """The result as a page of its own, without anything from elsewhere."""
    template = Template(files("local_aws.demo").joinpath("page.html").read_text(encoding="utf-8"))
    verdict = "Everything was proved" if result.proved else "Not proved"
    total = sum(table.items for table in result.tables)
    done = f"backed up, verified, copied, restored and compared in {result.seconds:.0f} s"
    return template.substitute(
        verdict=verdict,
        state="good" if result.proved else "bad",
        summary=f"{total:,} items of {len(result.tables)} tables: {done}",
        tables="\n".join(_card(table) for table in result.tables),
        phases="\n".join(_phase(name, seconds, result.phases) for name, seconds in result.phases.items()),
        url=escape(result.url, quote=True),
        user=escape(result.user),
    )


def _phase(name: str, seconds: float, phases: dict[str, float]) -> str:
    share = 100 * seconds / (max(phases.values()) or 1)
    return f'<tr><th>{escape(name)}</th><td class="bar"><i style="width:{share:.0f}%"></i></td><td class="n">{seconds:.1f} s</td></tr>'


def _card(table: TableResult) -> str:
    copies = "".join(
        f"<div><dt>copy {escape(name)}</dt><dd>{f'{rows:,}' if rows >= 0 else 'missing'} <small>rows</small></dd></div>"
        for name, rows in table.rows.items()
    )
    problems = _list(table.problems)
    return f"""<section class="{"good" if table.proved else "bad"}">
<h2>{escape(table.pipeline)} <span>{"proved" if table.proved else "not proved"}</span></h2>
<dl>
<div><dt>items</dt><dd>{table.items:,}</dd></div>
<div><dt>backup</dt><dd>{table.seconds:.1f} <small>s</small></dd></div>
<div><dt>stored</dt><dd>{size_text(table.bytes)} <small>of {size_text(table.raw_bytes)}</small></dd></div>
{copies}
<div><dt>RTO</dt><dd>{rto_text(table.rto_seconds)}</dd></div>
<div><dt>RPO</dt><dd>{table.rpo_seconds:.0f} <small>s</small></dd></div>
</dl>
{problems}<p class="where"><b>backup</b> {escape(table.backup or "none")}<br><b>content hash</b> {escape(table.content_hash or "none")}</p>
</section>"""


def _list(problems: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in problems)}</ul>\n" if problems else ""
