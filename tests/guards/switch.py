"""Switches one guard off, in memory: its function runs with a line of its source replaced. In this process alone: a test that works in
processes of its own does not notice.
"""

import functools
import importlib
import inspect
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Guard:
    """A check that keeps harm away, how it is switched off, and the test that misses it.

    :ivar name: what it keeps from happening, in words. :ivar where: `leases:Lease.fence`, below `tablekeep.engine`.
    :ivar text: of its source, once in that function; `off`: what stands there instead.
    :ivar test: `engine/restore/test_plan.py::test_…`, below `tests`; `case`: a word that only one of its parametrized cases has.
    :ivar error: name of the error with which the test fails, when it is another guard that stops it; else it is an assertion.
    """

    name: str
    where: str
    text: str
    off: str
    test: str
    case: str = ""
    error: str = ""

    @property
    def test_name(self) -> str:
        return self.test.partition("::")[2]


def find(where: str) -> tuple[types.FunctionType, Path]:
    """The function and its file."""
    name, _, path = where.partition(":")
    module = importlib.import_module(name if name.startswith("tablekeep.") else f"tablekeep.engine.{name}")
    found: Any = functools.reduce(getattr, path.split("."), module)
    if isinstance(found, property):
        found = found.fget
    found = inspect.unwrap(found)
    assert isinstance(found, types.FunctionType), where
    assert module.__file__
    return found, Path(module.__file__)


def code_without(guard: Guard) -> types.CodeType:
    """The function's code with the guard replaced.

    :raises AssertionError: when its text is not there exactly once: the code was changed, and the table of guards has to follow.
    """
    function, file = find(guard.where)
    source = file.read_text()
    lines, first = inspect.getsourcelines(function)
    body = "".join(lines)
    told = f"{guard.where} has the text of the guard {guard.name!r} {body.count(guard.text)} times: change tests/guards/table.py"
    assert body.count(guard.text) == 1, told
    every = source.splitlines(keepends=True)
    every[first - 1 : first - 1 + len(lines)] = [body.replace(guard.text, guard.off)]
    whole = compile("".join(every), str(file), "exec", dont_inherit=True)
    return _inside(whole, function.__code__.co_qualname)


def _inside(code: types.CodeType, qualname: str) -> types.CodeType:
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            if one.co_qualname == qualname:
                return one
            if qualname.startswith(f"{one.co_qualname}."):
                return _inside(one, qualname)
    raise AssertionError(f"{qualname} is not in {code.co_filename}")


@contextmanager
def switched_off(guard: Guard) -> Iterator[None]:
    """Without the guard: for everybody who has the function, however it was imported."""
    function, _ = find(guard.where)
    kept = function.__code__
    function.__code__ = code_without(guard)
    try:
        yield
    finally:
        function.__code__ = kept
