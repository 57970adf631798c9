"""Autoregressive noise, filled region by region with the process of the region's class."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unseg.errors import UnsegError
from unseg.evaluate.conditions.classwise import ClassWise
from unseg.noise import Budget

MARGIN = 4
"""Rows and columns at the start of a window that are thrown away with the random start."""

TRIES = 10_000


def run_process(
    coefficients: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Continue a random start by a process without innovation.

    Every value is the weighted sum of the eight others in the 3x3 window whose lower right corner
    it is: ``x[i, j] = sum(coefficients[a, b] * x[i - 2 + a, j - 2 + b])``.

    Args:
        coefficients: (3, 3), the last is not used.
        start: (n, P, P); its first two rows and columns are kept.

    Returns:
        (n, P, P).
    """
    from scipy.signal import lfilter

    x = start.copy()
    side = x.shape[-1]
    recursion = [1.0, -coefficients[2, 1], -coefficients[2, 0]]
    for i in range(2, side):
        above = sum(
            coefficients[a, b] * x[:, i - 2 + a, b : side - 2 + b]
            for a in range(2)
            for b in range(3)
        )
        # The two values on the left of column 2, as lfilter wants its state.
        first, second = x[:, i, 1], x[:, i, 0]
        state = np.stack(
            [coefficients[2, 1] * first + coefficients[2, 0] * second, coefficients[2, 0] * first],
            axis=-1,
        )
        x[:, i, 2:] = lfilter([1.0], recursion, above, axis=-1, zi=state)[0]
    return x


@lru_cache(maxsize=256)
def find_process(seed: int, side: int) -> NDArray[np.float64]:
    """Coefficients of a process that neither dies out nor explodes in a window.

    Drawn at random with sum one, as the authors do, until one suits.

    Args:
        seed: of the draw.
        side: of the window, start included.

    Returns:
        (3, 3), the last is 0.
    """
    rng = np.random.default_rng(seed)
    start = rng.standard_normal((4, side, side))
    for _ in range(TRIES):
        coefficients = rng.standard_normal((3, 3))
        coefficients[2, 2] = 0
        coefficients /= coefficients.sum()
        if np.abs(coefficients).max() > 2:
            continue
        made = run_process(coefficients, start)[:, MARGIN:, MARGIN:]
        half = made.shape[-1] // 2
        early, late = made[:, :half, :half].std(), made[:, half:, half:].std()
        if np.isfinite(late) and 0.5 < late / early < 2 and made.std((1, 2)).min() > 0.1:
            return coefficients
    raise UnsegError(
        f"ar: found no stable process for windows of {side} in {TRIES} draws: use smaller ones"
    )


class Autoregressive(ClassWise):
    """A 3x3 autoregressive process a class and channel, run in windows from random starts.

    After Sandoval-Segura et al., "Autoregressive perturbations for data poisoning" (arXiv
    2206.03693): inside a window every value follows from its neighbours by the class's fixed
    weights, so one convolution that knows them answers 0 on that class alone.

    Args:
        side: of the grid along the image's long side; noise finer than the victim's work size is
            averaged away by its loader.
        window: side of a window that is filled at once, in cells.
        budget: the bound, in 8-bit steps.
    """

    name = "ar"
    summary = "autoregressive noise, coefficients per class, filled region by region (AR)"

    def __init__(self, *, side: int = 256, window: int = 32, budget: Budget = Budget()) -> None:
        if window < 4:
            raise UnsegError(f"ar's window is {window}: give at least 4")
        super().__init__(budget=budget)
        self.side, self.window = side, window

    def coefficients(self, number: int, channel: int) -> NDArray[np.float64]:
        """(3, 3) weights of a class and channel."""
        seed = self._seed * 1_000_003 + number * 3 + channel
        return find_process(seed, self.window + MARGIN)

    def field(self, number: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
        scale = self.side / max(size)
        rows, columns = (-(-max(1, round(s * scale)) // self.window) for s in size)
        shape = (rows * columns, self.window + MARGIN, self.window + MARGIN)
        channels = []
        for channel in range(3):
            start = torch.randn(shape, generator=rng, dtype=torch.float64).numpy()
            made = run_process(self.coefficients(number, channel), start)[:, MARGIN:, MARGIN:]
            made /= np.abs(made).max(axis=(1, 2), keepdims=True)
            grid = made.reshape(rows, columns, self.window, self.window).swapaxes(1, 2)
            channels.append(grid.reshape(rows * self.window, columns * self.window))
        height, width = (max(1, round(s * scale)) for s in size)
        cells = torch.from_numpy(np.stack(channels)[:, :height, :width]).float()
        return F.interpolate(cells[None], size, mode="nearest")[0]
