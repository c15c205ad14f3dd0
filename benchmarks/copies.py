"""What copies cost beside each database's own bulk load of the same rows, and beside Airflow's S3ToSqlOperator, in one run.

A backup of orders is copied to a real PostgreSQL and a real MariaDB; then the very rows are written to a file, and loaded from it into a
table with the same columns and key by the database's own program. Seconds are wall-clock time on one machine, the database included;
rounds are interleaved, the best of each counts. The operator gets the same rows as CSV, and fewer of them.
"""

import contextlib
import csv
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins"))

import boto3
import psycopg
import pymysql
from export import Servers
from incremental import BUCKET, KEY, exported

from local_aws.postgres import EmbeddedPostgres
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.copy import copy_backup
from tablekeep.engine.copies.modes import parse_mode
from tablekeep.engine.copies.mysql import MysqlTarget
from tablekeep.engine.copies.postgres import PostgresTarget
from tablekeep.engine.copies.target import Target
from tablekeep.engine.export.imports import import_set
from tablekeep.engine.progress import NoProgress
from tests import servers as test_servers

ROUNDS = 3
BULK, BULK_AGAIN = "psql \\copy, binary", "psql DELETE and \\copy, binary, in one transaction"
ROWS = "tablekeep copy, replace (rows inside of the table)"
LOAD_DATA = "mariadb LOAD DATA LOCAL, rows in the backup's order"
POOL_BYTES = 512 * 1024 * 1024
"""MariaDB's buffer pool: larger than the table, as one wants it."""
PEER_ROWS = 20_000
CLIENTS = SessionClients(region="us-east-1")
"""One for all copies: neither Python's start nor botocore's is measured."""
Step = tuple[str, Callable[[], float]]


class Phases(NoProgress):
    """Tells on stderr where a copy's time goes."""

    def __init__(self) -> None:
        self._name, self._began = "look", time.perf_counter()

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        now = time.perf_counter()
        print(f"    {self._name}: {now - self._began:.2f} s", file=sys.stderr)
        self._name, self._began = name, now


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def copying(backup: str, target: Callable[[str], Target], table: str, mode: str = "replace", **options: Any) -> float:
    progress = Phases()

    def run() -> None:
        report = copy_backup(
            clients=CLIENTS, clock=SystemClock(), progress=progress, backup=backup, target=target(table),
            mode=parse_mode(mode, **options), allow_older=True, actor="bench", run="bench",
        )  # fmt: skip
        assert report.status == "copied", report

    seconds = timed(run)
    progress.phase("end")
    return seconds


def psql(dsn: str, *commands: str) -> None:
    arguments = [part for command in commands for part in ("-c", command)]
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn, *arguments], check=True)


def postgres_steps(dsn: str, backups: list[str], folder: Path) -> Iterator[Step]:
    """Ours, and psql's."""
    first = backups[0]

    def target(table: str) -> Target:
        return PostgresTarget(dsn, table)

    copying(first, target, "public.orders")
    with psycopg.connect(dsn, autocommit=True) as connection:
        (key,) = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = 'public.orders'::regclass"
        ).fetchone() or ("",)
    for form in ("text", "binary"):
        psql(dsn, f"\\copy public.orders TO '{folder}/{form}' (FORMAT {form})")

    def bulk(form: str) -> float:
        psql(dsn, "DROP TABLE IF EXISTS bulk", "CREATE TABLE bulk (LIKE orders)", f"ALTER TABLE bulk ADD {key}")
        return timed(lambda: psql(dsn, f"\\copy bulk FROM '{folder}/{form}' (FORMAT {form})"))

    def bulk_again() -> float:
        bulk("binary")
        return timed(
            lambda: psql(
                dsn, "BEGIN", "DELETE FROM bulk", f"\\copy bulk FROM '{folder}/binary' (FORMAT binary)", "COMMIT"
            )
        )

    def fresh() -> float:
        psql(dsn, "DROP TABLE IF EXISTS fresh")
        return copying(first, target, "public.fresh")

    turn = iter(range(1000))

    def replaced(**options: Any) -> float:
        return copying(backups[(next(turn) + 1) % 2], target, "public.orders", **options)

    yield "psql \\copy, text", lambda: bulk("text")
    yield BULK, lambda: bulk("binary")
    yield "tablekeep copy, a new table", fresh
    yield "tablekeep copy, replace: rename", lambda: replaced(swap="rename")
    yield BULK_AGAIN, bulk_again
    yield ROWS, replaced


def mariadb_steps(server: Any, backups: list[str], folder: Path) -> Iterator[Step]:
    """Ours, and the mariadb client's LOAD DATA: of a file in the backup's order, and of one in the key's, which is InnoDB's own."""
    arguments = {"host": "127.0.0.1", "port": server.port, "user": "root", "password": server.password}
    with pymysql.connect(**arguments, autocommit=True) as connection:
        connection.cursor().execute("CREATE DATABASE bench")
        connection.cursor().execute("SET GLOBAL local_infile = 1")
        connection.cursor().execute(f"SET GLOBAL innodb_buffer_pool_size = {POOL_BYTES}")

    def target(table: str) -> Target:
        return MysqlTarget(arguments | {"database": "bench"}, table)

    client = [
        "mariadb", "--no-defaults", "--local-infile=1", "-h127.0.0.1", f"-P{server.port}", "-uroot", f"-p{server.password}", "bench",
    ]  # fmt: skip
    copying(backups[0], target, "orders")

    def prepared(order: str) -> Path:
        select = f"SELECT * FROM orders ORDER BY {order}"  # noqa: S608  our own
        body = subprocess.run([*client, "--batch", "--raw", "-N", "-e", select], check=True, capture_output=True).stdout
        file = folder / f"mariadb-{len(order)}"
        file.write_bytes(body.replace(b"NULL", b"\\N"))
        return file

    def bulk(file: Path) -> float:
        subprocess.run([*client, "-e", "DROP TABLE IF EXISTS bulk; CREATE TABLE bulk LIKE orders"], check=True)
        load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE bulk CHARACTER SET utf8mb4"
        return timed(lambda: subprocess.run([*client, "-e", load], check=True))

    # a backup's rows come in the order of a hash of the key
    hashed, sorted_rows = prepared("SHA2(CONCAT(customer, order_no), 256)"), prepared("customer, order_no")
    turn = iter(range(1000))
    yield LOAD_DATA, lambda: bulk(hashed)
    yield "mariadb LOAD DATA LOCAL, rows sorted by the key beforehand", lambda: bulk(sorted_rows)
    yield "tablekeep copy, replace (one RENAME TABLE)", lambda: copying(backups[(next(turn) + 1) % 2], target, "orders")


PEER = """
import csv, sys
import psycopg
from airflow.providers.amazon.aws.transfers.s3_to_sql import S3ToSqlOperator
from airflow.providers.common.sql.hooks.sql import DbApiHook

class Hook(DbApiHook):  # what the provider for PostgreSQL gives, without its extras
    conn_name_attr, default_conn_name, dialect_name = "bench_conn_id", "bench", "default"
    def get_conn(self): return psycopg.connect(sys.argv[1])

class Operator(S3ToSqlOperator):
    @property
    def db_hook(self): return Hook()

def rows(path):
    with open(path, newline="") as file:
        for row in csv.reader(file):
            yield [one or None for one in row]

Operator(task_id="t", s3_bucket="bench", s3_key="orders.csv", table="peer", parser=rows, column_list=sys.argv[2].split(",")).execute({})
"""


def peer(dsn: str, s3: str, folder: Path) -> float:
    """Rows a second of Airflow's operator: its own way of loading, one INSERT a row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS peer")
        connection.execute("CREATE TABLE peer (LIKE orders)")
        cursor = connection.execute("SELECT * FROM orders LIMIT 0")
        names = [f'"{one.name}"' for one in cursor.description or ()]
        file = folder / "orders.csv"
        listed = ", ".join(f"{name}::text" for name in names)
        rows = connection.execute(f"SELECT {listed} FROM orders LIMIT {PEER_ROWS}")  # noqa: S608  names of our own table
        with file.open("w", newline="") as sink:
            csv.writer(sink).writerows(rows)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **keys).upload_file(str(file), "bench", "orders.csv")
    environment = os.environ | {
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AIRFLOW_CONN_BENCH": dsn, "AIRFLOW_HOME": str(folder / "airflow"), "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", PEER, dsn, ",".join(names)], env=environment, check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - began
    start = timed(
        lambda: subprocess.run([sys.executable, "-c", PEER.split("Operator(task_id")[0]], env=environment, check=True)
    )
    return PEER_ROWS / (seconds - start)


def best_of(steps: list[Step], settle: Callable[[], None] = lambda: None) -> dict[str, float]:
    """:param settle: called before each step, so that none writes what another has left in memory."""
    found: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, run in steps:
            print(f"  {name}", file=sys.stderr)
            settle()
            seconds = run()
            print(f"  {name}: {seconds:.2f} s", file=sys.stderr, flush=True)
            found[name] = min(found.get(name, seconds), seconds)
    return found


def table(rows: int, found: dict[str, float], base: str, bases: dict[str, str] | None = None) -> None:
    """:param bases: ways that are compared with another than `base`."""
    print("| way | seconds | rows a second | times the database's own way |\n|---|---|---|---|")
    for name, seconds in found.items():
        own = found[(bases or {}).get(name, base)]
        print(f"| {name} | {seconds:.2f} | {rows / seconds:,.0f} | {seconds / own:.2f} |")
    print()


def main() -> None:
    """Prints Markdown tables."""
    with Servers() as servers, contextlib.ExitStack() as stack:
        nobody = servers.replaying("1")
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": servers.s3, "AWS_ENDPOINT_URL_DYNAMODB": nobody, "AWS_ENDPOINT_URL_STS": servers.s3,
            "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": nobody,
        }  # fmt: skip
        full, _ = exported(servers.s3)
        common: dict[str, Any] = {
            "clients": SessionClients(region="us-east-1"), "clock": SystemClock(), "progress": NoProgress(), "actor": "b", "run": "b",
        }  # fmt: skip
        reports = [import_set(source=full, to=f"s3://{BUCKET}/b", key=KEY, **common) for _ in range(2)]
        backups, rows = [report.backup for report in reports], reports[0].items
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        print("## Copies\n")
        print(
            f"One run, {rows:,} rows of about 600 bytes; the same rows and the same server. A copy reads the backup from S3, decodes it,"
        )
        print(
            "proves the staged rows (counts, nulls, the keys' sum) and swaps; the bulk loads find their rows prepared in a file.\n"
        )
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="tablekeep-bench-"))
        postgres = stack.enter_context(EmbeddedPostgres(Path(data) / secrets.token_hex(4)))
        dsn = postgres.create_database("bench")
        print("### PostgreSQL\n")
        found = best_of(list(postgres_steps(dsn, backups, folder)), lambda: psql(dsn, "CHECKPOINT"))
        table(rows, found, BULK, {ROWS: BULK_AGAIN, BULK_AGAIN: BULK_AGAIN})
        speed = peer(dsn, servers.s3, folder)
        ours = rows / found[ROWS]
        print(
            f"Airflow's S3ToSqlOperator, the same rows as CSV: {speed:,.0f} rows a second; a copy is {ours / speed:.1f} times as fast.\n"
        )
        generator = test_servers.mariadb.__wrapped__()  # type: ignore[attr-defined]
        server = next(generator)
        print("### MariaDB\n")
        found = best_of(list(mariadb_steps(server, backups, folder)))
        table(rows, found, LOAD_DATA)
        next(generator, None)  # stops it


if __name__ == "__main__":
    main()
