"""What tests of restores by several workers share: they see the calls of all processes where the stand-in gets them."""

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from local_aws.application import Application

CHANGING = {"BatchWriteItem", "PutItem", "CreateTable", "UpdateTable", "TagResource", "ImportTable"}


@dataclass
class Calls:
    """The calls that change something, in their order, by whatever process.

    :ivar kill: pid of a process that is killed at call number `at` (the first is 1), before it has an effect or after.
    """

    names: list[str] = field(default_factory=list)
    items: list[tuple[float, int]] = field(default_factory=list)
    kill: int = 0
    at: int = 0
    after: bool = False
    lock: Any = field(default_factory=threading.Lock)

    def watch(self, environ: dict[str, Any]) -> bool:
        """Counts a call; whether it is the one."""
        name = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if environ["REQUEST_METHOD"] == "PUT":
            name = "PutObject"
        elif name not in CHANGING:
            return False
        with self.lock:
            self.names.append(name)
            if name == "BatchWriteItem":
                self.items.append((time.monotonic(), environ["local_aws.body"].count(b'"PutRequest"')))
            return len(self.names) == self.at

    def reset(self, at: int = 0, after: bool = False) -> None:
        self.names.clear()
        self.items.clear()
        self.at, self.after, self.kill = at, after, 0

    def shot(self) -> None:
        os.kill(self.kill, signal.SIGKILL)


@pytest.fixture
def calls(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The stand-in's calls from now on."""
    found, real = Calls(), Application.__call__

    def call(self: Application, environ: dict[str, Any], start_response: Any) -> Any:
        now = found.watch(environ)
        if now and not found.after:
            found.shot()
            raise ConnectionAbortedError("the process is gone before its call had an effect")
        answer = list(real(self, environ, start_response))
        if now:
            found.shot()
        return answer

    monkeypatch.setattr(Application, "__call__", call)
    return found
