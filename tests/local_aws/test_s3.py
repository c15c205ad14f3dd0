"""S3 refuses what the service refuses, and conditional writes hold under threads."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from local_aws.server import LocalAws, switch
from tests.local_aws.support import refused

OTHER = "999999999999"


@pytest.fixture
def s3(local_aws: LocalAws) -> Any:
    client = local_aws.client("s3", retries={"total_max_attempts": 1})  # boto3 tries again after BadDigest
    client.create_bucket(Bucket="backups")
    client.put_object(Bucket="backups", Key="a/1", Body=b"one")
    return client


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def test_if_none_match_admits_one_of_many_writers(s3: Any) -> None:
    def write(number: int) -> bool:
        try:
            s3.put_object(Bucket="backups", Key="race", Body=b"%d" % number, IfNoneMatch="*")
        except s3.exceptions.ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"] != 412
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(write, range(32)))
    assert won.count(True) == 1
    assert s3.get_object(Bucket="backups", Key="race")["Body"].read() == b"%d" % won.index(True)


def test_if_match_replaces_only_what_was_read(s3: Any) -> None:
    tag = s3.head_object(Bucket="backups", Key="a/1")["ETag"]
    s3.put_object(Bucket="backups", Key="a/1", Body=b"two", IfMatch=tag)
    assert refused(s3.put_object, Bucket="backups", Key="a/1", Body=b"3", IfMatch=tag)[:2] == (
        "PreconditionFailed",
        412,
    )
    assert refused(s3.put_object, Bucket="backups", Key="none", Body=b"3", IfMatch=tag)[:2] == ("NoSuchKey", 404)
    assert s3.get_object(Bucket="backups", Key="a/1")["Body"].read() == b"two"


def test_multipart_uploads_are_conditional_too(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="backups", Key="a/1")["UploadId"]
    part = {"Bucket": "backups", "Key": "a/1", "UploadId": upload}
    tag = s3.upload_part(**part, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    code = refused(s3.complete_multipart_upload, **part, MultipartUpload=parts, IfNoneMatch="*")[:2]
    assert code == ("PreconditionFailed", 412)


def test_a_store_that_ignores_if_none_match(local_aws: LocalAws, s3: Any) -> None:
    assert switch(local_aws.endpoint, "s3", {"ignore_if_none_match": True})["s3_ignore_if_none_match"]
    s3.put_object(Bucket="backups", Key="a/1", Body=b"again", IfNoneMatch="*")
    assert s3.get_object(Bucket="backups", Key="a/1")["Body"].read() == b"again"


@pytest.mark.parametrize(
    "wrong",
    [
        {"ChecksumSHA256": sha256(b"other")},
        {"ChecksumCRC32": "AAAAAA=="},
        {"ContentMD5": base64.b64encode(b"0" * 16).decode()},
    ],
)
def test_a_wrong_checksum_is_refused(s3: Any, wrong: dict[str, str]) -> None:
    assert refused(s3.put_object, Bucket="backups", Key="new", Body=b"body", **wrong)[:2] == ("BadDigest", 400)
    assert refused(s3.head_object, Bucket="backups", Key="new")[1] == 404


def test_a_part_with_a_wrong_checksum_is_refused(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="backups", Key="new", ChecksumAlgorithm="SHA256")["UploadId"]
    part = {"Bucket": "backups", "Key": "new", "UploadId": upload, "PartNumber": 1, "Body": b"body"}
    assert refused(s3.upload_part, **part, ChecksumSHA256=sha256(b"other"))[0] == "BadDigest"


def test_head_returns_the_checksum_that_was_stored(s3: Any) -> None:
    for how in ({"ChecksumSHA256": sha256(b"body")}, {"ChecksumAlgorithm": "SHA256"}):
        s3.put_object(Bucket="backups", Key="sum", Body=b"body", **how)
        head = s3.head_object(Bucket="backups", Key="sum", ChecksumMode="ENABLED")
        assert head["ChecksumSHA256"] == sha256(b"body")
        assert "ChecksumSHA256" not in s3.head_object(Bucket="backups", Key="sum")


def test_multipart_objects_have_composite_checksums(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="backups", Key="big", ChecksumAlgorithm="SHA256")["UploadId"]
    bodies = [b"a" * 5 * 1024 * 1024, b"b"]
    parts = []
    for number, body in enumerate(bodies, 1):
        part = {"Bucket": "backups", "Key": "big", "UploadId": upload, "PartNumber": number, "Body": body}
        answer = s3.upload_part(**part, ChecksumAlgorithm="SHA256")
        assert answer["ChecksumSHA256"] == sha256(body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]})
    s3.complete_multipart_upload(Bucket="backups", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    expected = sha256(b"".join(hashlib.sha256(body).digest() for body in bodies)) + "-2"
    head = s3.head_object(Bucket="backups", Key="big", ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head["ChecksumType"]) == (expected, "COMPOSITE")


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_object", {"Key": "a/1"}), ("head_object", {"Key": "a/1"}), ("put_object", {"Key": "b", "Body": b""}),
        ("delete_object", {"Key": "a/1"}), ("list_objects_v2", {}), ("head_bucket", {}), ("get_bucket_location", {}),
        ("create_multipart_upload", {"Key": "b"}), ("delete_objects", {"Delete": {"Objects": [{"Key": "a/1"}]}}),
        ("list_object_versions", {}), ("get_object_tagging", {"Key": "a/1"}), ("delete_bucket", {}),
    ],
)  # fmt: skip
def test_another_owner_than_expected_is_denied(s3: Any, operation: str, arguments: dict[str, Any]) -> None:
    call = getattr(s3, operation)
    assert refused(call, Bucket="backups", ExpectedBucketOwner=OTHER, **arguments)[1] == 403
    assert s3.head_object(Bucket="backups", Key="a/1", ExpectedBucketOwner="123456789012")["ContentLength"] == 3
    if operation not in {"delete_bucket", "delete_object", "delete_objects"}:
        call(Bucket="backups", ExpectedBucketOwner="123456789012", **arguments)


def test_answers_have_a_date(s3: Any) -> None:
    headers = s3.head_bucket(Bucket="backups")["ResponseMetadata"]["HTTPHeaders"]
    assert parsedate_to_datetime(headers["date"]).tzinfo is not None


def test_keys_of_any_characters(s3: Any) -> None:
    for key in ("ä ö/ü+%20?", "a//b", "x=1&y=2", "#1"):
        s3.put_object(Bucket="backups", Key=key, Body=key.encode(), IfNoneMatch="*")
        assert refused(s3.put_object, Bucket="backups", Key=key, Body=b"", IfNoneMatch="*")[1] == 412
        assert s3.get_object(Bucket="backups", Key=key)["Body"].read() == key.encode()
