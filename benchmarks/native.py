"""What converting DynamoDB's own export costs, beside DuckDB's `read_json` → Parquet of the same files, in one run.

Items per CPU second as a slope between two sizes. DuckDB reads the files from the disk and neither checks nor hashes anything; numbers
become floating point where they look like that, so its result is not exact.
"""

import json
import random
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from clients import Client
from export import Servers, measure
from replay import order

from local_aws.dynamodb.exports import Source, write_export

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
EXPORT = "01700000000000-0a0b0c0d"
ROUNDS = 3

OURS = Client(
    "tablekeep import-set (exact, checked, hashed)",
    """
import os
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.export.imports import import_set
from tablekeep.engine.progress import NoProgress
report = import_set(clients=SessionClients(region="us-east-1"), clock=SystemClock(), progress=NoProgress(),
    source=os.environ["SOURCE"], to="s3://bench/backups", key=[("customer", "S"), ("order_no", "N")], actor="bench", run="bench")
assert report.items == int(os.environ["ITEMS"]), report
""",
)
DUCKDB = Client(
    "DuckDB read_json to zstd Parquet",
    """
import duckdb, os
duckdb.sql("SET threads = 1")
duckdb.sql(f"COPY (SELECT Item.* FROM read_json('{os.environ['FOLDER']}/*.json.gz')) TO '/dev/null' (FORMAT parquet, CODEC zstd)")
""",
)


def written(size: int, folder: Path, servers: Servers) -> dict[str, str]:
    """An export of `size` items, in the stand-in's S3 and below `folder`; what the programs need to find it."""
    import boto3

    keys = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
    s3 = boto3.client("s3", endpoint_url=servers.s3, region_name="us-east-1", **keys)
    chance = random.Random(7)
    items = [json.dumps(order(number, chance, False), ensure_ascii=False).encode() for number in range(size)]

    def put(key: str, body: bytes) -> None:
        s3.put_object(Bucket="bench", Key=key, Body=body)
        if key.endswith(".gz"):
            (folder / Path(key).name).write_bytes(body)

    folder.mkdir()
    prefix = f"exports-{size}"
    write_export(put, "bench", prefix, Source(ARN, "id", items), export_id=EXPORT, at=datetime.now(UTC), files=8)
    return {"SOURCE": f"s3://bench/{prefix}/AWSDynamoDB/{EXPORT}", "FOLDER": str(folder)}


def main() -> None:
    """Prints a Markdown table."""
    sizes = (20_000, 100_000)
    best: dict[tuple[str, int], float] = {}
    with Servers() as servers, tempfile.TemporaryDirectory() as directory:
        places = {size: written(size, Path(directory) / str(size), servers) for size in sizes}
        nobody = servers.replaying("1")  # the table is gone: DescribeTable finds another one
        for number in range(ROUNDS):
            for client in (OURS, DUCKDB):
                for size in sizes:
                    cpu = measure(client, size, nobody, servers.s3, places[size])["cpu"]
                    best[client.name, size] = min(cpu, best.get((client.name, size), cpu))
            print(f"  native: round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    rates = {
        one.name: (sizes[1] - sizes[0]) / (best[one.name, sizes[1]] - best[one.name, sizes[0]])
        for one in (OURS, DUCKDB)
    }
    print("## Converting DynamoDB's own export\n")
    print(
        f"Slope between {sizes[0]:,} and {sizes[1]:,} items of about 600 bytes in 8 gzip files; best of {ROUNDS}, interleaved.\n"
    )
    print("| client | items per CPU second | of DuckDB's |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rate / rates[DUCKDB.name]:.2f} |")


if __name__ == "__main__":
    main()
