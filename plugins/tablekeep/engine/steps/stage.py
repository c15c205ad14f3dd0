"""Files of S3 for a script: folders that are fetched before it and put back after it, under Data Pipeline's names.

`${INPUT1_STAGING_DIR}` holds what lay below the first input; what the script leaves in `${OUTPUT1_STAGING_DIR}` is put below the first
output when it has ended well, and only then.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import boto3.exceptions

from tablekeep.engine.clients import Clients, translate, translated
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.names import parse_s3


@dataclass(frozen=True)
class Staged:
    """Folders of one run. :ivar inputs, outputs: S3 addresses, filled in, and the folder of each."""

    inputs: tuple[tuple[str, Path], ...]
    outputs: tuple[tuple[str, Path], ...]

    def environment(self) -> dict[str, str]:
        """`INPUT1_STAGING_DIR`, `OUTPUT1_STAGING_DIR` …"""
        named = (("INPUT", self.inputs), ("OUTPUT", self.outputs))
        return {
            f"{kind}{number}_STAGING_DIR": str(folder)
            for kind, folders in named
            for number, (_, folder) in enumerate(folders, 1)
        }


def make_folders(home: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Staged:
    """Empty folders below `home`.

    :raises BadInputError: for what is no S3 address.
    """
    for address in (*inputs, *outputs):
        parse_s3(address)
    found = Staged(
        tuple((address, home / f"input{number}") for number, address in enumerate(inputs, 1)),
        tuple((address, home / f"output{number}") for number, address in enumerate(outputs, 1)),
    )
    for _, folder in (*found.inputs, *found.outputs):
        folder.mkdir()
    return found


def fetch(staged: Staged, clients: Clients) -> tuple[int, int]:
    """Fetches all objects below the inputs; gives their number and bytes. An input that is empty is an empty folder.

    :raises BadInputError: for a key that would lie outside of the folder, or below another object's name.
    """
    count = size = 0
    s3 = clients.client("s3")
    for address, folder in staged.inputs:
        bucket, prefix = parse_s3(address)
        start = f"{prefix}/" if prefix else ""
        with translated(f"fetching {address}"):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
                for one in page.get("Contents", ()):
                    if one["Key"].endswith("/"):  # a folder of the console
                        continue
                    path = _inside(folder, one["Key"][len(start) :], address)
                    s3.download_file(bucket, one["Key"], str(path))
                    count, size = count + 1, size + int(one["Size"])
    return count, size


def _inside(folder: Path, name: str, address: str) -> Path:
    parts = PurePosixPath(name).parts
    try:
        if not parts or ".." in parts or name.startswith("/") or "\0" in name:
            raise ValueError
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise ValueError
    except (ValueError, OSError):
        raise BadInputError(
            f"fetching {address}", "a key there cannot be a file's name beside the others", "name a prefix without it"
        ) from None
    return path


def put(staged: Staged, clients: Clients) -> tuple[int, int]:
    """Puts all files of the output folders below the outputs; gives their number and bytes. Links are left out."""
    count = size = 0
    s3: Any = clients.client("s3")
    for address, folder in staged.outputs:
        bucket, prefix = parse_s3(address)
        # links to folders are not followed
        names = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
        for path in sorted(names):
            if path.is_symlink() or not path.is_file():
                continue
            key = f"{prefix}/{path.relative_to(folder).as_posix()}".lstrip("/")
            try:
                with translated(f"putting what the script left below {address}"):
                    s3.upload_file(str(path), bucket, key)
            except boto3.exceptions.S3UploadFailedError as error:  # which hides the service's error
                raise translate(error.__cause__ or error.__context__ or error, f"putting s3://{bucket}/{key}") from None
            count, size = count + 1, size + path.stat().st_size
    return count, size
