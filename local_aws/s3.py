"""S3's refusals that moto does not make: bucket owners, checksums, and conditional writes that hold under threads."""

import base64
import binascii
import hashlib
import io
import re
import threading
import zlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from moto.s3.models import FakeKey, s3_backends
from moto.s3.utils import compute_checksum

from local_aws.responses import ServiceError, s3_error

if TYPE_CHECKING:
    from local_aws.application import Switches

STRIPES = 64
ALGORITHMS = ("sha256", "sha1", "crc32", "crc32c", "crc64nvme")
SHA256 = re.compile("[0-9a-f]{64}")


class S3Guard:
    """Checks an S3 request, then lets moto carry it out.

    Writes of one key exclude each other, so that of any number of writers with `If-None-Match: *` exactly one succeeds.
    """

    def __init__(self, switches: "Switches") -> None:
        self._switches = switches
        self._locks = [threading.RLock() for _ in range(STRIPES)]

    @staticmethod
    def is_mine(environ: dict[str, Any], target: str) -> bool:
        """Whether moto would take this request as one for S3 (also the presigned and unsigned ones)."""
        if target or environ.get("PATH_INFO", "").startswith(("/moto-api", "/latest/", "/v20180820/")):
            return False
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if "/s3/aws4_request" in authorization:
            return True
        return not authorization and environ["REQUEST_METHOD"] != "POST"

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any], moto: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = S3Request(environ)
        head = request.method == "HEAD"
        try:
            request.check_owner()
            if self._switches.s3_ignore_if_none_match and request.method in {"PUT", "POST"}:
                environ.pop("HTTP_IF_NONE_MATCH", None)
            if not request.writes_object:
                start = request.composite(start_response) if head else start_response
                return list(moto(environ, start))
            request.check_body()
            with self._locks[zlib.crc32(f"{request.bucket}/{request.key}".encode()) % STRIPES]:
                request.check_conditions()
                return list(moto(environ, start_response))
        except ServiceError as error:
            return s3_error(error, head=head, resource=environ.get("PATH_INFO", ""))(start_response)


class S3Request:
    """What the guard needs to know of a request (path-style addressing, as with every endpoint given by address)."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method = environ["REQUEST_METHOD"]
        path = environ.get("RAW_URI") or environ.get("PATH_INFO", "")
        bucket, _, key = path.partition("?")[0].lstrip("/").partition("/")
        self.bucket, self.key = unquote(bucket), unquote(key)
        self.query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)

    def header(self, name: str) -> str | None:
        value = self.environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return None if value is None else str(value)

    @property
    def is_part(self) -> bool:
        return self.method == "PUT" and "uploadId" in self.query

    @property
    def completes(self) -> bool:
        return self.method == "POST" and "uploadId" in self.query

    @property
    def writes_object(self) -> bool:
        if not self.key:
            return False
        plain = not self.query.keys() & {"acl", "tagging", "retention", "legal-hold", "uploads", "select", "restore"}
        return self.completes or (self.method in {"PUT", "DELETE"} and plain)

    def check_owner(self) -> None:
        """:raises ServiceError: 403 AccessDenied when the bucket belongs to another account than the caller expects."""
        pairs = [(self.header("x-amz-expected-bucket-owner"), self.bucket)]
        source = self.header("x-amz-copy-source")
        if source is not None:
            pairs.append((self.header("x-amz-source-expected-bucket-owner"), unquote(source).lstrip("/").split("/")[0]))
        for expected, bucket in pairs:
            if expected is None:
                continue
            if not re.fullmatch("[0-9]{12}", expected):
                raise ServiceError(
                    "InvalidBucketOwnerAWSAccountID",
                    "The value of the expected bucket owner parameter must be an AWS account ID",
                )
            owner = s3_backends.bucket_accounts.get(bucket)
            if owner is not None and owner[1] != expected:
                raise ServiceError("AccessDenied", "Access Denied", 403)

    def find(self) -> FakeKey | None:
        owner = s3_backends.bucket_accounts.get(self.bucket)
        if owner is None:
            return None
        found = s3_backends[owner[1]][owner[0]].buckets.get(self.bucket)
        key = found.keys.get(self.key) if found is not None else None
        return key if isinstance(key, FakeKey) else None

    def check_conditions(self) -> None:
        """If-None-Match and If-Match of PutObject and CompleteMultipartUpload.

        :raises ServiceError: 412, or 404 for If-Match on a key that does not exist.
        """
        if self.is_part or self.method == "DELETE" or self.bucket not in s3_backends.bucket_accounts:
            return
        none_match, match = self.header("if-none-match"), self.header("if-match")
        if none_match is not None and match is not None:
            raise ServiceError("NotImplemented", "If-None-Match and If-Match cannot be given together", 501)
        if none_match is not None and none_match != "*":
            raise ServiceError(
                "NotImplemented", "A header you provided implies functionality that is not implemented", 501
            )
        current = self.find()
        failed = "At least one of the pre-conditions you specified did not hold"
        if none_match is not None and current is not None:
            raise ServiceError("PreconditionFailed", failed, 412)
        if match is not None:
            if current is None:
                raise ServiceError("NoSuchKey", "The specified key does not exist.", 404)
            if match.strip('"') != current.etag.strip('"'):
                raise ServiceError("PreconditionFailed", failed, 412)

    def check_body(self) -> None:
        """Compares the body with every checksum that the request gives, in headers or trailers.

        :raises ServiceError: BadDigest or XAmzContentSHA256Mismatch.
        """
        if self.method != "PUT" or self.header("x-amz-copy-source") is not None:
            return
        body: bytes = self.environ["local_aws.body"]
        signed = self.header("x-amz-content-sha256") or ""
        if SHA256.fullmatch(signed) and hashlib.sha256(body).hexdigest() != signed:
            raise ServiceError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        trailers: dict[str, str] = {}
        if signed.startswith("STREAMING-") or "aws-chunked" in (self.header("content-encoding") or ""):
            body, trailers = dechunk(body)
        given_md5 = self.header("content-md5")
        if (
            given_md5 is not None
            and decoded(given_md5, "Content-MD5") != hashlib.md5(body, usedforsecurity=False).digest()
        ):
            raise ServiceError("BadDigest", "The Content-MD5 you specified did not match what we received.")
        for algorithm in ALGORITHMS:
            name = f"x-amz-checksum-{algorithm}"
            given = self.header(name) or trailers.get(name)
            if given is None:
                continue
            expected = compute_checksum(body, algorithm.upper(), encode_base64=False)
            if decoded(given, name) != expected:
                raise ServiceError(
                    "BadDigest", f"The {algorithm.upper()} you specified did not match the calculated checksum."
                )
            # moto keeps a checksum only when it is told the algorithm
            self.environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", algorithm.upper())
            self.environ.setdefault(f"HTTP_{name.upper().replace('-', '_')}", given)

    def composite(self, start_response: Callable[..., Any]) -> Callable[..., Any]:
        """moto's HEAD leaves the number of parts out of a multipart object's checksum."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            key = self.find()
            if key is not None and key.checksum_type == "COMPOSITE" and "partNumber" not in self.query:
                headers = [
                    (name, f"{value}-{key.checksum_parts}" if is_checksum(name) and "-" not in value else value)
                    for name, value in headers
                ] + ([("x-amz-checksum-type", "COMPOSITE")] if any(is_checksum(name) for name, _ in headers) else [])
            return start_response(status, headers, exc_info)

        return start


def is_checksum(header: str) -> bool:
    return header.lower().removeprefix("x-amz-checksum-") in ALGORITHMS


def decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        code = "InvalidDigest" if name == "Content-MD5" else "InvalidRequest"
        raise ServiceError(code, f"Value for {name} header is invalid.") from None


def dechunk(body: bytes) -> tuple[bytes, dict[str, str]]:
    """The content and the trailers of a body in `aws-chunked` encoding (chunk signatures are not checked)."""
    stream = io.BytesIO(body)
    content = bytearray()
    trailers: dict[str, str] = {}
    while True:
        line = stream.readline()
        size = int(line.split(b";")[0].strip() or b"0", 16)
        if not size:
            break
        content += stream.read(size)
        stream.readline()
    for line in stream:
        name, _, value = line.decode().strip().partition(":")
        if name:
            trailers[name.lower()] = value.strip()
    return bytes(content), trailers
