"""The bounded thread between stages."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from unseg.protect.pipeline import overlapped


def test_results_come_in_order_while_the_next_is_worked_on() -> None:
    begun = [threading.Event() for _ in range(10)]

    def step(number: int) -> int:
        begun[number].set()
        return number * 2

    results = []
    for result in overlapped(step, range(10), ahead=1, size=lambda _: 1, limit=9):
        results.append(result)
        following = min(len(results), 9)
        assert begun[following].wait(10), "the next item waits for this one's consumer"
    assert results == [n * 2 for n in range(10)]


@pytest.mark.parametrize(("weight", "limit", "most"), [(1, 99, 4), (4, 8, 3), (9, 8, 1)])
def test_no_more_items_are_taken_than_the_limits_allow(weight: int, limit: int, most: int) -> None:
    taken = given = 0
    largest = 0

    def items() -> Iterator[int]:
        nonlocal taken, largest
        for number in range(20):
            taken += 1
            largest = max(largest, taken - given)
            yield number

    for _ in overlapped(lambda n: n, items(), ahead=3, size=lambda _: weight, limit=limit):
        given += 1
    assert given == 20 and largest == most


def test_a_large_item_is_worked_on_in_the_calling_thread() -> None:
    found = list(
        overlapped(
            lambda n: (n, threading.current_thread() is threading.main_thread()),
            [1, 9, 1], ahead=1, size=lambda n: n, limit=5,
        )
    )  # fmt: skip
    assert found == [(1, False), (9, True), (1, False)]


def test_a_failing_step_is_raised_to_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(overlapped(lambda n: 1 // n, [1, 0], ahead=1, size=lambda _: 1, limit=9))
