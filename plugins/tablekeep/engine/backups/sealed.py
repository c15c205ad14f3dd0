"""Sealed documents: JSON that ends with the SHA-256 of its own canonical text. Manifests and records are sealed.

Text: compact JSON in UTF-8, keys sorted by their UTF-8 bytes, `sha256` last, then a line feed. The hash is taken over the
same text without that last member. It is checked before anything else of the document is read.
"""

import hashlib
import re
from typing import Any

import msgspec

from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import encode_canonical

MAX_BYTES = 512 * 1024 * 1024
_TAIL = re.compile(rb',"sha256":"([0-9a-f]{64})"\}\n\Z')
_TAIL_BYTES = len(b',"sha256":""}\n') + 64


def seal(document: dict[str, Any]) -> bytes:
    """The document's sealed text. It must have at least one member and none called `sha256`."""
    if not document or "sha256" in document:
        raise ValueError("a document to seal has members and no sha256")
    body = encode_canonical(document)
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + f',"sha256":"{digest}"}}\n'.encode()


def unseal(text: bytes, what: str) -> dict[str, Any]:
    """The document, when its seal is whole.

    :param what: what is read, for the error ("the manifest s3://…").
    :raises IntegrityError: when it is too large, not sealed, edited, or not in canonical form (a key twice, white space).
    """
    if len(text) > MAX_BYTES:
        raise IntegrityError(f"reading {what}", f"it has {len(text):,} bytes, more than {MAX_BYTES:,}")
    tail = _TAIL.search(text[-_TAIL_BYTES:])
    if not tail:
        raise IntegrityError(
            f"reading {what}", "it does not end with its SHA-256: it is cut off or another kind of file"
        )
    body = text[:-_TAIL_BYTES] + b"}"
    if hashlib.sha256(body).hexdigest().encode() != tail.group(1):
        raise IntegrityError(
            f"reading {what}", "its text does not match its SHA-256: it was edited or damaged", "use another backup"
        )
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        document = None
    if type(document) is not dict or encode_canonical(document) != body:
        raise IntegrityError(f"reading {what}", "it is not in canonical form", "it was not written by Tablekeep")
    return document


def seal_of(text: bytes) -> str:
    """The SHA-256 with which a sealed text ends."""
    tail = _TAIL.search(text[-_TAIL_BYTES:])
    if not tail:
        raise ValueError("the text is not sealed")
    return tail.group(1).decode()
