"""Finds pipeline files and loads them: the good ones as pipelines, the bad ones with their problems."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tablekeep.engine.config.base import Pipeline
from tablekeep.engine.config.check import check_pipeline
from tablekeep.engine.config.environments import VARIABLE, Environment, read_environment
from tablekeep.engine.config.kinds import DEFAULT_KIND, fans_out, kinds
from tablekeep.engine.config.problems import Problem
from tablekeep.engine.config.step_files import wrong_files
from tablekeep.engine.config.values import MAX_NAME
from tablekeep.engine.config.yaml_reader import BadYamlError, Document, dotted, merged, read_yaml
from tablekeep.engine.errors import BadInputError

FOLDER_VARIABLE = "TABLEKEEP_PIPELINES"
DEFAULTS = "defaults.yaml"
_SUFFIXES = (".yaml", ".yml")
MAX_TABLES = 1000
P = TypeVar("P", bound=Pipeline)


@dataclass(frozen=True)
class BadFile:
    """A file, or one table of a file with `tables:`, that gives no pipeline.

    :ivar name: what the pipeline's DAGs would be named after. :ivar schedule, timezone: of its leading DAG, as far as they
        could be read: the failing DAG that stands in for it runs then. :ivar enabled: what the file says, else true.
    :ivar lead: the verb of that DAG.
    """

    file: Path
    name: str
    problems: tuple[Problem, ...]
    schedule: str | None = None
    timezone: str = "UTC"
    enabled: bool = True
    lead: str = Pipeline.LEAD


@dataclass(frozen=True)
class Loaded:
    """All that a folder holds. Names are unique among `pipelines`; files are relative to the folder's parent."""

    folder: Path
    environment: Environment
    pipelines: tuple[Pipeline, ...]
    bad: tuple[BadFile, ...]
    sources: Mapping[str, Path]

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong, in the order of the files."""
        found = [problem for file in self.bad for problem in file.problems]
        return list(dict.fromkeys([*self.environment.problems, *found] if found else found))


def find_folder(dag_file: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """The folder of pipeline files: `TABLEKEEP_PIPELINES`; `pipelines/` beside the DAG file; `../include/pipelines` from it;
    `$AIRFLOW_HOME/include/pipelines`. Without a DAG file (command line) the working directory stands for the project.

    :raises BadInputError: when there is none; names the places.
    """
    variables = os.environ if environ is None else environ
    chosen = variables.get(FOLDER_VARIABLE)
    if chosen:
        if not Path(chosen).is_dir():
            raise BadInputError("finding the pipeline files", f"{FOLDER_VARIABLE}={chosen} is no folder", "correct it")
        return Path(chosen)
    if dag_file is not None:
        places = [dag_file.parent / "pipelines", dag_file.parent.parent / "include" / "pipelines"]
    else:
        places = [Path.cwd() / "include" / "pipelines", Path.cwd() / "dags" / "pipelines"]
    if variables.get("AIRFLOW_HOME"):
        places.append(Path(variables["AIRFLOW_HOME"]) / "include" / "pipelines")
    for place in places:
        if place.is_dir():
            return place
    raise BadInputError(
        "finding the pipeline files",
        f"there is no folder {' or '.join(str(place) for place in places)}",
        f"make include/pipelines, or set {FOLDER_VARIABLE} to the folder",
    )


def load_folder(folder: Path, *, environment: str | None = None, only: str | None = None) -> Loaded:
    """Loads every pipeline file of a folder and the folders below it.

    :param environment: the environment's name; default `$TABLEKEEP_ENV`.
    :param only: a pipeline's name: other files are not even read where the file of that name gives it.
    """
    chosen = os.environ.get(VARIABLE) if environment is None else environment
    values = read_environment(folder.parent / "environments", chosen)
    files = _files(folder)
    if only is not None:
        named = [file for file in files if file.stem == only]
        if named:
            loaded = _load(folder, named, values)
            if any(pipeline.name == only for pipeline in loaded.pipelines):
                return loaded
    return _load(folder, files, values)


def find_pipeline(loaded: Loaded, name: str, kind: type[P]) -> P:
    """The pipeline of that name.

    :param kind: the class of the kind that is needed; `Pipeline` for any.
    :raises BadInputError: when its file is bad (with all problems), it is of another kind, or there is none.
    """
    for pipeline in loaded.pipelines:
        if pipeline.name == name:
            if isinstance(pipeline, kind):
                return pipeline
            needed = " or ".join(known for known, model in kinds().items() if issubclass(model, kind))
            raise BadInputError(
                f"reading the pipeline {name}", f"it is of the kind {pipeline.kind}, not {needed}", "name another one"
            )
    for bad in loaded.bad:
        if bad.name == name:
            raise BadInputError(
                f"reading the pipeline {name}", "; ".join(str(problem) for problem in bad.problems), "correct the file"
            )
    known = ", ".join(sorted(pipeline.name for pipeline in loaded.pipelines)) or "none"
    raise BadInputError(
        f"reading the pipeline {name}", f"{loaded.folder} has no such pipeline (there: {known})", "name one of them"
    )


def _files(folder: Path) -> list[Path]:
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix in _SUFFIXES and path.name != DEFAULTS and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]  # fmt: skip
    # a file named as its pipeline comes first: on a clash of names it keeps it
    return sorted(found)


def _load(folder: Path, files: Sequence[Path], environment: Environment) -> Loaded:
    candidates: list[tuple[Path, Pipeline]] = []
    bad: list[BadFile] = []
    defaults: dict[Path, Document | list[Problem]] = {}
    for file in files:
        for result in _load_file(folder, file, environment, defaults):
            if isinstance(result, Pipeline):
                candidates.append((file, result))
            else:
                bad.append(result)
    pipelines: dict[str, Pipeline] = {}
    sources: dict[str, Path] = {}
    for file, pipeline in sorted(candidates, key=lambda one: (one[0].stem != one[1].name, str(one[0]))):
        if pipeline.name in pipelines:
            shown, other = _shown(folder, file), _shown(folder, sources[pipeline.name])
            problem = Problem(
                shown, None, "name", f"the name {pipeline.name} is that of {other} already", "name: orders-eu"
            )
            bad.append(BadFile(shown, slug(file.stem), (problem,), *pipeline.timed, pipeline.enabled, pipeline.LEAD))
        else:
            pipelines[pipeline.name], sources[pipeline.name] = pipeline, file
    ordered = tuple(pipelines[name] for name in sorted(pipelines))
    return Loaded(folder, environment, ordered, tuple(sorted(bad, key=lambda one: (str(one.file), one.name))), sources)


def _shown(folder: Path, file: Path) -> Path:
    """A file as problems name it: from the folder's parent, `pipelines/orders.yaml`."""
    return file.relative_to(folder.parent)


def slug(text: str) -> str:
    """A pipeline's name made of any text: `Prod_Orders` → `prod-orders`."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:MAX_NAME].strip("-.") or "unnamed"


def _load_file(
    folder: Path, file: Path, environment: Environment, defaults: dict[Path, Document | list[Problem]]
) -> Iterator[Pipeline | BadFile]:
    shown = _shown(folder, file)
    try:
        document = read_yaml(file, shown)
    except BadYamlError as error:
        yield BadFile(shown, slug(file.stem), tuple(error.problems), *_salvaged(file))
        return
    problems: list[Problem] = []
    for level in _levels(folder, file):
        if level not in defaults:
            defaults[level] = _read_defaults(level / DEFAULTS, _shown(folder, level / DEFAULTS))
    # the nearest is laid on first, so that the file's own values stay on top
    under = [defaults[level] for level in reversed(_levels(folder, file))]
    kind = _kind([document, *(one for one in under if isinstance(one, Document))])
    for one in under:
        if isinstance(one, Document):
            document = merged(_of_kind(one, kind), document)
        else:
            problems += one
    model = kinds().get(kind)
    if "tables" in document.data and (model is None or fans_out(model)):
        tables, wrong = _tables(document, shown)
        problems += wrong
        stem = file.stem
        for table in tables if not problems else [""]:
            yield _one(
                document, shown, environment, problems, f"{stem}-{slug(table)}" if table else stem, table, folder.parent
            )
        return
    yield _one(document, shown, environment, problems, file.stem, "", folder.parent)


def _kind(documents: Sequence[Document]) -> str:
    """The kind of a file: its own word, else that of the nearest defaults."""
    for document in documents:
        if "kind" in document.data:
            return str(document.data["kind"])
    return DEFAULT_KIND


def _of_kind(defaults: Document, kind: str) -> Document:
    """Defaults without the keys that only other kinds have: a folder's defaults serve all kinds in it."""
    if kind not in kinds():
        return defaults
    others = {key for name, model in kinds().items() if name != kind for key in model.model_fields}
    foreign = others - set(kinds()[kind].model_fields)
    return Document({key: value for key, value in defaults.data.items() if key not in foreign}, defaults.marks)


def _one(
    document: Document,
    shown: Path,
    environment: Environment,
    problems: list[Problem],
    name: str,
    table: str,
    include: Path,
) -> Pipeline | BadFile:
    """One pipeline of a file; `table` when the file has `tables:`. `include` is the folder beside that of the pipelines."""
    words = {"table": table} if table else {}
    data, wrong = environment.fill(document, words, shown)
    problems = problems + wrong
    if table:
        del data["tables"]
        data["table"] = table
        if isinstance(document.data.get("name"), str):
            data["name"] = document.data["name"].replace("{table}", slug(table))
    data.setdefault("name", name)
    if data["name"] is None:
        data["name"] = name
    pipeline, found = check_pipeline(data, document, shown)
    if pipeline is not None:
        pipeline.lies_in(include)
        found += _wrong_files(pipeline, document, shown)
    unfilled = {problem.field for problem in wrong}
    problems += [problem for problem in found if problem.field not in unfilled]
    if pipeline is not None and not problems:
        return pipeline
    wanted = data["name"] if isinstance(data["name"], str) else name
    model = kinds().get(str(data.get("kind", DEFAULT_KIND)), Pipeline)
    section = data.get(model.TIMED) if model.TIMED else data
    section = section if isinstance(section, dict) else {}
    schedule, timezone = section.get("schedule"), section.get("timezone", "UTC")
    return BadFile(
        shown, slug(wanted), tuple(dict.fromkeys(problems)), schedule if isinstance(schedule, str) else None,
        timezone if isinstance(timezone, str) else "UTC", data.get("enabled") is not False, model.LEAD,
    )  # fmt: skip


def _wrong_files(pipeline: Pipeline, document: Document, shown: Path) -> list[Problem]:
    problems = []
    for path, rule in wrong_files(pipeline, pipeline.include) if pipeline.include else ():
        mark = document.mark(path)
        problems.append(Problem(mark.file if mark else shown, mark.line if mark else None, dotted(path), rule))
    return problems


def _levels(folder: Path, file: Path) -> list[Path]:
    """The folders from the top to the file's own that have a defaults.yaml."""
    levels = [folder]
    for part in file.parent.relative_to(folder).parts:
        levels.append(levels[-1] / part)
    return [level for level in levels if (level / DEFAULTS).is_file()]


def _read_defaults(file: Path, shown: Path) -> Document | list[Problem]:
    try:
        document = read_yaml(file, shown)
    except BadYamlError as error:
        return error.problems
    wrong = [key for key in ("name", "table", "tables") if key in document.data]
    problems = []
    for key in wrong:
        mark = document.mark((key,))
        problems.append(
            Problem(shown, mark.line if mark else None, key, "this belongs to one pipeline, not to defaults")
        )
    return problems or document


def _tables(document: Document, shown: Path) -> tuple[list[str], list[Problem]]:
    """The names under `tables:`."""
    tables = document.data["tables"]
    mark = document.mark(("tables",))
    line = mark.line if mark else None

    def problem(rule: str, example: str = "tables: [orders, customers]") -> tuple[list[str], list[Problem]]:
        return [], [Problem(shown, line, "tables", rule, example)]

    if "table" in document.data:
        return problem("give either table or tables")
    if not isinstance(tables, list) or not tables or not all(isinstance(one, str) for one in tables):
        return problem("it must be a list of tables' names, with at least one")
    if len(tables) > MAX_TABLES:
        return problem(f"it has more than {MAX_TABLES:,} names; use several files")
    if len(set(tables)) != len(tables):
        return problem("a name is there twice")
    name: Any = document.data.get("name")
    if len(tables) > 1 and isinstance(name, str) and "{table}" not in name:
        return [], [
            Problem(shown, line, "name", "with tables it must hold {table}", f'name: "{dotted((name,))}-{{table}}"')
        ]
    return tables, []


_SCHEDULE = re.compile(r"^\s+schedule:\s*[\"']?([^\"'#\n]+?)[\"']?\s*(?:#.*)?$", re.MULTILINE)


def _salvaged(file: Path) -> tuple[str | None]:
    """The first schedule that stands in a file that is no valid YAML, so that its night is red at the usual time."""
    try:
        found = _SCHEDULE.search(file.read_text(errors="replace"))
    except OSError:
        return (None,)
    return (found[1].strip() if found else None,)
