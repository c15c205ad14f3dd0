"""The lock against Airflow's constraints, and the image's additions against the lock."""

import json
import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[2]
LOCK = (PROJECT / "requirements" / "lock.txt").read_text()


def locked() -> dict[str, list[str]]:
    """Versions by name; a universal lock may pin one for each of several Pythons."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", LOCK, re.MULTILINE):
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), []).append(version)
    return found


def test_the_lock_agrees_with_airflows_constraints() -> None:
    constraints = json.loads((PROJECT / "requirements" / "constraints.json").read_text())["versions"]
    pins = locked()
    assert len(constraints) > 100
    differing = {
        name: (pins.get(name), version) for name, version in constraints.items() if version not in pins.get(name, [])
    }
    assert differing == {}


def test_every_pin_has_a_hash() -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", LOCK)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry.splitlines()[0])


def test_what_is_added_to_an_image_is_what_was_tested() -> None:
    lines = [
        line for line in (PROJECT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert lines
    pins = locked()
    for line in lines:
        requirement = Requirement(line)
        (version, *_) = pins[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(version), line


def test_what_the_package_needs_is_in_the_lock_and_installed() -> None:
    needed = [Requirement(one) for one in metadata.requires("tablekeep") or []]
    assert needed
    for requirement in needed:
        assert requirement.specifier.contains(metadata.version(requirement.name)), requirement
        assert requirement.name.lower() in locked()


def test_no_address_of_a_package_index_is_in_the_project() -> None:
    for file in (PROJECT / "requirements").iterdir():
        assert not re.search(r"--(extra-)?index-url|https?://", file.read_text()), file.name
