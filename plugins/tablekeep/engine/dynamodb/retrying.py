"""Trying again what the service refused for now: with jitter, with a bound, and never what cannot succeed."""

import random
from collections.abc import Callable
from typing import TypeVar

from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import ThrottledError, TransientError

T = TypeVar("T")
NO_PROGRESS_SECONDS = 600.0
"""After so long without one success a run stops and says so; it does not wait for ever."""
FIRST_DELAY, LONGEST_DELAY = 0.1, 20.0


def backoff(attempt: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds to wait before try `attempt` + 1 (attempt counts from 0): full jitter over a doubling ceiling."""
    ceiling: float = min(LONGEST_DELAY, FIRST_DELAY * 2**attempt)
    return ceiling * jitter()


def until_progress(action: Callable[[], T], clock: Clock, *, limit: float = NO_PROGRESS_SECONDS) -> T:
    """Calls `action` until it returns, while it raises transient errors.

    :raises TransientError: the last one, when `limit` seconds brought no success. Others at once.
    """
    began, attempt = clock.monotonic(), 0
    while True:
        try:
            return action()
        except TransientError as error:
            waited = clock.monotonic() - began
            if waited >= limit:
                kind = ThrottledError if isinstance(error, ThrottledError) else TransientError
                raise kind(
                    error.what,
                    f"{error.why} (no progress for {waited:.0f} s)",
                    "find what limits the table, then run it again",
                ) from error
            clock.sleep(backoff(attempt))
            attempt += 1
