"""docker-compose.yaml: what can be known of it without Docker."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docker-compose.yaml").read_text()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(TEXT)
    return document


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    vendored = files("check_jsonschema").joinpath("builtin_schemas", "vendor", "compose-spec.json")
    schema = json.loads(vendored.read_text(encoding="utf-8"))
    jsonschema.validate(compose, schema)
    compose["services"]["postgres"]["imagee"] = "x"
    with pytest.raises(jsonschema.ValidationError, match="imagee"):
        jsonschema.validate(compose, schema)
    del compose["services"]["postgres"]["imagee"]


def test_every_mounted_path_exists(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    for mount in mounts:
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (PROJECT / source).is_dir(), source
            assert mount.endswith(":ro")
        else:
            assert source in compose["volumes"]


def test_every_variable_is_in_the_example_and_none_is_there_for_nothing() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", TEXT))
    example = set(re.findall(r"^([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert used == example


def test_secrets_have_no_default() -> None:
    example = dict(re.findall(r"^([A-Z_]+)=([^#\n]*)", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    for name in ("AIRFLOW_FERNET_KEY", "AIRFLOW_SECRET_KEY", "AIRFLOW_JWT_SECRET", "POSTGRES_PASSWORD"):
        assert re.search(rf"\$\{{{name}:\?", TEXT), name
        assert not re.search(rf"\$\{{{name}:-", TEXT), name
        assert not example[name].strip()


def test_services_are_watched_pinned_and_published_on_the_loopback_only(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert "healthcheck" in service, name
        assert "restart" in service, name
        image = service["image"]
        assert ":" in image, name
        assert "latest" not in image, name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_airflows_version_is_the_one_that_is_tested(compose: dict[str, Any]) -> None:
    import airflow

    dockerfile = compose["services"]["scheduler"]["build"]["dockerfile_inline"]
    assert f"FROM apache/airflow:{airflow.__version__}-python" in dockerfile


def test_the_stand_ins_pins_are_those_of_the_lock(compose: dict[str, Any]) -> None:
    lock = (PROJECT / "requirements" / "lock.txt").read_text()
    pins = re.findall(
        r'"([a-z]+)(?:\[[^]]*\])?==([0-9.]+)"', compose["services"]["local-aws"]["build"]["dockerfile_inline"]
    )
    assert {name for name, _ in pins} == {"moto", "msgspec", "psycopg", "pyarrow"}
    for name, version in pins:
        assert re.search(rf"^{name}(\[[^]]*\])?=={re.escape(version)} ", lock, re.MULTILINE), name
