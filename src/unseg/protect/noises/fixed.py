"""Noise that a caller has made already: hand-made patterns of the evaluation, one image each."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from unseg.protect.noises.base import NoiseSource
from unseg.protect.view import View


class FixedNoise(NoiseSource):
    """The same field for whatever is asked.

    Args:
        field: (3, h, w), float, in [-1, 1].
    """

    name = "fixed"
    summary = "noise made beforehand"

    def __init__(self, field: Tensor) -> None:
        self.field = field

    def fields(self, views: Sequence[View]) -> list[Tensor]:
        return [self.field for _ in views]
