"""The kinds of pipeline: one module each, which is found by being here.

`kinds/rds_instance.py` is the kind `rds-instance`. It has one class named by `PIPELINE`, made from `base.Pipeline`, whose field
`kind` is `Literal["rds-instance"]`. Its DAGs come from `tablekeep/dag_rds_instance.py` (`dag_factory.py` says how).
Only pydantic and the rules of values are imported here: Airflow reads this each time it parses.
"""

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from tablekeep.engine.config.base import Pipeline

DEFAULT_KIND = "dynamodb"
"""Of a file that names no kind."""


def module_name(kind: str) -> str:
    """The part of modules' names that stands for a kind: `rds_instance` of `rds-instance`."""
    return kind.replace("-", "_")


@functools.cache
def kinds() -> Mapping[str, type[Pipeline]]:
    """All kinds by name, in the order of the alphabet."""
    found: dict[str, type[Pipeline]] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda one: one.name):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        found[module.name.replace("_", "-")] = loaded.PIPELINE
    return found


def fans_out(model: type[Pipeline]) -> bool:
    """Whether a file may say `tables: [a, b]` for a pipeline each: where a pipeline has one `table`, and no `tables` of its own."""
    return "table" in model.model_fields and "tables" not in model.model_fields
