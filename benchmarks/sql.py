"""What a backup of a SQL table costs: rows per CPU second of this process, the database and the stand-in's S3 not counted.

The slope between two sizes of a table with eight columns, about 280 bytes a row, of a real PostgreSQL and a real MariaDB, by one
connection; the same of the files of the table as CSV.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins"))

import boto3
import psycopg
import pymysql
from export import Servers

from local_aws.postgres import EmbeddedPostgres
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.files.description import Files
from tablekeep.engine.files.imports import FilesImport, import_files
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.rds.export import SqlExport, export_sql
from tablekeep.engine.rds.mysql import MysqlSource
from tablekeep.engine.rds.postgres import PostgresSource
from tests import servers as test_servers

SIZES, ROUNDS, TO = (20_000, 200_000), 2, "s3://bench/sql"
COLUMNS = (
    "id int PRIMARY KEY, customer varchar(40), total decimal(12,2), status varchar(10), note varchar(200), made {time}, seen {time}, "
    "paid {bool}"
)
COMMON = {"clock": SystemClock(), "progress": NoProgress(), "actor": "bench", "run": "bench"}


def fill_postgres(dsn: str, table: str, count: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} ({COLUMNS.format(time='timestamp', bool='boolean')})")
        rows = (
            "n, 'customer ' || n, n * 1.25, 'open', repeat('x', n % 150), '2026-01-01'::timestamp + n * interval '1 s', "
            "'2026-01-01'::timestamp + n * interval '1.5 s', n % 2 = 0"
        )
        connection.execute(f"INSERT INTO {table} SELECT {rows} FROM generate_series(1, {count}) n")  # noqa: S608 - ours


def fill_mariadb(arguments: dict[str, object], table: str, count: int) -> None:
    with pymysql.connect(**arguments, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} ({COLUMNS.format(time='datetime(1)', bool='tinyint(1)')})")
        rows = (
            "seq, concat('customer ', seq), seq * 1.25, 'open', repeat('x', seq % 150), '2026-01-01' + interval seq second, "
            "'2026-01-01' + interval seq * 1.5 second, seq % 2"
        )
        cursor.execute(f"INSERT INTO {table} SELECT {rows} FROM seq_1_to_{count}")  # noqa: S608 - ours


def as_csv(dsn: str, table: str) -> bytes:
    copying = f"COPY {table} TO STDOUT (FORMAT csv, HEADER)"
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(copying) as copy:
        return b"".join(copy)


@contextlib.contextmanager
def mariadb() -> Iterator[dict[str, object]]:
    """A server, and what connects to its database."""
    running = test_servers.mariadb.__wrapped__()
    server = next(running)
    arguments: dict[str, object] = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": "root",
        "password": server.password,
    }
    with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE bench")
    yield arguments | {"database": "bench"}
    next(running, None)


def slope(work: Callable[[int], object]) -> float:
    """Rows per CPU second between the two sizes; the best of some rounds."""
    best = [min(_cpu(work, size) for _ in range(ROUNDS)) for size in SIZES]
    return (SIZES[1] - SIZES[0]) / (best[1] - best[0])


def _cpu(work: Callable[[int], object], size: int) -> float:
    began = time.process_time()
    work(size)
    return time.process_time() - began


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Servers() as servers,
        EmbeddedPostgres(Path(folder) / "pg") as pg,
        mariadb() as my,
    ):
        os.environ["AWS_ENDPOINT_URL"] = servers.s3
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            os.environ[name] = "bench"
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        clients, s3 = SessionClients(region="us-east-1"), boto3.client("s3")
        for size in SIZES:
            fill_postgres(pg.dsn(), f"orders_{size}", size)
            fill_mariadb(my, f"orders_{size}", size)
            s3.put_object(Bucket="bench", Key=f"drop/{size}/orders.csv", Body=as_csv(pg.dsn(), f"orders_{size}"))
        attempts = iter(range(1000))

        def sql(source: Callable[[int], object]) -> Callable[[int], object]:
            return lambda size: export_sql(clients=clients, asked=SqlExport(source(size), TO), **COMMON)  # type: ignore[arg-type]

        def files(size: int) -> object:
            asked = FilesImport(f"s3://bench/drop/{size}", TO, f"orders-{next(attempts)}", Files(format="csv"), ["id"])
            return import_files(clients=clients, asked=asked, **COMMON)  # type: ignore[arg-type]

        found = {
            "PostgreSQL": slope(sql(lambda size: PostgresSource(pg.dsn(), f"orders_{size}"))),
            "MariaDB": slope(sql(lambda size: MysqlSource(my, f"orders_{size}"))),
            "files of CSV, their types derived": slope(files),
        }
    print("## Backups of SQL tables and files\n")
    print(
        f"Slope between {SIZES[0]:,} and {SIZES[1]:,} rows of eight columns, about 280 bytes a row; best of {ROUNDS}.\n"
    )
    print("| source | rows per CPU second |\n|---|---|")
    for name, rate in found.items():
        print(f"| {name} | {rate:,.0f} |")


if __name__ == "__main__":
    main()
