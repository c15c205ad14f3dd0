"""The JSON Schema of pipeline files, for editors: one for each kind, chosen by `kind`, with what stands in files only (`tables`, `${X}`).

`python -m tablekeep.engine.config.schema` writes it anew after a kind or a section has changed.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from tablekeep.engine.config.kinds import DEFAULT_KIND, fans_out, kinds

SCHEMA_FILE = Path(__file__).parents[2] / "pipeline.schema.json"
REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}
"""A value of the environment may stand for any scalar."""
TABLES = {
    "type": "array",
    "items": {"type": "string"},
    "minItems": 1,
    "uniqueItems": True,
    "description": "Several tables: a pipeline for each, with {table} in the other values.",
}


def schema_text() -> str:
    """The schema, as the file holds it."""
    models = list(kinds().items())
    references, joined = models_json_schema([(model, "validation") for _, model in models])
    for part in joined["$defs"].values():
        # defaults.yaml may give any of them, and the name may come from the file's: an editor sees one file only
        part.pop("required", None)
        for name, one in part.get("properties", {}).items():
            part["properties"][name] = _or_reference(one)
    for _, model in models:
        if fans_out(model):
            _definition(joined, references[(model, "validation")])["properties"]["tables"] = TABLES
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tablekeep pipeline",
        "type": "object",
        "properties": {"kind": {"enum": [kind for kind, _ in models], "default": DEFAULT_KIND}},
        "allOf": [{"if": _is(kind), "then": references[(model, "validation")]} for kind, model in models],
        "$defs": joined["$defs"],
    }
    return json.dumps(schema, indent=1) + "\n"


def _definition(joined: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = joined["$defs"][reference["$ref"].rpartition("/")[2]]
    return found


def _is(kind: str) -> dict[str, Any]:
    """The condition that a file is of a kind."""
    condition: dict[str, Any] = {"properties": {"kind": {"const": kind}}}
    return condition if kind == DEFAULT_KIND else condition | {"required": ["kind"]}


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a scalar that is no free text, or a reference to a value of the environment."""
    if schema.get("type") in ("integer", "number", "boolean") or "const" in schema or "enum" in schema:
        described = {
            name: schema.pop(name) for name in ("description", "default", "title", "examples") if name in schema
        }
        return described | {"anyOf": [schema, REFERENCE]}
    if "anyOf" in schema and any(one.get("type") in ("integer", "number") for one in schema["anyOf"]):
        schema["anyOf"].append(REFERENCE)
    return schema


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text())
