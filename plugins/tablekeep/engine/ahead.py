"""Makes the next piece of work while the last one is used."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(source: Iterable[T]) -> Generator[T, None, None]:
    """The same values in the same order, made in a thread of their own: besides the one in use at most two are there.

    An error of the source arrives where its next value would. Whoever leaves off early waits until the source has made the value that
    it is at; then the source is closed.
    """
    ready: queue.Queue[object] = queue.Queue(1)
    left = threading.Event()
    errors = list[BaseException]()

    def hand(value: object) -> bool:
        while not left.is_set():
            try:
                ready.put(value, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        values = iter(source)
        try:
            for value in values:
                if not hand(value):
                    break
        except BaseException as error:
            errors.append(error)
        finally:
            if isinstance(values, Generator):
                values.close()
            hand(_END)

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while (value := ready.get()) is not _END:
            yield value  # type: ignore[misc]
        if errors:
            raise errors[0]
    finally:
        left.set()
        maker.join()
