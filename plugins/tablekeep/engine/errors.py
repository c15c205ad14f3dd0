"""The errors of the engine. The family is chosen where an error is raised; callers decide by family alone.

permanent: the same call fails again (bad input, a missing permission) · transient: may succeed later ·
throttled: transient, and slower is better · integrity: data differs from what it must be; never retried, never ignored.
"""

from typing import Any


class TablekeepError(Exception):
    """What failed, for which thing, why, and what to do next.

    :param what: the action that failed, as a phrase ("the export of table orders").
    :param why: the cause, with the figure or the service's error code. Never item contents, key values or secrets.
    :param todo: the next step for the person who reads it; empty only where there is none.
    """

    exit_code = 1

    def __init__(self, what: str, why: str, todo: str = "") -> None:
        self.what, self.why, self.todo = what, why, todo
        super().__init__(what, why, todo)

    def __reduce__(self) -> Any:
        """Errors travel between processes, whatever arguments their class takes."""
        return _again, (type(self), self.what, self.why, self.todo)

    def __str__(self) -> str:
        text = f"{self.what}: {self.why.rstrip('.')}."
        return f"{text} {self.todo.rstrip('.')}." if self.todo else text

    @property
    def family(self) -> str:
        """`permanent`, `transient`, `throttled` or `integrity`."""
        return "permanent"

    def as_dict(self) -> dict[str, str]:
        """The error as it stands in a `--json` document and in records."""
        return {
            "error": type(self).__name__,
            "family": self.family,
            "what": self.what,
            "why": self.why,
            "todo": self.todo,
        }


def _again(kind: type[TablekeepError], what: str, why: str, todo: str) -> TablekeepError:
    error = kind.__new__(kind)
    TablekeepError.__init__(error, what, why, todo)
    return error


class PermanentError(TablekeepError):
    """Trying again cannot help."""


class BadInputError(PermanentError):
    """What the caller asked for is not possible as asked; nothing was changed. Exit code 2."""

    exit_code = 2


class TransientError(TablekeepError):
    """May succeed when tried again: a busy lease, a lost connection, a service's 5xx."""

    @property
    def family(self) -> str:
        return "transient"


class ThrottledError(TransientError):
    """The service asked for less; try again later and slower."""

    @property
    def family(self) -> str:
        return "throttled"


class IntegrityError(TablekeepError):
    """Data is not what it must be: a damaged part, an edited manifest, a count that does not add up."""

    @property
    def family(self) -> str:
        return "integrity"
