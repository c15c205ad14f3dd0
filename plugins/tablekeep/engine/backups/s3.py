"""The store on Amazon S3. Every call carries ExpectedBucketOwner where it is known, and every write a SHA-256.

Conditional writes: S3 User Guide, "Conditional writes" (If-None-Match since August, If-Match since November 2024).
"""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.store import AlreadyExistsError, NotFoundError, ObjectInfo, PartSink
from tablekeep.engine.clients import Clients, error_code, translate, translated
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError

PIECE_BYTES = 8 * 1024 * 1024
"""Size of an uploaded piece; S3 allows 10,000, so an object of up to 156 GiB."""
_NO_RULES = {"NoSuchLifecycleConfiguration"}
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_CONDITION = {"PreconditionFailed", "ConditionalRequestConflict", "412"}


class S3Store:
    """Objects of one bucket.

    :param owner: the account that must own the bucket (ExpectedBucketOwner); None asks S3 nothing.
    :param encryption: None for the bucket's default (SSE-S3), else a KMS key's id, alias or ARN.
    """

    def __init__(
        self,
        clients: Clients,
        bucket: str,
        *,
        owner: str | None = None,
        encryption: str | None = None,
        region: str | None = None,
    ) -> None:
        self._s3 = clients.client("s3", region)
        self.bucket = bucket
        self._owner: dict[str, str] = {"ExpectedBucketOwner": owner} if owner else {}
        self._encryption: dict[str, Any] = {}
        if encryption and encryption not in ("SSE-S3", "AES256"):
            self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": encryption, "BucketKeyEnabled": True}

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}"

    def _named(self, key: str) -> str:
        return f"{self.address}/{key}"

    def region(self) -> str:
        return self.check()

    def check(self) -> str:
        """That the bucket exists, is ours to use and belongs to the expected owner; returns its Region.

        :raises BadInputError: when it does not exist or belongs to somebody else.
        """
        what = f"opening the bucket {self.bucket}"
        try:
            answer = self._s3.head_bucket(Bucket=self.bucket, **self._owner)
        except botocore.exceptions.ClientError as error:
            if error_code(error) in {"404", "NoSuchBucket"}:
                raise BadInputError(
                    what, "there is no such bucket", "create it first, or correct the address"
                ) from None
            if error_code(error) in {"403", "AccessDenied"}:
                owner = (
                    f", or the bucket does not belong to account {self._owner['ExpectedBucketOwner']}"
                    if self._owner
                    else ""
                )
                raise BadInputError(
                    what, f"access is denied (s3:ListBucket){owner}", "allow it, or correct the address"
                ) from None
            raise translate(error, what) from error
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, what) from error
        return str(answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", ""))

    def ends_incomplete_uploads(self) -> bool | None:
        """Whether a lifecycle rule removes uploads that were never completed; None when it may not be asked."""
        try:
            with translated(f"asking for the lifecycle rules of {self.bucket}"):
                rules = self._s3.get_bucket_lifecycle_configuration(Bucket=self.bucket, **self._owner)["Rules"]
        except PermanentError as error:
            cause = error.__cause__
            absent = isinstance(cause, botocore.exceptions.ClientError) and error_code(cause) in _NO_RULES
            return False if absent else None
        return any(rule.get("AbortIncompleteMultipartUpload") and rule["Status"] == "Enabled" for rule in rules)

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> ObjectInfo:
        condition: dict[str, str] = {"IfNoneMatch": "*"} if if_absent else {}
        if if_match is not None:
            condition = {"IfMatch": if_match}
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            with translated(f"writing {self._named(key)}"):
                answer = self._s3.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ChecksumSHA256=checksum,
                    **condition,
                    **self._owner,
                    **self._encryption,
                )
        except PermanentError as error:
            cause = error.__cause__
            if (
                isinstance(cause, botocore.exceptions.ClientError)
                and condition
                and error_code(cause) in _CONDITION | _ABSENT
            ):
                raise AlreadyExistsError(
                    f"writing {self._named(key)}", "the condition on what lies there does not hold"
                ) from None
            raise
        return ObjectInfo(
            key, len(body), answer.get("ETag", ""), answer.get("ChecksumSHA256") or checksum, _version(answer)
        )

    def open_write(self, key: str) -> PartSink:
        return _S3Sink(self, key)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        pieces, size = [], 0
        for piece in self.chunks(key):
            size += len(piece)
            if max_bytes is not None and size > max_bytes:
                raise PermanentError(f"reading {self._named(key)}", f"it has more than {max_bytes:,} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def chunks(self, key: str) -> Iterator[bytes]:
        what = f"reading {self._named(key)}"
        try:
            with translated(what):
                answer = self._s3.get_object(Bucket=self.bucket, Key=key, **self._owner)
        except PermanentError as error:
            cause = error.__cause__
            if isinstance(cause, botocore.exceptions.ClientError) and error_code(cause) in _ABSENT:
                raise NotFoundError(what, "there is no such object") from None
            raise
        expected, size = int(answer["ContentLength"]), 0
        with translated(what):
            for piece in answer["Body"].iter_chunks(1 << 18):
                size += len(piece)
                yield piece
        if size != expected:
            raise IntegrityError(what, f"{size:,} of {expected:,} bytes came")

    def head(self, key: str) -> ObjectInfo | None:
        try:
            answer = self._s3.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED", **self._owner)
        except botocore.exceptions.ClientError as error:
            if error_code(error) in _ABSENT:
                return None
            raise translate(error, f"looking for {self._named(key)}") from error
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, f"looking for {self._named(key)}") from error
        return ObjectInfo(
            key,
            int(answer["ContentLength"]),
            answer.get("ETag", ""),
            answer.get("ChecksumSHA256"),
            _version(answer),
            answer.get("LastModified"),
        )

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for page in self._pages(Prefix=prefix):
            for one in page.get("Contents", ()):
                yield ObjectInfo(
                    one["Key"], int(one["Size"]), one.get("ETag", ""), last_modified=one.get("LastModified")
                )

    def folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            for one in page.get("CommonPrefixes", ()):
                yield one["Prefix"][len(prefix) :].rstrip("/")

    def _pages(self, **arguments: str) -> Iterator[dict[str, Any]]:
        what = f"listing {self._named(arguments['Prefix'])}"
        try:
            with translated(what):
                yield from self._s3.get_paginator("list_objects_v2").paginate(
                    Bucket=self.bucket, **arguments, **self._owner
                )
        except PermanentError as error:
            cause = error.__cause__
            if isinstance(cause, botocore.exceptions.ClientError) and error_code(cause) == "NoSuchBucket":
                raise BadInputError(what, "there is no such bucket", "correct the address") from None
            raise

    def delete(self, key: str) -> None:
        with translated(f"deleting {self._named(key)}"):
            self._s3.delete_object(Bucket=self.bucket, Key=key, **self._owner)

    def locked_until(self, key: str) -> datetime | None:
        with translated(f"looking at {self._named(key)}"):
            answer = self._s3.head_object(Bucket=self.bucket, Key=key, **self._owner)
        if answer.get("ObjectLockLegalHoldStatus") == "ON":
            return datetime.max.replace(tzinfo=UTC)
        until: datetime | None = answer.get("ObjectLockRetainUntilDate")
        return until

    def default_lock(self) -> timedelta | None:
        try:
            with translated(f"asking for the Object Lock of {self.bucket}"):
                answer = self._s3.get_object_lock_configuration(Bucket=self.bucket, **self._owner)
        except PermanentError:  # there is none, or it may not be asked
            return None
        rule = answer["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention", {})
        return timedelta(days=rule.get("Days", 0) + 365 * rule.get("Years", 0)) or None

    def now(self) -> datetime:
        """From the Date header of a HEAD on the bucket."""
        with translated(f"opening the bucket {self.bucket}"):
            answer = self._s3.head_bucket(Bucket=self.bucket, **self._owner)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def _version(answer: dict[str, Any]) -> str | None:
    version = answer.get("VersionId")
    return None if version in (None, "null") else str(version)


class _S3Sink:
    """One piece in memory; a small object is one PUT, a large one a multipart upload with a SHA-256 for each piece."""

    def __init__(self, store: S3Store, key: str) -> None:
        self._store, self._key = store, key
        self._pending = bytearray()
        self._upload: str | None = None
        self._pieces: list[dict[str, Any]] = []
        self._digests: list[bytes] = []
        self._size = 0
        self._what = f"writing {store._named(key)}"

    def write(self, data: bytes) -> int:
        self._pending += data
        while len(self._pending) >= PIECE_BYTES:
            self._send(bytes(self._pending[:PIECE_BYTES]))
            del self._pending[:PIECE_BYTES]
        return len(data)

    def _send(self, piece: bytes) -> None:
        store = self._store
        with translated(self._what):
            if self._upload is None:
                started = store._s3.create_multipart_upload(
                    Bucket=store.bucket, Key=self._key, ChecksumAlgorithm="SHA256", **store._owner, **store._encryption
                )
                self._upload = started["UploadId"]
            digest = hashlib.sha256(piece).digest()
            checksum, number = base64.b64encode(digest).decode(), len(self._pieces) + 1
            sent = store._s3.upload_part(
                Bucket=store.bucket,
                Key=self._key,
                UploadId=self._upload,
                PartNumber=number,
                Body=piece,
                ChecksumSHA256=checksum,
                **store._owner,
            )
        self._pieces.append({"ETag": sent["ETag"], "PartNumber": number, "ChecksumSHA256": checksum})
        self._digests.append(digest)
        self._size += len(piece)

    def finish(self) -> ObjectInfo:
        if self._upload is None:
            return self._store.put(self._key, bytes(self._pending))
        if self._pending:
            self._send(bytes(self._pending))
            self._pending.clear()
        store = self._store
        with translated(self._what):
            done = store._s3.complete_multipart_upload(
                Bucket=store.bucket,
                Key=self._key,
                UploadId=self._upload,
                MultipartUpload={"Parts": self._pieces},
                **store._owner,
            )
        if not done.get("ETag"):
            raise IntegrityError(self._what, "S3 answered 200 without having put the pieces together", "run it again")
        self._upload = None
        checksum = base64.b64encode(hashlib.sha256(b"".join(self._digests)).digest()).decode() + f"-{len(self._pieces)}"
        return ObjectInfo(self._key, self._size, done["ETag"], checksum, _version(done))

    def abort(self) -> None:
        self._pending.clear()
        if self._upload is not None:
            upload, self._upload = self._upload, None
            with translated(f"giving up the upload of {self._store._named(self._key)}"):
                self._store._s3.abort_multipart_upload(
                    Bucket=self._store.bucket, Key=self._key, UploadId=upload, **self._store._owner
                )
