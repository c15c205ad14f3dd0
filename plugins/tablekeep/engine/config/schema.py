"""The JSON Schema of pipeline files, for editors: made from the model, with what stands in files only (`tables`, `${X}`).

`python -m tablekeep.engine.config.schema` writes it anew after the model has changed.
"""

import json
from pathlib import Path
from typing import Any

from tablekeep.engine.config.model import Pipeline

SCHEMA_FILE = Path(__file__).parents[2] / "pipeline.schema.json"
REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}
"""A value of the environment may stand for any scalar."""


def schema_text() -> str:
    """The schema, as the file holds it."""
    schema = Pipeline.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Tablekeep pipeline"
    schema["properties"]["tables"] = {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "uniqueItems": True,
        "description": "Several tables: a pipeline for each, with {table} in the other values.",
    }
    for part in (schema, *schema.get("$defs", {}).values()):
        # defaults.yaml may give any of them, and the name may come from the file's: an editor sees one file only
        part.pop("required", None)
        for name, one in part.get("properties", {}).items():
            part["properties"][name] = _or_reference(one)
    return json.dumps(schema, indent=1) + "\n"


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
