"""`python -m local_aws.demo up|down|psql`: what `make demo`, `make demo-down` and `make demo-psql` call."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CLEAN = "TABLEKEEP_DEMO_CLEAN"
"""Says that this process's environment is the allow-listed one already."""


def clean_start(home: Path, arguments: list[str]) -> None:
    """Starts this program again with an environment in which nothing of the user's AWS, Airflow or Python is left."""
    if os.environ.get(CLEAN) == str(home):
        return
    from local_aws.environment import child_environment

    extra = {CLEAN: str(home)} | {name: os.environ[name] for name in ("DEMO_EXIT",) if name in os.environ}
    environment = child_environment(home / "home", None, extra)
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-s", "-m", "local_aws.demo", *arguments], environment)


def up(home: Path) -> int:
    """Runs the demo. 0: everything was proved, or it was ended by the user after its proof · 1: not."""
    from local_aws.demo.night import Demo
    from local_aws.demo.processes import DemoError

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    proved = False
    try:
        with Demo(home) as demo:
            demo.start()
            result = demo.run()
            demo.tell(result)
            proved = result.proved
            if os.environ.get("DEMO_EXIT", "") in ("", "0"):
                print("It stays up until Ctrl-C or `make demo-down`.", flush=True)
                while True:
                    time.sleep(2)
                    demo.check()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: ended", file=sys.stderr)
        return 0 if proved else 130
    return 0 if proved else 1


def down(home: Path) -> int:
    """Ends a running demo, and what a killed one left."""
    from local_aws.demo.processes import StateFile, stop_group
    from local_aws.postgres import stop_running

    state = StateFile(home)
    main = state.main()
    if main is not None:
        os.kill(main.pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while main.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        print("demo: ended" if not main.alive() else f"demo: process {main.pid} does not end", flush=True)
        return 0 if not main.alive() else 1
    left = [mark for mark in state.marks() if mark.alive()]
    for mark in left[:-1] if left else []:
        stop_group(mark)
    if left:
        if not stop_running(home / "postgres"):
            stop_group(left[-1])
        print(f"demo: ended {len(left)} processes that a killed demo left")
    else:
        print("demo: none runs here")
    state.remove()
    return 0


def psql(home: Path, arguments: list[str]) -> int:
    """Opens the demo's database."""
    from local_aws.postgres import PostgresError, connection_of, find_binaries

    try:
        dsn = connection_of(home / "postgres", "analytics")
    except (PostgresError, OSError):
        print("demo: no demo runs here; start one with `make demo`", file=sys.stderr)
        return 1
    return subprocess.call([str(find_binaries() / "psql"), dsn, *arguments])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local_aws.demo", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".demo"), help="directory of the demo (default: .demo)")
    parser.add_argument("verb", choices=("up", "down", "psql"))
    parser.add_argument("rest", nargs="*", help="for psql: its arguments, after --")
    chosen = parser.parse_args()
    home = chosen.home.resolve()
    if chosen.verb == "up":
        clean_start(home, sys.argv[1:])
        return up(home)
    return down(home) if chosen.verb == "down" else psql(home, chosen.rest)


if __name__ == "__main__":
    sys.exit(main())
