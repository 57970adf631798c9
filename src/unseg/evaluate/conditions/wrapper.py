"""What conditions made of another condition share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.samples import Sample
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.problem import Problem

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
        inner = self._condition.identity()
        own = {k: v for k, v in super().settings().items() if k not in HIDDEN}
        return {**own, "condition": inner}

    @staticmethod
    def masked(sample: Sample, mask: NDArray[np.bool_], problem: Problem) -> Sample:
        """A sample whose noise goes elsewhere while its truth stays.

        Args:
            sample: clean.
            mask: (H, W); where the noise is to be.
            problem: what the victim learns.
        """
        # The mask may be the truth itself: write it down as labels before it is replaced.
        is_truth = sample.labels is None and problem.kind == "semantic"
        labels = sample.class_map if is_truth else sample.labels
        return replace(sample, mask=mask, labels=labels)

    def apply(self, sample: Sample, seed: int) -> NDArray[np.uint8]:
        return self._condition.apply(sample, seed)
