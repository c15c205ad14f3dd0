"""Stands between a task and a script, so that no process of the script outlives the task: a program of its own, run by path.

`python -I keeper.py <status fd> <timeout seconds> <grace seconds> -- program argument …`

Standard input is a line to the task: when it closes, the task has died, however it did. Then, on SIGTERM, after the timeout, and
when the script itself has ended, every process that came of it is ended: politely first where it still runs, then by SIGKILL.
The status fd gets one line: `exit 3`, `signal 9`, `timeout`, `stopped`, or `unable` and why. Needs nothing but the standard library.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""prctl(2), the second: orphaned descendants become our children, so that those which left the script's process group are found."""


def main(arguments: list[str]) -> int:
    status_fd, timeout, grace = int(arguments[0]), float(arguments[1]), float(arguments[2])
    _adopt_orphans()
    stopped: list[int] = []
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, lambda number, frame: stopped.append(number))
    try:
        script = subprocess.Popen(
            arguments[4:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_keeper
        )
    except OSError as error:
        _tell(status_fd, f"unable {error.strerror}")
        return 1
    said = _wait(script, time.monotonic() + timeout, stopped)
    if said != "ended":
        _signal_group(script.pid, signal.SIGTERM)
        try:
            script.wait(grace)
        except subprocess.TimeoutExpired:
            pass
    _signal_group(script.pid, signal.SIGKILL)
    code = script.wait()
    _end_descendants()
    if said == "ended":
        said = f"exit {code}" if code >= 0 else f"signal {-code}"
    _tell(status_fd, said)
    return 0


def _tell(status_fd: int, text: str) -> None:
    try:
        os.write(status_fd, f"{text}\n".encode())
    except OSError:  # the task is gone
        pass


def _wait(script: "subprocess.Popen[bytes]", until: float, stopped: list[int]) -> str:
    """`ended`, `timeout`, or `stopped` by a signal or by the death of the task."""
    while script.poll() is None:
        left = until - time.monotonic()
        if left <= 0:
            return "timeout"
        readable, _, _ = select.select([0], [], [], min(0.05, left))
        if stopped or (readable and not os.read(0, 1)):
            return "stopped"
    return "ended"


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_keeper() -> None:
    """Whoever kills the keeper itself, kills the script."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def _end_descendants() -> None:
    """Kills children until there are none: those of a killed one become ours, and are found in the next round."""
    for _ in range(1000):
        children = _children()
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listed:  # noqa: PTH123 (nothing is imported that need not be)
            return [int(one) for one in listed.read().split()]
    except OSError:  # no Linux: the group was all that could be known
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
