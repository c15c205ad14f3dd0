"""What parsing costs: seconds for 20 and 200 pipelines beyond Airflow's own imports, and for the one DAG of a task's process.

`.venv/bin/python benchmarks/parse.py` — best of three, each in a new process.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PIPELINE = (PROJECT / "include" / "pipelines" / "flights.yaml").read_text()
PROGRAM = """
import sys, time
import airflow.sdk, airflow.timetables.base
sys.path[:0] = [sys.argv[1] + "/dags", sys.argv[1] + "/plugins"]
began = time.perf_counter()
import pipelines
print(time.perf_counter() - began, len([n for n in vars(pipelines) if "__" in n and not n.startswith("__")]))
"""


def measure(count: int, only: str | None = None) -> tuple[float, int]:
    """Best seconds of three, and the number of DAGs."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "include" / "pipelines"
        folder.mkdir(parents=True)
        (Path(directory) / "include" / "environments").symlink_to(PROJECT / "include" / "environments")
        (folder / "defaults.yaml").write_text((PROJECT / "include" / "pipelines" / "defaults.yaml").read_text())
        for number in range(count):
            (folder / f"flights{number}.yaml").write_text(PIPELINE.replace("flights", f"flights{number}"))
        environment = os.environ | {"TABLEKEEP_PIPELINES": str(folder), "TABLEKEEP_ENV": "dev"}
        if only:
            environment["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = only
        found = []
        for _ in range(3):
            command = [sys.executable, "-c", PROGRAM, str(PROJECT)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            seconds, dags = done.stdout.split()[-2:]
            found.append((float(seconds), int(dags)))
        return min(found)


def main() -> None:
    """Prints a Markdown table."""
    cases = {
        "20 pipelines": (20, None),
        "200 pipelines": (200, None),
        "a task of 200 pipelines": (200, "copy__flights7__dwh"),
    }
    measured = {name: measure(*case) for name, case in cases.items()}
    print("## Parsing the DAG folder\n\n| what | DAGs | seconds, best of 3 |\n|---|---|---|")
    for name, (seconds, dags) in measured.items():
        print(f"| {name} | {dags} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
