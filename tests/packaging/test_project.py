"""What the project promises of itself: hooks that exist, targets that are listed, a README whose files are there."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]


def test_the_hooks_run_what_make_test_runs() -> None:
    (repository,) = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in repository["hooks"]}
    steps = (PROJECT / "tools" / "test.py").read_text()
    assert entries == {"ruff", "mypy", "lint-imports"}
    assert all(f'"{entry}"' in steps for entry in entries)


def test_every_target_is_listed_by_help() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    listed = subprocess.run(["make", "-s", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines()} == targets
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets


def test_what_the_documents_point_to_is_there() -> None:
    for document in [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_verb_is_in_the_readme() -> None:
    from tablekeep.cli.command import VERBS

    readme = (PROJECT / "README.md").read_text()
    assert [verb for verb in VERBS if f"`tablekeep {verb}" not in readme] == []


def test_the_pictures_are_small() -> None:
    pictures = list((PROJECT / "docs" / "pictures").glob("*.png"))
    assert pictures
    assert all(picture.stat().st_size < 300_000 for picture in pictures)


def test_the_versions_agree() -> None:
    from tablekeep import __version__

    with (PROJECT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == __version__


def test_the_json_schema_of_pipelines_is_the_models() -> None:
    from tablekeep.engine.config.schema import SCHEMA_FILE, schema_text

    assert SCHEMA_FILE.read_text() == schema_text()


def test_the_text_of_every_guard_is_where_the_table_says() -> None:
    from tests.guards.switch import code_without
    from tests.guards.table import GUARDS

    for guard in GUARDS:
        if "operators" not in guard.where:  # Airflow is slow to import; tests/guards looks at these, too
            code_without(guard)


def test_every_test_that_the_list_of_faults_names_exists() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", (PROJECT / "tests" / "FAULTS.md").read_text()))
    defined = {
        name
        for file in (PROJECT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert len(named) > 30
    assert named <= defined, named - defined
