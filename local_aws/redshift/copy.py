"""COPY statements, read strictly: from S3, in Parquet, with the parameters that columnar formats allow.

Source: Redshift Database Developer Guide, "COPY from columnar data formats" and "COPY parameter reference".
"""

import re
from dataclasses import dataclass

from local_aws.redshift.tokens import Reader, SqlError, Token

ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+(,arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+)*")

#: Parameters that COPY knows for text but refuses for Parquet.
TEXT_ONLY = frozenset(
    [
        "maxerror",
        "acceptanydate",
        "compupdate",
        "truncatecolumns",
        "region",
        "delimiter",
        "csv",
        "json",
        "avro",
        "fixedwidth",
        "gzip",
        "bzip2",
        "lzop",
        "zstd",
        "escape",
        "removequotes",
        "quote",
        "ignoreheader",
        "ignoreblanklines",
        "emptyasnull",
        "blanksasnull",
        "null",
        "dateformat",
        "timeformat",
        "roundec",
        "trimblanks",
        "encoding",
        "shapefile",
        "noload",
        "comprows",
        "readratio",
        "ssh",
        "encrypted",
        "master_symmetric_key",
    ]
)


@dataclass(frozen=True)
class Copy:
    """What a COPY statement asks for."""

    table: tuple[str, ...]
    columns: tuple[str, ...]
    bucket: str
    key: str
    manifest: bool
    fill_record: bool
    serialize_to_json: bool
    accept_invalid: str | None
    explicit_ids: bool


def parse_copy(tokens: list[Token]) -> Copy:
    """:raises SqlError: for anything but a COPY of Parquet from S3 with a role."""
    reader = Reader.over(tokens)
    reader.expect("copy")
    table = reader.path()
    columns: tuple[str, ...] = ()
    if reader.next.text == "(":
        # that columnar formats take a column list is UNCONFIRMED
        inner = Reader(reader.group())
        listed = [inner.name()]
        while inner.skip(","):
            listed.append(inner.name())
        columns = tuple(listed)
    reader.expect("from")
    bucket, key = source(reader.string())
    options = _options(reader)
    if not options.get("role"):
        raise SqlError("COPY from this file format needs credentials: give IAM_ROLE")
    if options.get("format") != "parquet":
        raise SqlError("this stand-in copies FORMAT AS PARQUET only")
    return Copy(
        table,
        columns,
        bucket,
        key,
        bool(options.get("manifest")),
        bool(options.get("fillrecord")),
        bool(options.get("serializetojson")),
        options.get("acceptinvchars"),
        bool(options.get("explicit_ids")),
    )


def source(url: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of an S3 URL."""
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", url, re.DOTALL)
    if match is None:
        if url.startswith("s3://"):
            raise SqlError(f"Invalid S3 path: {url}")
        raise SqlError(f"this stand-in copies from s3:// only, not from {url.partition(':')[0]}:")
    return match[1], match[2]


def _options(reader: Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    while not reader.ended:
        name, value = _option(reader)
        if name in found:
            raise SqlError(f"conflicting or redundant options: {name.upper()}")
        found[name] = value
    return found


def _option(reader: Reader) -> tuple[str, str]:
    word = reader.take().word
    if word == "iam_role":
        if reader.skip("default"):
            return "role", "default"
        role = reader.string()
        if not ROLE.fullmatch(role):
            raise SqlError(
                f"Invalid credentials. Must be of the format: IAM_ROLE 'arn:aws:iam::...:role/...', not {role!r}"
            )
        return "role", role
    if word == "credentials":
        reader.skip("as")
        return "role", reader.string()
    if word == "format":
        reader.skip("as")
        return "format", reader.take().word
    if word == "parquet":
        return "format", word
    if word in {"manifest", "fillrecord", "serializetojson", "explicit_ids"}:
        return word, word
    if word == "acceptinvchars":
        reader.skip("as")
        return word, reader.string() if reader.next.kind == "string" else "?"
    if word == "statupdate":
        reader.skip("on") or reader.skip("off")
        return word, word
    if word in TEXT_ONLY:
        raise SqlError(f"{word.upper()} argument is not supported for PARQUET based COPY")  # text UNCONFIRMED
    reader.position -= 1
    raise reader.error()
