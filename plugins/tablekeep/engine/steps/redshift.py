"""SQL steps on Redshift: over the Data API, which binds parameters and runs several statements as one transaction."""

from collections.abc import Mapping, Sequence

from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.redshift_api import MAX_STATEMENTS, Address, DataApi
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.steps.sql import Bound
from tablekeep.engine.steps.statements import Dialect, Statement


class RedshiftDatabase:
    """:param clients: of the warehouse's Region."""

    dialect: Dialect = "redshift"

    def __init__(self, clients: Clients, address: Address) -> None:
        self._clients, self._address = clients, address

    @property
    def address(self) -> str:
        return self._address.text

    def run(
        self, statements: Sequence[Statement], values: Mapping[str, Bound], *, deadline: float | None, clock: Clock
    ) -> list[int | None]:
        what = f"running SQL in {self.address}"
        if len(statements) > MAX_STATEMENTS:
            raise BadInputError(
                what,
                f"there are {len(statements)} statements, and Redshift takes {MAX_STATEMENTS} at a time",
                "make two steps",
            )
        missing = sorted(name for name, value in values.items() if value is None or value == "")
        if missing:
            raise BadInputError(
                what,
                f"the parameter {missing[0]} is {'null' if values[missing[0]] is None else 'empty'}, which the Data API cannot bind",
                "write NULL or '' in the SQL",
            )
        api = DataApi(self._clients, self._address, clock, what)
        texts = [statement.text(lambda name: f":{name}") for statement in statements]
        bound = [{name: _text(values[name]) for name in statement.parameters} for statement in statements]
        if all(one == bound[0] for one in bound):
            parts = api.run(texts, parameters=bound[0], deadline=deadline)
        else:  # a parameter that a statement of a batch does not use is an error
            parts = []
            with api.transaction():
                for text, parameters in zip(texts, bound, strict=True):
                    parts += api.run([text], parameters=parameters, deadline=deadline)
        return [_rows(part.get("ResultRows")) for part in parts]


def _text(value: Bound) -> str:
    """The Data API takes parameters as text, and gives them the type that the statement needs."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _rows(count: int | None) -> int | None:
    return count if count is not None and count >= 0 else None
