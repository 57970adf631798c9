"""One thread that works ahead, or lags behind, with little waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def overlapped(
    step: Callable[[Given], Made], items: Iterable[Given], *, ahead: int,
    size: Callable[[Given], int], limit: int,
) -> Iterator[Made]:  # fmt: skip
    """Map in one thread, in order, with a bounded number of results waiting.

    An item above the limit is worked on alone and in the calling thread: large blocks that one
    thread has freed are of no use to another, so memory would be held twice.

    Args:
        step: the function.
        items: taken one by one from the calling thread.
        ahead: items that may be under way or wait beyond the one asked for.
        size: weight of an item.
        limit: summed weight of the items that may be under way or wait.
    """
    with ThreadPoolExecutor(1) as pool:
        pending: deque[tuple[int, Future[Made]]] = deque()
        for item in items:
            weight = size(item)
            while pending and weight + sum(one for one, _ in pending) > limit:
                yield pending.popleft()[1].result()
            if weight > limit:
                yield step(item)
                continue
            pending.append((weight, pool.submit(step, item)))
            if len(pending) > ahead:
                yield pending.popleft()[1].result()
        while pending:
            yield pending.popleft()[1].result()
