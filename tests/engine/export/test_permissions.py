"""Buckets that refuse, and keys that encrypt."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.errors import PermanentError
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders

REFUSAL = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>not authorized to perform: s3:ListBucket</Message></Error>"


@pytest.fixture
def refusing() -> Iterator[str]:
    """An S3 that refuses everything."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(REFUSAL)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(REFUSAL)

        do_GET = do_PUT = do_HEAD = do_POST = answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_bucket_that_refuses_is_named_with_the_action(local_aws: Any, refusing: str) -> None:
    make_table(local_aws, "orders", orders(3))
    session = boto3.session.Session(region_name="us-east-1")
    refused = SessionClients(session, endpoints={"s3": refusing})
    with pytest.raises(PermanentError) as caught:
        export("orders", clients=refused)
    assert BUCKET in caught.value.what
    assert caught.value.todo
    assert caught.value.family == "permanent"


def test_every_object_of_a_set_is_encrypted_with_the_key(local_aws: Any) -> None:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders(3))
    key = local_aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    backup = export("orders", encryption=key).backup
    s3, location = local_aws.client("s3"), open_backup(clients(), backup).manifest.location
    keys = [info.key for info in S3Store(clients(), BUCKET).list(location.prefix)]
    assert len(keys) >= 4
    for one in keys:
        head = s3.head_object(Bucket=BUCKET, Key=one)
        assert (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) == ("aws:kms", key), one
