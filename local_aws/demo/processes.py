"""Servers as child processes: each in a session of its own, found again by pid and start time, stopped by its own pid."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil


class DemoError(Exception):
    """What keeps the demo from going on, in one line; more lines are a log's last ones."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now, all different."""
    held = []
    try:
        for _ in range(count):
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(one)
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def last_lines(file: Path, count: int = 25) -> str:
    """The end of a log."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return f"(no log at {file})"
    return "\n".join(lines[-count:])


@dataclass(frozen=True)
class Mark:
    """A process that can be told from a later one with the same pid."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "Mark":
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < 0.02 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def stop_group(mark: Mark, patience: float = 15.0) -> None:
    """Ends a process and its whole session's group: SIGTERM, then SIGKILL. Does nothing when it is not the same process."""
    if mark.alive():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(mark.pid, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while mark.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
    # what the leader left in its group: the group's number stays its own as long as a member lives
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if any(_group(one) == mark.pid for one in psutil.pids()):
            os.killpg(mark.pid, signal.SIGKILL)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return -1


@dataclass
class Server:
    """One child process.

    :ivar ready: says whether it can be used; asked until it says yes.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    directory: Path
    ready: Callable[[], bool] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> Mark:
        """Starts it; does not wait."""
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                list(self.command), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, cwd=self.directory,
                env=dict(self.environment), start_new_session=True,
            )  # fmt: skip
        return Mark.of(self.process.pid)

    def check(self) -> None:
        """:raises DemoError: when it has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise DemoError(
                f"{self.name} ended with code {self.process.returncode}; {self.log} ends so:\n{last_lines(self.log)}"
            )

    def wait(self, seconds: float) -> None:
        """Waits until it is ready.

        :raises DemoError: when it ends, or is not ready in time.
        """
        deadline = time.monotonic() + seconds
        while self.ready is not None and not self.ready():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{self.name} is not ready after {seconds:.0f} s; {self.log} ends so:\n{last_lines(self.log)}"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends it, and takes its exit code so that no zombie is left."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.Error):
            stop_group(Mark.of(self.process.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process = None


class StateFile:
    """What runs: the demo's own process and its children, so that another command can end them."""

    def __init__(self, home: Path) -> None:
        self.file = home / "state.json"

    def write(self, document: Mapping[str, Any]) -> None:
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps(document, indent=2))
        temporary.chmod(0o600)  # it holds the log-in
        temporary.replace(self.file)

    def read(self) -> dict[str, Any] | None:
        """None when there is none, or it is torn."""
        try:
            document: dict[str, Any] = json.loads(self.file.read_text())
        except (OSError, ValueError):
            return None
        return document

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)

    def marks(self) -> list[Mark]:
        """The children, in the order in which they are to be stopped."""
        document = self.read() or {}
        return [Mark(one["pid"], one["started"]) for one in document.get("children", [])]

    def main(self) -> Mark | None:
        """The process of `up`, if it runs."""
        document = self.read()
        if not document or "main" not in document:
            return None
        mark = Mark(document["main"]["pid"], document["main"]["started"])
        return mark if mark.alive() else None
