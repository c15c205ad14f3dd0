"""Waiting: full-jitter backoff with a limit without progress, one brake for all workers, and a stop that ends every wait."""

import threading
from collections import deque
from collections.abc import Callable

from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.wire import WireThrottled
from tablekeep.engine.errors import ThrottledError, TransientError

BASE_SECONDS = 0.1
LONGEST_SECONDS = 20.0
NO_PROGRESS_SECONDS = 600.0
SLICE_SECONDS = 0.25
NOTE_EVERY = 6
"""Failures in a row after which a person is told; at 6 the waits add up to a few seconds."""


class Halted(Exception):
    """Raised in a worker whose work is called off; never leaves the package."""


class Halt:
    """One worker's failure stops all: every wait of the others ends within a quarter of a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = threading.Event()

    def set(self) -> None:
        """Calls the work off."""
        self._event.set()

    @property
    def called(self) -> bool:
        """Whether the work is called off."""
        return self._event.is_set()

    def check(self) -> None:
        """:raises Halted: when the work is called off."""
        if self._event.is_set():
            raise Halted

    def sleep(self, seconds: float) -> None:
        """:raises Halted: when the work is called off meanwhile."""
        while seconds > 0:
            self.check()
            self._clock.sleep(min(seconds, SLICE_SECONDS))
            seconds -= SLICE_SECONDS
        self.check()


class Brake:
    """A moment before which no worker sends: a throttled table slows all of them, a hot key only its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until = clock.monotonic()

    def hold(self, seconds: float) -> None:
        """Nobody sends for `seconds` from now."""
        with self._lock:
            self._until = max(self._until, self._clock.monotonic() + seconds)

    def wait(self, sleep: Callable[[float], None]) -> None:
        """Waits by `sleep` until the brake is off."""
        while True:
            with self._lock:
                rest = self._until - self._clock.monotonic()
            if rest <= 0:
                return
            sleep(rest)


class Causes:
    """Tells a person each cause of throttling once.

    :param note: told it (`Progress.note`).
    """

    def __init__(self, table: str, note: Callable[[str], None]) -> None:
        self._table, self._note = table, note
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def tell(self, error: WireThrottled) -> None:
        """Tells the causes that the error names and none before did."""
        with self._lock:
            new = [reason for reason in error.reasons if reason not in self._told]
            self._told.update(new)
        for reason in new:
            self._note(f"table {self._table} is throttled: {reason}")


class Width:
    """How many requests at a time keep one processor busy: the shortest time in which one was answered over the mean of what it costs
    here. More of them would only wait for each other, and make each dearer by a third (measured on a server that answers at once).

    :param most: never more than this. :ivar now: the width by what was measured last; 1 before anything was.
    """

    KEPT = 32

    def __init__(self, most: int) -> None:
        self._most, self.now = most, 1
        self._lock = threading.Lock()
        self._measured: deque[tuple[float, float]] = deque(maxlen=self.KEPT)

    def measured(self, wall: float, cpu: float) -> None:
        """One request took `wall` seconds, of which this thread worked `cpu` seconds."""
        with self._lock:
            self._measured.append((wall, cpu))
            shortest = min(one for one, _ in self._measured)
            mean = sum(one for _, one in self._measured) / len(self._measured)
            self.now = max(1, min(self._most, round(shortest / mean))) if mean > 0 else self._most


class Backoff:
    """How long to wait before the same request is sent again: uniform in [0, min(20 s, 0.1 s · 2ⁿ)], n counting failures since
    the last progress.

    :param what: the action, for the error.
    :param no_progress_seconds: the longest time from a first failure without progress to giving up.
    :param note: told when failures persist (`Progress.note`).
    """

    def __init__(
        self,
        what: str,
        clock: Clock,
        no_progress_seconds: float = NO_PROGRESS_SECONDS,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._what, self._clock, self._limit, self._note = what, clock, no_progress_seconds, note
        self._failures = 0
        self._since: float | None = None

    def progressed(self) -> None:
        """Something moved: the next failure is a first one again."""
        self._failures, self._since = 0, None

    def delay(self, error: TransientError) -> float:
        """Seconds to wait after `error`.

        :raises ThrottledError, TransientError: when the limit without progress is reached; names the last cause.
        """
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        if now - self._since >= self._limit:
            why = f"no progress in {now - self._since:.0f} seconds and {self._failures} attempts; the last answer: {error.why}"
            if isinstance(error, ThrottledError):
                reasons = error.reasons if isinstance(error, WireThrottled) else ()
                if reasons:
                    why += f" (reasons: {', '.join(reasons)})"
                raise WireThrottled(
                    self._what, why, "raise the table's capacity or its limits, or run it later", reasons
                ) from None
            raise TransientError(
                self._what, why, "check the network and the service's health, then run it again"
            ) from None
        ceiling = min(LONGEST_SECONDS, BASE_SECONDS * 2.0 ** min(self._failures, 30))
        self._failures += 1
        if self._failures % NOTE_EVERY == 0:
            self._note(f"{self._what}: {self._failures} attempts failed, still trying; the last answer: {error.why}")
        return ceiling * int(self._clock.token(4), 16) / 2**32
