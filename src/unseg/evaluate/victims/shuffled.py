"""Training photographs in an endless random order: on the device once, or read ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets.samples import LazySamples, Sample
from unseg.evaluate.victims.resident import Stack

T = TypeVar("T")

AHEAD = 32
"""How many lazy samples are read before they are asked for, by threads."""


@dataclass(frozen=True)
class Taken(Generic[T]):
    """One photograph of the order.

    Args:
        number: of its sample.
        shape: (height, width) at the work size.
        truth: what belongs to it.
        pixels: (H, W, C) uint8, where they do not lie on the device already.
    """

    number: int
    shape: tuple[int, int]
    truth: T
    pixels: NDArray[np.uint8] | None = None


class Photographs(Generic[T]):
    """Every sample once before any comes again.

    Samples in memory are prepared once, and their pixels stay on the device as bytes. Lazy ones are
    read and prepared each time, by threads that run ahead; the order is the same.

    Args:
        samples: training samples.
        prepare: from a sample to (H, W, C) uint8 pixels at the work size and what belongs to them;
            draws nothing at random.
        rng: of the order.
        device: where crops are made.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        prepare: Callable[[Sample], tuple[NDArray[np.uint8], T]],
        rng: np.random.Generator,
        device: torch.device,
    ) -> None:
        self._samples, self._prepare, self._rng, self._device = samples, prepare, rng, device
        self._order: list[int] = []
        self._coming: deque[Future[Taken[T]]] = deque()
        lazy = isinstance(samples, LazySamples)
        self._pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1)) if lazy else None
        self._held: list[Taken[T]] = []
        if not lazy:
            read = [self._read(number) for number in range(len(samples))]
            self._stack = _stacked(read, device)
            self._held = [Taken(one.number, one.shape, one.truth) for one in read]

    def take(self, count: int) -> list[Taken[T]]:
        """The next photographs."""
        return [self._next() for _ in range(count)]

    def crops(
        self, taken: Sequence[Taken[T]], matrices: NDArray[np.float64], side: int, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """Crops of photographs that were taken; arguments and answer as :meth:`Stack.crops`."""
        if self._held:
            numbers = np.array([one.number for one in taken])
            return self._stack.crops(numbers, matrices, side, **options)
        stack = _stacked(taken, self._device)
        return stack.crops(np.arange(len(taken)), matrices, side, **options)

    def _next(self) -> Taken[T]:
        if not self._order:
            self._order = self._rng.permutation(len(self._samples)).tolist()
        if self._pool is None:
            return self._held[self._order.pop()]
        while len(self._coming) < min(AHEAD, len(self._order)):
            self._coming.append(self._pool.submit(self._read, self._order[-1 - len(self._coming)]))
        self._order.pop()
        return self._coming.popleft().result()

    def _read(self, number: int) -> Taken[T]:
        pixels, truth = self._prepare(self._samples[number])
        return Taken(number, (pixels.shape[0], pixels.shape[1]), truth, pixels)


def _stacked(taken: Sequence[Taken[Any]], device: torch.device) -> Stack:
    return Stack([one.pixels for one in taken if one.pixels is not None], device)
