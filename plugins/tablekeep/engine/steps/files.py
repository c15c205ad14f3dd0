"""Files that a team keeps for its steps: below `include/sql` and `include/scripts`, and nowhere else."""

from pathlib import Path, PurePosixPath

from tablekeep.engine.errors import BadInputError

MAX_BYTES = 1_000_000


def find_step_file(include: Path | None, folder: str, name: str) -> Path:
    """The file, which lies in the folder and is not a link out of it.

    :param include: the folder beside `pipelines/`. :param folder: `sql` or `scripts`. :param name: from there: `shop/totals.sql`.
    :raises BadInputError: when it does not, or is none.
    """
    what = f"finding {folder}/{name}"
    if include is None:
        raise BadInputError(what, "the folder of pipeline files is not known", "run it by a pipeline's name")
    root = (include / folder).resolve()
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise BadInputError(what, f"it does not lie below {folder}/", f"give the path from {root}")
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise BadInputError(what, f"it is a link that leads out of {root}", "put the file itself there")
    if not path.is_file():
        raise BadInputError(what, f"there is no such file below {root}", "put it there, or correct the name")
    return path


def read_step_file(include: Path | None, folder: str, name: str) -> str:
    """The file's text.

    :raises BadInputError: when it is not there, no UTF-8, or larger than 1 MB.
    """
    path = find_step_file(include, folder, name)
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            raise BadInputError(f"reading {folder}/{name}", f"it has more than {MAX_BYTES:,} bytes", "split it")
        return raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"reading {folder}/{name}", f"it cannot be read as UTF-8 ({type(error).__name__})", "correct the file"
        ) from None
