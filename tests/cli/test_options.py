"""No option is taken and then forgotten: each is read by the command that has it."""

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType

import pytest

from tablekeep.cli import command
from tablekeep.cli.plan import WHAT

MODULES = {verb: f"tablekeep.cli.{verb.replace('-', '_')}" for verb in command.VERBS if verb != "plan"}
MODULES |= {f"plan {name}": path for name, path in WHAT.items()}
COMMON = {"help", "json", "quiet", "region", "profile"}


def sources(module: ModuleType, seen: set[str]) -> Iterator[str]:
    """The module's text, and that of the command line's own modules that it uses."""
    if module.__name__ in seen or module is command:
        return
    seen.add(module.__name__)
    yield inspect.getsource(module)
    for whole, alone in re.findall(
        r"from (tablekeep\.cli\.\w+) import|from tablekeep\.cli import (\w+)", inspect.getsource(module)
    ):
        yield from sources(importlib.import_module(whole or f"tablekeep.cli.{alone}"), seen)


@pytest.mark.parametrize("verb", MODULES)
def test_every_option_is_read(verb: str) -> None:
    module = importlib.import_module(MODULES[verb])
    parser = argparse.ArgumentParser()
    module.arguments(parser)
    text = "\n".join(sources(module, set()))
    taken = {action.dest for action in parser._actions} - COMMON
    assert taken
    assert [one for one in sorted(taken) if not re.search(rf'args\.{one}\b|"{one}"', text)] == []


def test_the_common_options_are_read() -> None:
    text = inspect.getsource(command)
    assert [one for one in sorted(COMMON - {"help"}) if f"args.{one}" not in text] == []
