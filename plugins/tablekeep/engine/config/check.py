"""Data of one pipeline → a pipeline of its kind, or every problem with line, field, rule and example."""

import difflib
import functools
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tablekeep.engine.config.base import Pipeline
from tablekeep.engine.config.kinds import DEFAULT_KIND, kinds
from tablekeep.engine.config.model import NOT_BUILT
from tablekeep.engine.config.problems import Problem
from tablekeep.engine.config.yaml_reader import Document, Path_, dotted

M = TypeVar("M", bound=BaseModel)


def check_pipeline(data: dict[str, Any], document: Document, file: Path) -> tuple[Pipeline | None, list[Problem]]:
    """Validates filled-in data by its kind; of an unknown kind nothing else can be said.

    :param document: knows where the values stood. :param file: named where it does not.
    """
    problems: list[Problem] = []
    add = _adder(problems, document, file)
    kind = data.get("kind", DEFAULT_KIND)
    model = kinds().get(kind) if isinstance(kind, str) else None
    if model is None:
        *most, last = kinds()
        close = difflib.get_close_matches(str(kind), [*most, last], n=1)
        add(("kind",), f"it must be {', '.join(most)} or {last}", f"kind: {close[0] if close else DEFAULT_KIND}")
        return None, problems
    data = _without_unbuilt(data, (), add)
    pipeline, found = check_model(model, data, document, file)
    return (None, _once([*problems, *found])) if problems else (pipeline, found)


def check_model(
    model: type[M], data: dict[str, Any], document: Document, file: Path, top: Path_ = ()
) -> tuple[M | None, list[Problem]]:
    """Validates data by a model.

    :param top: where in the document the data stood.
    """
    problems: list[Problem] = []
    add = _adder(problems, document, file)
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=True):
            path = _path(detail["loc"], data, _discriminators(model))
            rule, example = _words(detail, path, model)
            add((*top, *path), rule, example)
    return None, _once(problems)


def _adder(problems: list[Problem], document: Document, file: Path) -> Any:
    def add(path: Path_, rule: str, example: str = "") -> None:
        mark = document.mark(path)
        # a missing key has no place of its own: the line of what should hold it
        problems.append(Problem(mark.file if mark else file, mark.line if mark else None, dotted(path), rule, example))

    return add


def _without_unbuilt(value: Any, path: Path_, add: Any) -> Any:
    """The data without keys of the design that are not built; each is a problem."""
    named = ".".join(part for part in path if isinstance(part, str))
    if isinstance(value, dict):
        left = {}
        for key, one in value.items():
            here = (*path, key)
            reason = NOT_BUILT.get(f"{named}.{key}" if named else key)
            if reason:
                add(here, reason)
            else:
                left[key] = _without_unbuilt(one, here, add)
        return left
    if isinstance(value, list):
        return [_without_unbuilt(one, (*path, number), add) for number, one in enumerate(value)]
    return value


def _once(problems: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))


def _path(location: tuple[str | int, ...], data: Any, discriminators: frozenset[str]) -> Path_:
    """Pydantic's location without the tags of unions, which are in no file.

    :param discriminators: the keys that choose among a union's models.
    """
    path: list[str | int] = []
    for part in location:
        known = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if known or (isinstance(data, dict) and part in data):
            data = data[part]
        elif isinstance(data, dict) and any(data.get(key) == part for key in discriminators):
            continue
        elif isinstance(data, dict | list):
            data = None
        else:
            break
        path.append(part)
    return tuple(path)


@functools.cache
def _discriminators(model: type[BaseModel]) -> frozenset[str]:
    """The keys by which the unions in a model, however deep, choose."""
    found: set[str] = set()
    for field in model.model_fields.values():
        found |= {field.discriminator} if isinstance(field.discriminator, str) else _chosen_by(field.annotation)
        for inner in _inner(field.annotation):
            found |= _discriminators(inner)
    return frozenset(found)


def _chosen_by(annotation: Any) -> set[str]:
    found = {part.discriminator for part in getattr(annotation, "__metadata__", ()) if hasattr(part, "discriminator")}
    return {one for one in found if isinstance(one, str)}.union(*(_chosen_by(one) for one in get_args(annotation)))


def _models(path: Path_, top: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that may describe the mapping at a path."""
    models: list[type[BaseModel]] = [top]
    for part in path:
        if isinstance(part, int):
            continue
        found: list[type[BaseModel]] = []
        for model in models:
            if part in _fields(model):
                found += _inner(_fields(model)[part].annotation)
        models = found
    return models


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the keys that stand in files."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _inner(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is None:
        return []
    return [model for one in get_args(annotation) for model in _inner(one)]


def _example(path: Path_, top: type[BaseModel]) -> str:
    """A right value for the field, as `key: value`."""
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return ""
    for model in _models(path[:-1] if isinstance(path[-1], str) else path[:-2], top):
        field = _fields(model).get(names[-1])
        found = _first_example(field.examples if field else None, field.annotation if field else None, field)
        if found is not None:
            return f"{names[-1]}: {_yaml(found)}"
    return ""


def _first_example(examples: Any, annotation: Any, field: Any) -> Any:
    if examples:
        return examples[0]
    for part in getattr(field, "metadata", ()) or ():
        if getattr(part, "examples", None):
            return part.examples[0]
    for one in get_args(annotation):
        for part in getattr(one, "__metadata__", ()):
            if getattr(part, "examples", None):
                return part.examples[0]
        found = _first_example(None, one, None)
        if found is not None:
            return found
    return None


def _yaml(value: Any) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or text.endswith("%") or "*" in text else text


def _words(detail: ErrorDetails, path: Path_, top: type[BaseModel]) -> tuple[str, str]:
    """Rule and example of one of pydantic's errors."""
    kind, context = detail["type"], detail.get("ctx") or {}
    example = _example(path, top)
    if kind == "extra_forbidden":
        known = sorted({name for model in _models(path[:-1], top) for name in _fields(model)})
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"this key is not known{hint} (known here: {', '.join(known)})", ""
    if kind in ("missing", "union_tag_not_found"):
        return "this key is required", example
    if kind == "union_tag_invalid":
        tags = context["expected_tags"].replace("'", "")
        return (
            f"it must be {' or '.join(tags.rsplit(', ', 1))}",
            f"{context['discriminator']}: {tags.split(', ')[0]}".replace("'", ""),
        )
    if kind in ("literal_error", "enum"):
        return f"it must be {context.get('expected', '')}".replace("'", ""), ""
    if kind == "value_error":
        return str(context.get("error", detail["msg"])), example
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return "it must be a mapping of keys to values", ""
    return _MESSAGES.get(kind, detail["msg"][:1].lower() + detail["msg"][1:]), example


_MESSAGES = {
    "string_type": "it must be text",
    "int_type": "it must be a whole number",
    "float_type": "it must be a number",
    "bool_type": "it must be true or false",
    "list_type": "it must be a list, each entry on a line that begins with -",
    "string_too_short": "it must not be empty",
}
