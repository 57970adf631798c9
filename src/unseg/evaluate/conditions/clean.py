"""No noise: the reference every other condition is divided by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.samples import Sample
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.problem import Problem


class Clean(Condition):
    """The images as they are."""

    name = "clean"
    summary = "no noise: the reference"
    seeded = False

    def settings(self) -> dict[str, Any]:
        # The budget has no effect, so it must not make two keys of one result.
        return {}

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        return samples

    def apply(self, sample: Sample, seed: int) -> NDArray[np.uint8]:
        return sample.image
