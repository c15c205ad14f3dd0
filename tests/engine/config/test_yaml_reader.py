"""YAML as plain data with places: no value is a surprise."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.config.yaml_reader import BadYamlError, Document, Mark, dotted, merged, read_yaml


def read(tmp_path: Path, text: str) -> Document:
    file = tmp_path / "one.yaml"
    file.write_text(text)
    return read_yaml(file, Path("one.yaml"))


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    file = tmp_path / "one.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadYamlError) as caught:
        read_yaml(file, Path("one.yaml"))
    return [str(one) for one in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("True", "True"), ("true", True), ("false", False),
        ("02:00", "02:00"), ("1e3", "1e3"), ("0x10", "0x10"), ("010", "010"), ("1_000", "1_000"), ("2026-01-01", "2026-01-01"),
        ("12", 12), ("-3", -3), ("0.5", 0.5), (".5", ".5"), ("'12'", "12"), ('"true"', "true"), ("", None), ("~", None),
        ("null", None), ("Null", "Null"), (".inf", ".inf"), ("25%", "25%"), ("[1, a]", [1, "a"]), ("|\n  x\n", "x\n"),
    ],
)  # fmt: skip
def test_plain_words_mean_what_they_look_like(tmp_path: Path, text: str, value: Any) -> None:
    found = read(tmp_path, f"key: {text}\n").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_every_value_has_a_place(tmp_path: Path) -> None:
    document = read(tmp_path, "a: 1\nb:\n  - x: 1\n  - x: 2\n")
    assert document.mark(("b", 1, "x")) == Mark(Path("one.yaml"), 4)
    assert document.mark(("b", 1, "missing")) == Mark(Path("one.yaml"), 4)
    assert document.mark(("missing",)) == Mark(Path("one.yaml"), 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "one.yaml:2: a: the key is there twice"),
        ("a: &x 1\nb: *x\n", "one.yaml:1: b: anchors and aliases are not taken"),
        ("a: !!python/object:os.system x\n", "one.yaml:1: a: tags such as"),
        ("a: !secret x\n", "one.yaml:1: a: tags such as !secret"),
        ("a: !!set {x}\n", "one.yaml:1: a: tags such as"),
        ("- a\n", "one.yaml:1: the file must be a mapping"),
        ("a: [1\n", "no valid YAML"),
        ("a: b: c\n", "one.yaml:1: the file is no valid YAML"),
        ("a: 1\n---\nb: 1\n", "no valid YAML"),
        ("\tb: 1\n", "no valid YAML"),
        ("? [a]\n: 1\n", "a key must be a word"),
        (b"a: \xff\n", "one.yaml:1: the file is not UTF-8"),
        (b"a: \x07\n", "does not allow"),
        ("a: " + "[" * 60 + "]" * 60, "nested deeper than 20"),
        ("x" * 1_000_001, "more than 1,000,000 bytes"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert any(said in one for one in problems(tmp_path, text))


def test_deep_nesting_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    assert problems(tmp_path, "a: " + "[" * 100_000)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "a: 1\na: 2\nb: !x 1\nc:\n  d: 1\n  d: 2\n")) == 3


def test_an_unreadable_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(BadYamlError, match="cannot be read"):
        read_yaml(tmp_path / "not-there.yaml")


def test_merging_keeps_the_place_of_what_won(tmp_path: Path) -> None:
    (tmp_path / "low.yaml").write_text("owner: a\nbackup: {to: x, segments: 1}\ncopies: [{name: one}]\n")
    (tmp_path / "high.yaml").write_text("\nbackup:\n  segments: 2\ncopies: [{table: t}]\n")
    low, high = read_yaml(tmp_path / "low.yaml"), read_yaml(tmp_path / "high.yaml")
    both = merged(low, high)
    assert both.data == {"owner": "a", "backup": {"to": "x", "segments": 2}, "copies": [{"table": "t"}]}
    assert both.mark(("backup", "segments")) == Mark(tmp_path / "high.yaml", 3)
    assert both.mark(("backup", "to")) == Mark(tmp_path / "low.yaml", 2)
    assert both.mark(("copies", 0, "name")) == Mark(tmp_path / "high.yaml", 4)


_SCALARS = st.one_of(
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.none(),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12),
)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdefg_", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdefg_", min_size=1, max_size=5), _TREES, max_size=4))
def test_what_a_yaml_writer_writes_reads_back(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    file = tmp_path_factory.mktemp("yaml") / "one.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True))
    assert read_yaml(file).data == data


def test_paths_read_as_people_write_them() -> None:
    assert dotted(("copies", 0, "table")) == "copies[0].table"
