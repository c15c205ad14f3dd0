"""`make test`: everything, with one summary. Lint, types, the import contract, then all tests, on two processes.

A test that fails is run once more by itself; it is red when it fails again, and named as unsteady when it does not.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
AGAIN = 15
"""So many failed tests are run again; with more than that something is wrong with all of them."""
COMPONENTS = {
    "MariaDB": ("mariadbd", "mysqld"),
    "Redis": ("redis-server",),
    "Java": ("java",),
    "Chromium": ("chromium",),
}


def environment() -> dict[str, str]:
    """An allow-list: nothing that steers AWS, Airflow or Python passes."""
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TERM",
        "TMPDIR",
        "CI",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "TABLEKEEP_DYNAMODB_LOCAL",
        "TABLEKEEP_MWAA_PYTHON",
    )
    passed = {name: os.environ[name] for name in kept if name in os.environ}
    return passed | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


def step(name: str, command: list[str]) -> tuple[bool, str]:
    """Runs one step, shows its output as it comes, and returns whether it passed and what it printed."""
    print(f"\n== {name}", flush=True)
    began, printed = time.monotonic(), []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            printed.append(line)
            print(line, end="", flush=True)
    print(
        f"== {name}: {'passed' if process.returncode == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return process.returncode == 0, "".join(printed)


def counted(output: str, word: str) -> int:
    """The number before `word` in pytest's closing line."""
    closing = [line for line in output.splitlines() if re.search(r"\d+ (passed|failed|error)", line)]
    found = re.search(rf"(\d+) {word}", closing[-1]) if closing else None
    return int(found.group(1)) if found else 0


def main() -> None:
    """Runs all steps; exits with 1 when one failed."""
    tests = [
        "tests/" + one
        for one in sorted(
            path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith("_")
        )
    ]
    arguments = sys.argv[1:]
    failed = passed = skipped = 0
    if not arguments:
        for name, command in {
            "lint": ["ruff", "check", "."],
            "format": ["ruff", "format", "--check", "."],
            "types": ["mypy"],
            "imports": ["lint-imports"],
        }.items():
            ok, _ = step(name, [str(BIN / command[0]), *command[1:]])
            failed += not ok
            passed += ok
    ok, output = step("tests", [str(BIN / "pytest"), "-q", "-n", "2", "--dist", "loadscope", *(arguments or tests)])
    errors = counted(output, "failed") + counted(output, "error")
    passed += counted(output, "passed")
    skipped += counted(output, "skipped")
    if 0 < errors <= AGAIN:
        # a machine that does two things at a time breaks a test now and then that has to do with time: what fails alone, too, is broken
        ok, output = step(
            "tests that failed, once more and alone", [str(BIN / "pytest"), "-q", "--lf", *(arguments or tests)]
        )
        unsteady = counted(output, "passed")
        errors = counted(output, "failed") + counted(output, "error")
        passed += unsteady
        print(f"\n{unsteady} tests failed beside others and passed alone: see above which, and mend them")
    failed += errors or (0 if ok else 1)
    missing = [name for name, programs in COMPONENTS.items() if not any(shutil.which(one) for one in programs)]
    print("\nNot on this machine, so nothing was tested against: " + (", ".join(missing) or "nothing is missing"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
