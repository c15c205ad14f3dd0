"""DynamoDB Local, AWS's own emulator: started for tests when a JRE and its jar are there, else the tests say what is missing."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 40.0


def find_jar() -> Path | None:
    """The jar named by TABLEKEEP_DYNAMODB_LOCAL, else the one of the npm package in `node_modules/`."""
    named = os.environ.get("TABLEKEEP_DYNAMODB_LOCAL")
    if named:
        return Path(named)
    found = sorted((ROOT / "node_modules" / "amplify-dynamodb-simulator").rglob("DynamoDBLocal.jar"))
    return found[0] if found else None


@pytest.fixture
def dynamodb_local_endpoint(dynamodb_local_server: str) -> str:
    """Its URL; it has no tables."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=dynamodb_local_server,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    return dynamodb_local_server


@pytest.fixture(scope="session")
def dynamodb_local_server() -> Iterator[str]:
    """Its URL. It cannot be told to listen on the loopback only; it runs for the tests' time alone."""
    jar, java = find_jar(), shutil.which("java")
    if jar is None or java is None:
        pytest.skip("DynamoDB Local is not here: it needs a JRE and `npm install --no-save amplify-dynamodb-simulator`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        java,
        f"-Djava.library.path={jar.parent / 'DynamoDBLocal_lib'}",
        "-jar",
        jar.name,
        "-inMemory",
        "-sharedDb",
        "-port",
        str(port),
    ]
    process = subprocess.Popen(
        command, cwd=jar.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "DynamoDB Local ended at once"
            assert time.monotonic() < deadline, "DynamoDB Local did not start"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
