"""A budget of capacity units a second, held by what the service says was consumed."""

import threading

from tablekeep.engine.clock import Clock


class TokenBucket:
    """Callers wait until the balance is positive, then `spend` what the call really cost; the balance may go below zero.

    DynamoDB tells a call's cost only afterwards, so this is the shape that holds an average. Thread-safe.

    :param rate: units a second, more than 0. At most one second's worth is saved up.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        if not rate > 0:
            raise ValueError("a budget is more than 0 units a second")
        self.rate = rate
        self._clock = clock
        self._balance = rate
        self._at = clock.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when the balance is positive."""
        while True:
            with self._lock:
                self._refill()
                if self._balance > 0:
                    return
                missing = -self._balance / self.rate
            self._clock.sleep(max(missing, 0.001))

    def spend(self, units: float) -> None:
        """Takes what a call consumed."""
        with self._lock:
            self._refill()
            self._balance -= units

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._balance = min(self.rate, self._balance + (now - self._at) * self.rate)
        self._at = now
