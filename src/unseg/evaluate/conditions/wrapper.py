"""What conditions made of another condition share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.samples import Sample

HIDDEN = ("budget", "seeded", "costly")
"""Attributes that the wrapped condition's own settings decide."""


class Wrapper(Condition):
    """Another condition, applied to a part of what there is. Hook: :meth:`publish`.

    The wrapped condition's name and settings, its budget included, are nested in the settings.

    Args:
        condition: what is applied.
    """

    def __init__(self, condition: Condition) -> None:
        super().__init__(budget=condition.budget)
        self._condition = condition
        self.seeded, self.costly = condition.seeded, condition.costly

    def settings(self) -> dict[str, Any]:
        inner = {"name": self._condition.name, **self._condition.settings()}
        own = {k: v for k, v in super().settings().items() if k not in HIDDEN}
        return {**own, "condition": inner}

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        return self._condition.noise(image, sample, rng)

    def apply(self, sample: Sample, seed: int) -> NDArray[np.uint8]:
        return self._condition.apply(sample, seed)
