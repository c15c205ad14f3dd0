"""Reads a mapping from a file of its own, by the rules and with the messages of pipeline files."""

from pathlib import Path

from tablekeep.engine.config.check import check_model
from tablekeep.engine.config.problems import Problem
from tablekeep.engine.config.yaml_reader import BadYamlError, read_yaml
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.errors import BadInputError


def read_mapping(path: Path) -> MappingDocument:
    """The mapping in a YAML file; it may stand under a key `mapping`, as in a pipeline.

    :raises BadInputError: with every problem, by line.
    """
    problems: list[Problem]
    try:
        document = read_yaml(path)
    except BadYamlError as error:
        problems = error.problems
    else:
        inside = document.data.get("mapping") if set(document.data) == {"mapping"} else None
        top = ("mapping",) if isinstance(inside, dict) else ()
        data = inside if isinstance(inside, dict) else document.data
        mapping, problems = check_model(MappingDocument, data, document, path, top)
        if mapping is not None:
            return mapping
    raise BadInputError(
        f"reading the mapping {path}", "; ".join(str(problem) for problem in problems), "correct the file"
    )
