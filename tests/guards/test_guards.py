"""With each guard off, the test that is named for it fails, and for that reason."""

import importlib
import inspect
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import rds
from tests.guards.switch import Guard, find, switched_off
from tests.guards.table import GUARDS, LIST, as_text

SHARED = {"shop": rds.shop, "shared_shop": rds.shared_shop}
FAILED = (AssertionError, pytest.fail.Exception)


def test_the_list_for_people_is_that_of_the_table() -> None:
    assert LIST.read_text() == as_text(), "python -m tests.guards.table"
    assert len({one.name for one in GUARDS}) == len(GUARDS)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name.replace(" ", "-"))
def test_a_guard_that_is_off_is_missed(guard: Guard, request: pytest.FixtureRequest) -> None:
    file, _, name = guard.test.partition("::")
    if file.startswith("dags/"):
        importlib.import_module("tests.dags.conftest")  # Airflow reads its variables when it is imported
    module = importlib.import_module("tests." + file.removesuffix(".py").replace("/", "."))
    test = getattr(module, name)
    given = case_of(test, guard.case)
    with ExitStack() as stack:
        for argument in inspect.signature(inspect.unwrap(test)).parameters:
            if argument not in given:
                given[argument] = fixture(argument, module, request, stack)
        failure = failure_of(test, given, guard)
    assert failure is not None, f"{guard.test} passes without the guard"
    told = f"{type(failure).__name__}: {failure}"
    assert isinstance(failure, FAILED) or type(failure).__name__ == guard.error, f"it fails for another reason: {told}"


def failure_of(test: Any, given: dict[str, Any], guard: Guard) -> BaseException | None:
    with switched_off(guard):
        try:
            test(**given)
        except (Exception, pytest.fail.Exception) as error:
            return error
    return None


def case_of(test: Any, word: str) -> dict[str, Any]:
    """The arguments of the case in which the word is found."""
    marks = [one for one in getattr(test, "pytestmark", []) if one.name == "parametrize"]
    cases = []
    for some in itertools.product(*[list(mark.args[1]) for mark in marks]):
        given: dict[str, Any] = {}
        for mark, values in zip(marks, some, strict=True):
            names = mark.args[0].replace(" ", "").split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
            given |= dict(zip(names, values if len(names) > 1 else [values], strict=True))
        if not word or word in str(given):
            cases.append(given)
    assert len(cases) == 1, f"{len(cases)} cases of {test.__name__} have {word!r}"
    return cases[0]


def fixture(name: str, module: Any, request: pytest.FixtureRequest, stack: ExitStack) -> Any:
    """A fixture of the test's own module, made here; or one that all tests have. An instance that lives for a module elsewhere lives for
    one test here: the others reset the stand-in."""
    own = vars(module).get(name) or SHARED.get(name)
    if own is None:
        return request.getfixturevalue(name)
    function = inspect.unwrap(own._get_wrapped_function())
    made = function(**{one: fixture(one, module, request, stack) for one in inspect.signature(function).parameters})
    if not isinstance(made, Iterator):
        return made
    value = next(made)
    stack.callback(next, made, None)
    return value


def test_a_text_that_is_not_there_is_told() -> None:
    guard = Guard("x", "leases:Lease.fence", "no such text", "", "")
    with pytest.raises(AssertionError, match=r"0 times: change tests/guards/table\.py"), switched_off(guard):
        pass
    function, file = find("leases:Lease.fence")
    assert (function.__name__, file.name) == ("fence", "leases.py")


def test_every_named_test_is_there() -> None:
    folder = Path(__file__).parents[1]
    for guard in GUARDS:
        file, _, name = guard.test.partition("::")
        assert f"def {name}(" in (folder / file).read_text(), guard.test
