"""What restoring costs, beside peers, in one run: from a backup on the stand-in's S3 to a server that takes every batch at once.

Items per CPU second of the client are the slope between two sizes, so that start-up cancels. Others get an eighth of the items, so that
every measurement takes about as long: on a machine with other work the best of several rounds favours what is short. boto3's
batch_writer is given items that are Python objects already, and reads nothing; dynamodump reads its own dump; Tablekeep reads, checks
and hashes its Parquet parts.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from clients import Client
from export import PEERS, Servers, measure
from replay import description, order

EXPORT = """
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.export.table import export_table
from tablekeep.engine.progress import NoProgress
import json, os
report = export_table(clients=SessionClients(region="us-east-1"), clock=SystemClock(), progress=NoProgress(), table="orders",
    to="s3://bench/backups", segments=4, actor="bench", run="bench")
open(os.environ["TOLD"], "w").write(report.backup)
"""
TABLEKEEP = """
import os
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table

if __name__ == "__main__":
    report = restore_table(RestoreRequest(f"restored-{os.getpid()}", os.environ["BACKUP"]), clients=SessionClients(region="us-east-1"),
        clock=SystemClock(), progress=NoProgress(), actor="bench", run="bench", prove=False, record=False,
        workers=int(os.environ.get("WORKERS", "1")))
    assert report.items == int(os.environ["ITEMS"]), report
"""
OURS = Client("tablekeep restore, without the proof, one worker", TABLEKEEP)
TWO = Client(
    "tablekeep restore, without the proof, two workers", 'import os\nos.environ["WORKERS"] = "2"\n' + TABLEKEEP
)
STAGED = Client(
    "tablekeep restore, staging for ImportTable alone",
    """
import os
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.stage import stage_units
from tablekeep.engine.restore.steps import Restoring
clients, clock, progress = SessionClients(region="us-east-1"), SystemClock(), NoProgress()
request = RestoreRequest(f"restored-{os.getpid()}", os.environ["BACKUP"], path="import-table")
one = Restoring(request, clients, clients, clock, progress, "bench", "bench", None, None)
one.begin(one.open(), None, load_prices())
items = []
with one.prepared.source as source:
    units = iter(list(source.units))
    stage_units(one.prepared, "staged/", lambda: next(units, None), progress=progress,
        done=lambda unit, loaded: items.append(loaded.items), guard=lambda: None)
assert sum(items) == int(os.environ["ITEMS"]), items
""",
)
BOTO3 = Client(
    "boto3 resource, batch_writer",
    """
import os, random, sys
sys.path.insert(0, os.environ["BENCHMARKS"])
import boto3
from boto3.dynamodb.types import TypeDeserializer
from replay import order
read = TypeDeserializer().deserialize
chance = random.Random(7)
some = [{name: read(value) for name, value in order(number, chance, False).items()} for number in range(1000)]
table = boto3.resource("dynamodb", region_name="us-east-1").Table("restored")
with table.batch_writer() as writer:
    for number in range(int(os.environ["ITEMS"])):
        writer.put_item(some[number % 1000])
""",
)
PLAIN = Client(
    "boto3 client, batch_write_item",
    """
import json, os, random, sys
sys.path.insert(0, os.environ["BENCHMARKS"])
import boto3
from replay import order
chance = random.Random(7)
some = [{"PutRequest": {"Item": order(number, chance, False)}} for number in range(1000)]
client = boto3.client("dynamodb", region_name="us-east-1")
for start in range(0, int(os.environ["ITEMS"]), 25):
    client.batch_write_item(RequestItems={"restored": some[start % 1000 : start % 1000 + 25]})
""",
)
DUMP = Client(
    "dynamodump restore, data only",
    """
import os, sys
os.chdir(os.environ["DUMP"])
endpoint = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
sys.argv = ["dynamodump", "-m", "restore", "-r", "local", "--host", "127.0.0.1", "--port", endpoint.rsplit(":", 1)[1],
    "--accessKey", "bench", "--secretKey", "bench", "-s", "orders", "-d", "orders", "--dataOnly", "--noConfirm", "--log", "ERROR"]
import dynamodump.dynamodump
dynamodump.dynamodump.main()
""",
    peer=True,
)
CLIENTS = (OURS, TWO, STAGED, BOTO3, PLAIN, DUMP)
OTHERS, SHARE = (BOTO3, PLAIN, DUMP), 8


def dump(folder: Path, count: int) -> None:
    """A dump as dynamodump writes it."""
    chance = random.Random(7)
    data = folder / "dump" / "orders" / "data"
    data.mkdir(parents=True)
    (folder / "dump" / "orders" / "schema.json").write_bytes(description(count))
    for start in range(0, count, 2000):
        items = [order(number, chance, False) for number in range(start, min(start + 2000, count))]
        text = json.dumps({"Items": items, "Count": len(items), "ScannedCount": len(items)})
        (data / f"{start // 2000 + 1:04d}.json").write_text(text)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=16_000)
    parser.add_argument("--large", type=int, default=80_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="names that contain one of these, comma separated")
    chosen = parser.parse_args()
    wanted = [one for one in CLIENTS if any(word in one.name for word in chosen.only.split(","))]
    clients = [one for one in wanted if PEERS.exists() or not one.peer]
    sizes = {
        one.name: [size // SHARE if one in OTHERS else size for size in (chosen.small, chosen.large)] for one in clients
    }
    best: dict[tuple[str, int], dict[str, float]] = {}
    with Servers() as servers, tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        environment: dict[int, dict[str, str]] = {}
        for size in sorted({size for some in sizes.values() for size in some}):
            told, place = folder / f"told-{size}", folder / str(size)
            measure(Client("export", EXPORT), size, servers.replaying(str(size)), servers.s3, {"TOLD": str(told)})
            dump(place, size)
            environment[size] = {
                "BACKUP": told.read_text(), "DUMP": str(place), "BENCHMARKS": str(Path(__file__).resolve().parent)
            }  # fmt: skip
        for number in range(chosen.rounds):
            for client in clients:
                for size in sizes[client.name]:
                    found = measure(client, size, servers.replaying(str(size)), servers.s3, environment[size])
                    before = best.get((client.name, size), found)
                    best[client.name, size] = {name: min(value, before[name]) for name, value in found.items()}
                print(f"  round {number + 1} of {chosen.rounds}: {client.name}", file=sys.stderr, flush=True)

    def slope(name: str, what: str) -> float:
        small, large = sizes[name]
        return (large - small) / (best[name, large][what] - best[name, small][what])

    speed = {one.name: slope(one.name, "cpu") for one in clients}
    base = speed.get(BOTO3.name)
    print(
        f"## Restore\n\nSlope between {chosen.small:,} and {chosen.large:,} items, for others an eighth of them;",
        end=" ",
    )
    print(f"best of {chosen.rounds}, interleaved.\n")
    print(
        "| client | items per CPU second | of boto3's batch_writer | items a second | peak MB |\n|---|---|---|---|---|"
    )
    for name, found_speed in speed.items():
        ratio = f"{found_speed / base:.2f}" if base else "–"
        large = best[name, sizes[name][1]]
        peak = max(large["peak_mb"], large["largest_child_mb"])
        print(f"| {name} | {found_speed:,.0f} | {ratio} | {slope(name, 'wall'):,.0f} | {peak:.0f} |")
    if base and OURS.name in speed:
        ratio_found = speed[OURS.name] / base
        print(
            f"\nTo be reached: 6 times boto3's batch_writer, 10 times if it can be had. Found: {ratio_found:.1f} times."
        )
    print("\nPeak MB are of the largest process.")


if __name__ == "__main__":
    main()
