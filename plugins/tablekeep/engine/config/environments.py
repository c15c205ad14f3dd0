"""`${X}` in pipeline files: values of `environments/$TABLEKEEP_ENV.yaml`, and of nothing else.

The process's environment is not read: what a file means must be in the repository, not on one worker.
`$${` stands for `${` itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablekeep.engine.config.problems import Problem
from tablekeep.engine.config.yaml_reader import BadYamlError, Document, Path_, dotted, read_yaml

VARIABLE = "TABLEKEEP_ENV"
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


@dataclass(frozen=True)
class Environment:
    """The values of one environment.

    :ivar name: empty when none is chosen. :ivar problems: why it could not be read.
    """

    name: str
    file: Path | None
    values: Mapping[str, str | int | float | bool]
    problems: tuple[Problem, ...] = ()

    def fill(self, document: Document, words: Mapping[str, str], fallback: Path) -> tuple[Any, list[Problem]]:
        """The document's data with every `${X}` replaced, and every `{word}` of `words`.

        A value that is nothing but `${X}` takes X's type.

        :param words: `{"table": "orders"}` for files with `tables:`; else empty.
        :param fallback: the file that problems name where no mark is known.
        """
        filler = _Filler(self, document, words, fallback)
        return filler.walk(document.data, ()), filler.problems


class _Filler:
    """Fills one document; keeps what is wrong."""

    def __init__(self, environment: Environment, document: Document, words: Mapping[str, str], fallback: Path) -> None:
        self._environment, self._document, self._words, self._fallback = environment, document, words, fallback
        self.problems: list[Problem] = []

    def walk(self, value: Any, path: Path_) -> Any:
        """The value with everything in it filled."""
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, dict):
            return {key: self.walk(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self.walk(one, (*path, number)) for number, one in enumerate(value)]
        return value

    def _problem(self, path: Path_, rule: str, example: str = "") -> None:
        mark = self._document.mark(path)
        file, line = (mark.file, mark.line) if mark else (self._fallback, None)
        self.problems.append(Problem(file, line, dotted(path), rule, example))

    def _text(self, value: str, path: Path_) -> Any:
        whole = _REFERENCE.fullmatch(value)
        if whole and whole[1] is not None:
            return self._look_up(whole, path)

        def one(found: re.Match[str]) -> str:
            if found[1] is None:
                return "${"
            filled = self._look_up(found, path)
            return str(filled).lower() if isinstance(filled, bool) else str(filled)

        filled = _REFERENCE.sub(one, value)
        for word, meaning in self._words.items():
            filled = filled.replace(f"{{{word}}}", meaning)
        return filled

    def _look_up(self, found: re.Match[str], path: Path_) -> Any:
        environment, name = self._environment, found[1]
        if not found[0].endswith("}") or not _NAME.match(name):
            self._problem(path, "after ${ must come a name and }", "${bucket}")
        elif not environment.name:
            self._problem(path, f"${{{name}}} needs an environment, and {VARIABLE} is not set", f"{VARIABLE}=dev")
        elif environment.problems:
            self._problem(path, f"${{{name}}} is not known, for the environment {environment.name} could not be read")
        elif name not in environment.values:
            known = ", ".join(sorted(environment.values)) or "nothing"
            self._problem(path, f"${{{name}}} is not in environments/{environment.name}.yaml (there: {known})")
        else:
            return environment.values[name]
        return ""


def read_environment(folder: Path, name: str | None) -> Environment:
    """Reads `<folder>/<name>.yaml`. Never raises: what is wrong is in `problems`, and said where a value is needed."""
    if not name:
        return Environment("", None, {})
    file = folder / f"{name}.yaml"
    if not _ENVIRONMENT.match(name):
        return Environment(
            name, None, {}, (Problem(folder, None, VARIABLE, f"{name!r} is no name of an environment", "dev"),)
        )
    if not file.is_file():
        there = ", ".join(sorted(one.stem for one in folder.glob("*.yaml"))) or "none"
        rule = f"there is no environment {name} (there: {there})"
        return Environment(name, file, {}, (Problem(file, None, VARIABLE, rule),))
    try:
        document = read_yaml(file)
    except BadYamlError as error:
        return Environment(name, file, {}, tuple(error.problems))
    problems = []
    for key, value in document.data.items():
        mark = document.mark((key,))
        line = mark.line if mark else None
        if not _NAME.match(key):
            problems.append(
                Problem(file, line, key, "a name has letters, digits and _, and begins with no digit", "bucket")
            )
        elif not isinstance(value, str | int | float | bool):
            problems.append(Problem(file, line, key, "a value must be text, a number, true or false"))
    return Environment(name, file, {} if problems else document.data, tuple(problems))
