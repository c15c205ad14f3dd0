"""Spending capacity units at a set rate, and reading that rate from a pipeline's `read_budget`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.errors import BadInputError


class Cell(Protocol):
    """Two numbers (balance, time of the last filling) under a lock: a list of this process, or memory that processes share
    (`multiprocessing.Array("d", 2)`)."""

    def get_lock(self) -> Any: ...

    def __getitem__(self, index: int, /) -> float: ...

    def __setitem__(self, index: int, value: float, /) -> None: ...


class _OwnCell(list[float]):
    def __init__(self) -> None:
        super().__init__((0.0, 0.0))
        self._lock = threading.Lock()

    def get_lock(self) -> Any:
        return self._lock


class TokenBucket:
    """Capacity units at `rate_per_second`, bursts limited to one second's worth; safe to share between threads, and between
    processes of one machine that are given the same `cell`.

    What a request costs is known only afterwards, so the balance may go below zero by what is in flight; then everybody waits
    until it is positive again. Over any time t the cost is at most rate · (t + 1 s) plus the requests in flight.
    """

    def __init__(self, rate_per_second: float, clock: Clock, cell: Any = None) -> None:
        if not rate_per_second > 0:
            raise BadInputError(
                "setting a budget",
                f"{rate_per_second} units a second is not more than zero",
                "give a number such as 100",
            )
        self.rate_per_second = float(rate_per_second)
        self._clock = clock
        self._cell: Cell = cell if cell is not None else _OwnCell()
        with self._cell.get_lock():
            if not self._cell[1]:  # nobody has begun
                self._cell[0], self._cell[1] = self.rate_per_second, clock.monotonic() or 1e-9

    def acquire(self, expected: float, sleep: Callable[[float], None] | None = None) -> None:
        """Waits until the balance is positive, then takes `expected` units from it.

        :param expected: the best guess of the cost (0 or more), so that workers that wait together do not all go at once.
        :param sleep: how to wait (seconds); default the clock's.
        """
        wait = sleep or self._clock.sleep
        while True:
            with self._cell.get_lock():
                balance = self._filled()
                if balance > 0:
                    self._cell[0] = balance - expected
                    return
                missing = -balance / self.rate_per_second
            wait(max(missing, 0.001))

    def settle(self, expected: float, actual: float) -> None:
        """Replaces the `expected` cost of an acquired request by the `actual` one."""
        with self._cell.get_lock():
            self._cell[0] = min(self.rate_per_second, self._filled() + expected - actual)

    def _filled(self) -> float:
        now = self._clock.monotonic()
        balance = min(self.rate_per_second, self._cell[0] + (now - self._cell[1]) * self.rate_per_second)
        self._cell[0], self._cell[1] = balance, now
        return balance


@dataclass(frozen=True, slots=True)
class Budget:
    """Read capacity units a second, and a sentence that says where the figure comes from."""

    rcu: float
    explanation: str


def read_budget(settings: TableSettings, budget: str | float) -> Budget:
    """The rate that a `read_budget` means for this table.

    :param budget: `"25%"` of the table's capacity, or read capacity units a second (`100` or `"100"`).
    :raises BadInputError: when it is neither, not positive, or a percentage of a table whose capacity is not known.
    """
    text = str(budget).strip()
    what = f"reading the read budget {text!r} of table {settings.table}"
    example = 'give a percentage such as "25%", or read capacity units a second such as 100'
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise BadInputError(what, "it is not a number", example) from None
    if not 0 < number < 1e9:
        raise BadInputError(what, "it is not more than zero", example)
    if not text.endswith("%"):
        return Budget(number, f"{number:g} RCU a second, as given")
    if number > 100:
        raise BadInputError(what, "it is more than 100%", example)
    base, source = _read_capacity(settings)
    if base is None:
        raise BadInputError(
            what,
            "the table is on demand and neither a maximum nor its warm throughput is known",
            "give a number such as 100",
        )
    rcu = base * number / 100
    return Budget(rcu, f"{rcu:g} RCU a second: {number:g}% of {base:g} ({source})")


def _read_capacity(settings: TableSettings) -> tuple[float | None, str]:
    if settings.capacity is not None:
        return float(settings.capacity[0]), "provisioned read capacity"
    description = settings.description
    most = (description.get("OnDemandThroughput") or {}).get("MaxReadRequestUnits", -1)
    if most > 0:
        return float(most), "MaxReadRequestUnits of the on-demand table"
    warm = (description.get("WarmThroughput") or {}).get("ReadUnitsPerSecond", 0)
    if warm > 0:
        return float(warm), "warm throughput of the on-demand table"
    return None, ""
