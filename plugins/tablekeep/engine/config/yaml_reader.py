"""Reads YAML as plain data that remembers where each value stood. Stricter than YAML, so that no value is a surprise.

`yes`, `no`, `on` and `off` stay text, and so do `02:00`, `1e3`, `0x10` and dates (YAML 1.1 makes truth values, numbers in base
60 and dates of them). A key twice, an anchor, a tag and a second document are refused.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tablekeep.engine.config.problems import Problem

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

Path_ = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of a file."""

    file: Path
    line: int


@dataclass
class Document:
    """A file's data and the place of every value; merged documents keep the places of both."""

    data: dict[str, Any]
    marks: dict[Path_, Mark] = field(default_factory=dict)

    def mark(self, path: Path_) -> Mark | None:
        """The place of a value, or of the nearest thing around it."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path)


class BadYamlError(Exception):
    """The file is no YAML as we take it.

    :ivar problems: at least one.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD = "tag:yaml.org,2002:"
_COLLECTION_TAGS = {_STANDARD + kind for kind in ("map", "seq")}
_SCALAR_TAGS = {_STANDARD + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")}
"""What the parser itself gives to plain values; which of them it is decides nothing here."""
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+\Z")


def read_yaml(path: Path, shown: Path | None = None) -> Document:
    """Reads one file whose top is a mapping; an empty file is an empty mapping.

    :param shown: the path as problems name it; default `path`.
    :raises BadYamlError: with every problem that could be found.
    """
    name = shown or path
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            raise BadYamlError([Problem(name, None, "", f"the file has more than {MAX_BYTES:,} bytes")])
        text = raw.decode()
    except OSError as error:
        raise BadYamlError([Problem(name, None, "", f"the file cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadYamlError([Problem(name, line, "", "the file is not UTF-8")]) from None
    try:
        if _depth(text) > MAX_DEPTH:  # before composing, which ends the whole process on very deep files
            raise BadYamlError([Problem(name, None, "", f"it is nested deeper than {MAX_DEPTH} levels")])
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        where = at.line + 1 if at else None
        said = error.problem or error.context or "it is no YAML"
        raise BadYamlError([Problem(name, where, "", f"the file is no valid YAML: {said}")]) from None
    except yaml.YAMLError:
        raise BadYamlError([Problem(name, None, "", "the file has characters that YAML does not allow")]) from None
    if root is None:
        return Document({})
    reader = _Reader(name)
    data = reader.value(root, ())
    if not isinstance(data, dict) and not reader.problems:
        reader.problems.append(Problem(name, 1, "", "the file must be a mapping of keys to values", "table: orders"))
    if reader.problems:
        raise BadYamlError(reader.problems)
    return Document(data, reader.marks)


def _depth(text: str) -> int:
    """The deepest nesting of lists and mappings."""
    depth = deepest = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


class _Reader:
    """Turns YAML's nodes into data."""

    def __init__(self, name: Path) -> None:
        self._name = name
        self._seen: set[int] = set()
        self.marks: dict[Path_, Mark] = {}
        self.problems: list[Problem] = []

    def _problem(self, node: Any, path: Path_, rule: str, example: str = "") -> None:
        self.problems.append(Problem(self._name, node.start_mark.line + 1, dotted(path), rule, example))

    def value(self, node: Any, path: Path_) -> Any:
        self.marks.setdefault(path, Mark(self._name, node.start_mark.line + 1))
        if id(node) in self._seen:
            self._problem(node, path, "anchors and aliases are not taken; write the value twice")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _COLLECTION_TAGS:
            self._problem(node, path, f"tags such as {node.tag} are not taken")
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one, (*path, number)) for number, one in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: Any, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key must be a word")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in found:
                self._problem(key_node, here, "the key is there twice")
                continue
            self.marks[here] = Mark(self._name, key_node.start_mark.line + 1)
            found[key] = self.value(value_node, here)
        return found

    def _scalar(self, node: Any, path: Path_) -> Any:
        text = str(node.value)
        if node.tag not in _SCALAR_TAGS:
            self._problem(node, path, f"tags such as {node.tag} are not taken")
            return None
        if node.style:  # quoted or a block; None or empty for a plain word, depending on the parser
            return text
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if _INTEGER.match(text):
            return int(text)
        return float(text) if _FLOAT.match(text) else text


def dotted(path: Path_) -> str:
    """`copies[0].table`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def merged(under: Document, over: Document) -> Document:
    """`over` laid upon `under`: mappings are merged, everything else is replaced."""
    marks = dict(under.marks)

    def lay(low: Any, high: Any, path: Path_) -> Any:
        if isinstance(low, dict) and isinstance(high, dict):
            joined = dict(low)
            for key, value in high.items():
                joined[key] = lay(low[key], value, (*path, key)) if key in low else value
            return joined
        for known in [one for one in marks if one[: len(path)] == path]:
            del marks[known]
        return high

    data = lay(under.data, over.data, ())
    return Document(data, marks | over.marks)
