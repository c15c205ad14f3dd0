"""`make setup`: a virtual environment in .venv with everything that the demo and the tests need. Standard library only.

Installs exactly what requirements/lock.txt pins, by hash. Quick when nothing changed; repairs an interrupted run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "tablekeep-setup"
LOWEST, HIGHEST = (3, 11), (3, 13)
INPUTS = ("requirements/lock.txt", "requirements/data.txt", "requirements/models.txt", "pyproject.toml")
MODELS = VENV / "models"
"""Models of AWS's APIs that are newer than the installed botocore's: tests read them."""


def fail(text: str) -> None:
    """One clear line, and the end."""
    sys.exit(f"setup: {text}")


def environment() -> dict[str, str]:
    """This process's environment without what steers Python or pip's targets; the index settings stay."""
    dropped = (
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "PIP_REQUIRE_VIRTUALENV",
        "PIP_ROOT",
    )
    return {
        name: value for name, value in os.environ.items() if name not in dropped and name != "PYTHONDONTWRITEBYTECODE"
    }


def python() -> str:
    """A Python that Tablekeep runs on: this one, or the newest of 3.13 to 3.11 on the PATH."""
    if LOWEST <= sys.version_info[:2] <= HIGHEST:
        return (
            sys._base_executable
            if hasattr(sys, "_base_executable") and sys.prefix != sys.base_prefix
            else sys.executable
        )
    for minor in range(HIGHEST[1], LOWEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    fail(f"Python 3.11, 3.12 or 3.13 is needed; this is {sys.version.split()[0]} and no other is on the PATH")
    raise AssertionError


def fingerprint(interpreter: str) -> str:
    """What the environment was made of."""
    digest = hashlib.sha256(interpreter.encode() + sysconfig.get_python_version().encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install(text: str, *arguments: str, expected: int = 0) -> None:
    """Installs into .venv."""
    pip(text, "install", *arguments, expected=expected)


def pip(text: str, verb: str, *arguments: str, expected: int = 0) -> None:
    """Runs pip and shows how far it is; its last lines when it fails."""
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "pip",
        verb,
        "--disable-pip-version-check",
        "--no-input",
        *arguments,
    ]
    log = VENV / "pip.log"
    done = 0
    with (
        log.open("w") as lines,
        subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            lines.write(line)
            if line.startswith("Collecting"):
                done += 1
                if expected and done % 20 == 0:
                    print(f"  {text}: {done} of about {expected}", flush=True)
            if line.startswith("Installing collected"):
                print(f"  {text}: unpacking", flush=True)
    if process.returncode:
        tail = "".join(log.read_text().splitlines(keepends=True)[-8:])
        fail(f"{text} failed; is the network there? The last lines of {log.relative_to(ROOT)}:\n{tail}")


def unpack_models(requirements: str) -> None:
    """Of a pinned wheel the model of DynamoDB alone."""
    shutil.rmtree(MODELS, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=VENV) as folder:
        pip("models", "download", "--no-deps", "--require-hashes", "-r", requirements, "-d", folder)
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(
                    MODELS, [one for one in archive.namelist() if one.startswith("botocore/data/dynamodb/")]
                )


def main() -> None:
    """Makes or updates .venv."""
    interpreter = python()
    wanted = fingerprint(interpreter)
    if STAMP.exists() and STAMP.read_text() == wanted and (VENV / "bin" / "tablekeep").exists():
        print("setup: .venv is up to date")
        return
    STAMP.unlink(missing_ok=True)
    if subprocess.run(
        [interpreter, "-c", "import venv, ensurepip"], env=environment(), capture_output=True, check=False
    ).returncode:
        fail(f"{interpreter} has no venv module; install it (Debian: apt-get install python3-venv)")
    if (
        not (VENV / "bin" / "python").exists()
        or subprocess.run(
            [str(VENV / "bin" / "python"), "-m", "pip", "--version"], capture_output=True, check=False
        ).returncode
    ):
        print(f"setup: making .venv with {interpreter}", flush=True)
        made = subprocess.run(
            [interpreter, "-m", "venv", "--clear", str(VENV)],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            fail(f"making .venv failed: {(made.stderr or made.stdout).strip().splitlines()[-1:]}")
    count = sum(
        "==" in line and not line.startswith((" ", "#")) for line in (ROOT / INPUTS[0]).read_text().splitlines()
    )
    print(f"setup: installing {count} pinned packages (one to three minutes)", flush=True)
    install("packages", "--no-deps", "--require-hashes", "-r", INPUTS[0], expected=count)
    install("data", "--no-deps", "--require-hashes", "-r", INPUTS[1])
    unpack_models(INPUTS[2])
    install("tablekeep", "--no-deps", "--no-build-isolation", "-e", ".")
    STAMP.write_text(wanted)
    print("setup: done; the command line is .venv/bin/tablekeep", flush=True)


if __name__ == "__main__":
    main()
