"""Training samples in an endless random order, prepared once or read ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

from unseg.datasets.samples import LazySamples, Sample

T = TypeVar("T")

AHEAD = 32
"""How many lazy samples are read before they are asked for, by threads."""


class Shuffled(Generic[T]):
    """Every sample once before any comes again.

    Samples in memory are prepared once and held. Lazy ones are read and prepared each time, by
    threads that run ahead; the order is the same.

    Args:
        samples: training samples.
        prepare: from a sample to what a loader draws from; draws nothing at random.
        rng: of the order.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        prepare: Callable[[Sample], T],
        rng: np.random.Generator,
    ) -> None:
        self._samples, self._prepare, self._rng = samples, prepare, rng
        self._order: list[int] = []
        self._coming: deque[Future[T]] = deque()
        lazy = isinstance(samples, LazySamples)
        self._items = None if lazy else [prepare(sample) for sample in samples]
        self._pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1)) if lazy else None

    def __next__(self) -> T:
        if not self._order:
            self._order = self._rng.permutation(len(self._samples)).tolist()
        if self._items is not None:
            return self._items[self._order.pop()]
        assert self._pool is not None
        while len(self._coming) < min(AHEAD, len(self._order)):
            self._coming.append(self._pool.submit(self._read, self._order[-1 - len(self._coming)]))
        self._order.pop()
        return self._coming.popleft().result()

    def _read(self, number: int) -> T:
        return self._prepare(self._samples[number])
