"""A team's own checks of a drilled backup: SQL over its Parquet parts, or a Python function."""

import functools
import importlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tablekeep.engine.backups.parts import fetch_part
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.errors import BadInputError

PIECE = 1 << 20


@dataclass(frozen=True)
class Check:
    """One check.

    :ivar sql: over the view `items`, the backup's parts; one row with one value, which must be true.
    :ivar python: `module:function`, called with a boto3 DynamoDB client and the scratch table's name; must return True.
    """

    name: str
    sql: str | None = None
    python: str | None = None


@dataclass
class CheckResult:
    """`passed`, and why not: the kind of value or error; never a value of an item."""

    name: str
    passed: bool
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def look_for_tools(checks: Sequence[Check]) -> None:
    """:raises BadInputError: before anything is restored: DuckDB is not installed, or there is no such function."""
    for check in checks:
        what = f"preparing the check {check.name}"
        if check.sql is not None:
            try:
                importlib.import_module("duckdb")
            except ImportError:
                raise BadInputError(what, "checks with sql need DuckDB", "add duckdb to your requirements") from None
        elif check.python is not None:
            _function(check.python, what)


def _function(path: str, what: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInputError(what, f"{path} cannot be loaded ({error})", "give it as module:function") from None


def run_checks(checks: Sequence[Check], opened: BackupSet, client: Any, table: str) -> list[CheckResult]:
    """All checks; one that raises has failed."""
    results: list[CheckResult] = []
    sql = [check for check in checks if check.sql is not None]
    if sql:
        with _view(opened) as connection:
            results.extend(
                ask(check.name, functools.partial(_rows, connection, str(check.sql)), _duckdb_why) for check in sql
            )
    results.extend(_call(check, client, table) for check in checks if check.python is not None)
    return results


@contextmanager
def _view(opened: BackupSet) -> Iterator[Any]:
    """DuckDB with the parts, each checked, as one view; it may read these files and nothing else."""
    duckdb = importlib.import_module("duckdb")
    with tempfile.TemporaryDirectory(prefix="tablekeep-") as given, duckdb.connect() as connection:
        folder = Path(given)
        for number, part in enumerate(opened.manifest.parts):
            with (
                fetch_part(opened.store, opened.manifest, part) as content,
                (folder / f"{number}.parquet").open("wb") as file,
            ):
                while piece := content.read(PIECE):
                    file.write(piece)
        connection.execute(f"CREATE VIEW items AS SELECT * FROM read_parquet('{folder}/*.parquet')")  # noqa: S608 - a name of ours
        connection.execute(f"SET allowed_directories = ['{folder}']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def ask(name: str, query: Callable[[], Sequence[Sequence[Any]]], why: Callable[[Exception], str]) -> CheckResult:
    """The verdict of a query: one row with one value, which is true.

    :param why: the reason of an error in words that quote no value.
    """
    try:
        rows = query()
    except Exception as error:
        return CheckResult(name, False, f"the query failed ({type(error).__name__}){why(error)}")
    if len(rows) != 1 or len(rows[0]) != 1:
        return CheckResult(name, False, "the query did not give one row with one value")
    answer = rows[0][0]
    # a value of another type may be an item's: only its type is told
    told = {False: "false", None: "null"}[answer] if answer is False or answer is None else type(answer).__name__
    return CheckResult(name, answer is True, "" if answer is True else f"it gave {told}, not true")


def _rows(connection: Any, sql: str) -> Sequence[Sequence[Any]]:
    rows: Sequence[Sequence[Any]] = connection.execute(sql).fetchall()
    return rows


def _duckdb_why(error: Exception) -> str:
    """Of an error about the SQL itself; one about data may quote a value."""
    duckdb = importlib.import_module("duckdb")
    of_sql = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException)
    return f": {str(error).splitlines()[0][:300]}" if isinstance(error, of_sql) else ""


def _call(check: Check, client: Any, table: str) -> CheckResult:
    function = _function(str(check.python), f"running the check {check.name}")
    try:
        answer = function(client, table)
    except Exception as error:
        return CheckResult(check.name, False, f"it raised {type(error).__name__}")
    return CheckResult(check.name, answer is True, "" if answer is True else "it did not return True")
