"""Values are made while others are used: in order, few at a time, errors where they belong, and nothing goes on behind one's back."""

import threading
from collections.abc import Iterator

import pytest

from tablekeep.engine.ahead import ahead


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "ahead"]


def test_the_same_values_in_the_same_order() -> None:
    assert list(ahead(range(1000))) == list(range(1000))
    assert list(ahead([])) == []
    assert threads() == []


def test_an_error_comes_where_the_next_value_would() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("third")

    values = ahead(failing())
    assert [next(values), next(values)] == [1, 2]
    with pytest.raises(LookupError, match="third"):
        next(values)
    assert threads() == []


def test_at_most_two_values_wait() -> None:
    made = threading.Semaphore(0)
    count = 0

    def counting() -> Iterator[int]:
        nonlocal count
        for one in range(100):
            count += 1
            made.release()
            yield one

    values = ahead(counting())
    assert next(values) == 0
    for _ in range(3):  # the one in use, the one that waits, the one that its maker holds
        assert made.acquire(timeout=10)
    assert not made.acquire(timeout=0.5)
    assert count == 3
    values.close()


def test_whoever_leaves_early_closes_the_source_and_ends_the_thread() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    values = ahead(endless())
    next(values)
    assert threads() == ["ahead"]
    values.close()
    assert closed.is_set()
    assert threads() == []


def test_an_error_of_the_user_ends_it_too() -> None:
    with pytest.raises(ZeroDivisionError):
        sum(1 // one for one in ahead(range(1000)))
    assert threads() == []
