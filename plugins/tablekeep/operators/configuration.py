"""The task of a DAG whose pipeline file is wrong."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException


class ConfigurationErrorOperator(BaseOperator):
    """Fails at once with what is wrong with the file, so that the missing backup is seen.

    :param message: file, line, field, rule and example, one problem a line.
    """

    def __init__(self, *, message: str, **more: Any) -> None:
        super().__init__(**more)
        self.message = message

    def execute(self, context: Mapping[str, Any]) -> None:
        raise AirflowFailException(f"nothing was backed up, for the pipeline's file is wrong:\n{self.message}")
