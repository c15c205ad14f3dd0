"""The DAG of `kind: script`: `run__<name>`."""

from tablekeep.dag_steps import step_makers as makers

__all__ = ["makers"]
