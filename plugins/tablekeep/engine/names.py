"""Names that people write: S3 addresses and tables, with the rules that decide whether they can be meant."""

import re

from tablekeep.engine.errors import BadInputError

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]\Z")
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}\Z")
_EXAMPLE = "give it as s3://bucket/prefix, for example s3://acme-backups/dynamodb"


def parse_s3(uri: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`, the prefix without slash at either end.

    :raises BadInputError: for what is no S3 URI, or has empty, `.` or `..` segments or control characters.
    """
    what = f"reading the S3 address {uri[:200]!r}"
    if not uri.startswith("s3://"):
        raise BadInputError(what, "it does not begin with s3://", _EXAMPLE)
    bucket, _, prefix = uri[5:].partition("/")
    prefix = prefix.removesuffix("/")
    if not _BUCKET.match(bucket) or ".." in bucket:
        raise BadInputError(what, "a bucket has 3 to 63 lower-case letters, digits, dots and hyphens", _EXAMPLE)
    if any(ord(character) < 32 or ord(character) == 127 for character in prefix) or len(prefix.encode()) > 700:
        raise BadInputError(what, "the prefix has control characters or more than 700 bytes", _EXAMPLE)
    if prefix and any(segment in ("", ".", "..") for segment in prefix.split("/")):
        raise BadInputError(what, "the prefix has an empty, '.' or '..' segment", _EXAMPLE)
    return bucket, prefix


def check_table_name(name: str) -> str:
    """The name, if it is one that DynamoDB allows.

    :raises BadInputError: else.
    """
    if not _TABLE.match(name):
        raise BadInputError(
            f"reading the table name {name[:80]!r}",
            "a table's name has 3 to 255 characters of A-Z, a-z, 0-9, '_', '-' and '.'",
            "give the table's name, not its ARN or a pattern",
        )
    return name
