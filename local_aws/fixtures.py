"""Pytest fixtures: name this module in `pytest_plugins` of a conftest to use them.

Each pytest process (each xdist worker) has a server and a PostgreSQL of its own.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws.environment import child_environment
from local_aws.postgres import EmbeddedPostgres
from local_aws.server import LocalAws


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL with no databases but its own; make one with `create_database`."""
    # not below pytest's tmp_path, whose directories are closed to the user that the server runs as under root
    directory = Path(tempfile.mkdtemp(prefix="tablekeep-postgres-"))
    directory.chmod(0o711)
    server = EmbeddedPostgres(directory / "data").start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def local_aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """The server of this process, for the whole session. Tests take `local_aws`, which is empty at their start.

    The process's environment points to the server, with dummy credentials and without the user's AWS configuration.
    """
    with LocalAws() as server, pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        environment = child_environment(tmp_path_factory.mktemp("local-aws"), server.endpoint)
        for name, value in environment.items():
            if name.startswith("AWS_") or name.lower() == "no_proxy":
                patch.setenv(name, value)
        # "https_proxy" and the like would send calls for the loopback elsewhere
        yield server


@pytest.fixture
def local_aws(local_aws_server: LocalAws) -> LocalAws:
    """The stand-in for AWS, empty: `local_aws.client("dynamodb")`, `local_aws.endpoint`."""
    local_aws_server.use_postgres(None)
    local_aws_server.reset()
    return local_aws_server


@pytest.fixture
def local_redshift(local_aws: LocalAws, postgres: EmbeddedPostgres) -> LocalAws:
    """`local_aws` whose Redshift Data API runs on the embedded PostgreSQL, with empty databases."""
    local_aws.use_postgres(postgres.create_database("redshift"))
    local_aws.reset()
    return local_aws
