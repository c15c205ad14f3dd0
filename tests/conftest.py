"""What all tests share: the stand-in for AWS, hypothesis profiles, and a network that ends at the loopback."""

import functools
import os
import socket
from collections.abc import Iterator
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["local_aws.fixtures", "tests.dynamodb_local", "tests.servers", "tests.past", "tests.rds"]

settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "default")

# tests make clients by the hundred; each session would read the services' models from the disk anew, half of their time
botocore.session.create_loader = functools.cache(botocore.loaders.create_loader)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """A test that reaches for another machine fails at once, whatever its configuration says."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address[0]}")
        real(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield


class ByFile(LoadScopeScheduling):
    """The tests of a file run in one process, in their order; those that share an Airflow in one, too. The marks that pytest-xdist 3.8
    has for this do nothing under pytest 9.2, which keeps an item's id elsewhere.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/dags" if file.startswith("tests/dags/") and not file.endswith("/test_scheduler.py") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Which process runs which tests."""
    return ByFile(config, log)
