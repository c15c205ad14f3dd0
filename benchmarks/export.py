"""What exporting costs, beside peers, in one run; writes a Markdown table (`make bench` puts it into RESULTS.md).

CPU seconds per 100,000 items are a slope between two sizes, so that start-up cancels: user and system time of the client with its
children. Each measurement is a process of its own against a server that replays prepared pages (replay.py, another process). Rounds
are interleaved, and the best of each counts. Then the memory of one worker at 100 thousand and 3 million items, and of 390 KB items.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
from clients import BOTO3, CLIENTS, FRAME, OURS, TWO, Client

PROJECT = Path(__file__).resolve().parent.parent
PEERS = PROJECT / ".venv-bench" / "bin" / "python"


class Servers:
    """The stand-in's S3 and the replaying servers, ended together."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []
        self._replaying: dict[tuple[str, ...], str] = {}

    def __enter__(self) -> "Servers":
        line = self._start("-m", "local_aws", "--json")
        self.s3 = str(json.loads(line)["AWS_ENDPOINT_URL"])
        keys = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
        boto3.client("s3", endpoint_url=self.s3, region_name="us-east-1", **keys).create_bucket(Bucket="bench")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
            process.wait()

    def _start(self, *arguments: str) -> str:
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        self._running.append(process)
        assert process.stdout
        return process.stdout.readline().strip()

    def replaying(self, *options: str) -> str:
        """The endpoint of a server with these options of replay.py."""
        if options not in self._replaying:
            self._replaying[options] = (
                f"http://127.0.0.1:{self._start(str(PROJECT / 'benchmarks' / 'replay.py'), *options)}"
            )
        return self._replaying[options]


def measure(client: Client, items: int, endpoint: str, s3: str, more: dict[str, str] | None = None) -> dict[str, float]:
    """One client in a process of its own, with `more` in its environment."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(PROJECT / "plugins"), "ITEMS": str(items),
        "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_DYNAMODB": endpoint, "AWS_ENDPOINT_URL_S3": s3,
        "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": endpoint, "AWS_ENDPOINT_URL_STS": s3,
        "AIRFLOW_HOME": f"{tempfile.gettempdir()}/tablekeep-bench-airflow",
        **(more or {}),
    }  # fmt: skip
    with tempfile.NamedTemporaryFile(
        "w", suffix=".py"
    ) as file:  # a file, for processes that are started anew import it
        file.write(FRAME.format(program=client.program))
        file.flush()
        python = str(PEERS) if client.peer else sys.executable
        done = subprocess.run([python, file.name], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{client.name} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def speed(servers: Servers, small: int, large: int, rounds: int, clients: list[Client]) -> dict[str, dict[str, float]]:
    """Slopes by client, measured in turn."""
    best: dict[tuple[str, int], dict[str, float]] = {}
    for number in range(rounds):
        for client in clients:
            for size in (small, large):
                options = [str(size), *(["--plain"] if client.plain else [])]
                found = measure(client, size, servers.replaying(*options), servers.s3)
                before = best.get((client.name, size), found)
                best[client.name, size] = {name: min(value, before[name]) for name, value in found.items()}
            print(f"  round {number + 1} of {rounds}: {client.name}", file=sys.stderr, flush=True)
    scale = 100_000 / (large - small)
    return {
        client.name: {
            "cpu": (best[client.name, large]["cpu"] - best[client.name, small]["cpu"]) * scale,
            "wall": (best[client.name, large]["wall"] - best[client.name, small]["wall"]) * scale,
            "peak": best[client.name, large]["peak_mb"],
        }
        for client in clients
    }


def memory(servers: Servers) -> list[tuple[str, int, float]]:
    """What is read, how many items, and the peak of one worker in MB."""
    rows = []
    cases = [
        ("600-byte items", 100_000, 1, []),
        ("600-byte items", 100_000, 30, []),
        ("390 KB items", 1500, 1, ["--large"]),
    ]
    for what, items, times, more in cases:
        for segments in ("1", "4"):
            endpoint = servers.replaying(str(items), "--rounds", str(times), *more)
            client = Client(OURS.name, f'import os\nos.environ["SEGMENTS"] = "{segments}"\n{OURS.program}')
            found = measure(client, items * times, endpoint, servers.s3)
            rows.append(
                (f"{what}, {segments} segment{'s' if segments != '1' else ''}", items * times, found["peak_mb"])
            )
            print(f"  memory: {rows[-1]}", file=sys.stderr, flush=True)
    return rows


def verdict(results: dict[str, dict[str, float]]) -> str:
    """What was to be reached, and by how much it is missed."""
    ours, two = results.get(OURS.name, {}).get("cpu"), results.get(TWO.name, {}).get("cpu")
    base = results.get(BOTO3.name, {}).get("cpu")
    if not ours or not base:
        return ""
    ratio = ours / base
    text = f"To be reached: a tenth of boto3's scan. Found: {ratio:.3f}"
    if ratio > 0.1:
        text += (
            f", missed by {ratio * 10 - 1:.0%}. An item takes {ours * 10:.1f} µs here: about 2.4 to decode it, 0.7 for the list of the"
            " page's items, 0.8 for botocore's request path, 1.1 for canonical text, 0.6 for SHA-256, 0.4 for the buckets, 1.1 for Parquet;"
            " the rest are columns and counts. A fifteenth would need the first three without Python objects"
        )
    if two:
        text += f". Two workers: {two / ours:.2f} times one worker's CPU seconds an item; to be reached: 1.25"
    return text + "."


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="names that contain one of these, comma separated")
    parser.add_argument("--no-memory", action="store_true")
    chosen = parser.parse_args()
    wanted = [one for one in CLIENTS if not chosen.only or any(word in one.name for word in chosen.only.split(","))]
    clients = [one for one in wanted if PEERS.exists() or not one.peer]
    began = time.monotonic()
    with Servers() as servers:
        results = speed(servers, chosen.small, chosen.large, chosen.rounds, clients)
        peaks = [] if chosen.no_memory else memory(servers)
    base: Any = results.get(BOTO3.name, {}).get("cpu")
    versions = ", ".join(f"{name} {version(name)}" for name in ("boto3", "pyarrow", "msgspec", "apache-airflow"))
    sizes = f"{chosen.small:,} and {chosen.large:,} items of about 600 bytes and 11 to 14 attributes"
    print(f"## Export by scan\n\n{processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {versions}.")
    print(f"Slope between {sizes}; best of {chosen.rounds}, interleaved.\n")
    print(
        "| client | CPU s per 100,000 items | of boto3's scan | wall s per 100,000 | peak MB |\n|---|---|---|---|---|"
    )
    for name, one in results.items():
        ratio = f"{one['cpu'] / base:.3f}" if base else "–"
        print(f"| {name} | {one['cpu']:.2f} | {ratio} | {one['wall']:.2f} | {one['peak']:.0f} |")
    print(f"\n{verdict(results)}")
    if peaks:
        print("\n| memory of one worker | items | peak MB |\n|---|---|---|")
        for what, items, peak in peaks:
            print(f"| {what} | {items:,} | {peak:.0f} |")
    left = [one.name for one in wanted if one not in clients]
    print(
        f"\n{f'Not measured, for it is not installed: {left}. ' if left else ''}Took {time.monotonic() - began:.0f} s."
    )


if __name__ == "__main__":
    main()
