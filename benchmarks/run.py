"""Runs all benchmarks, each in a process of its own, and writes RESULTS.md beside this file."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = ("export.py", "native.py", "incremental.py", "restore.py", "copies.py", "sql.py", "parse.py")


def main() -> None:
    head = "Made by `make bench`; the ratios carry over to other machines, the seconds do not."
    texts = [f"# Measured on {datetime.now(UTC):%Y-%m-%d}\n\n{head}\n"]
    environment = os.environ | {"PYTHONPATH": f"{HERE.parent}:{HERE.parent / 'plugins'}"}
    for part in PARTS:
        print(f"{part} …", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, HERE / part], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        texts.append(done.stdout)
    (HERE / "RESULTS.md").write_text("\n".join(texts))
    print(f"wrote {HERE / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
