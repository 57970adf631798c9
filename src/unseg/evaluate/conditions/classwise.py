"""Noise that tells a pixel's class: what hand-made noise needs on dense label maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets.samples import VOID, Sample
from unseg.evaluate.conditions.base import HandMade
from unseg.evaluate.problem import Kind, Problem

NOTHING = -1
"""Number of pixels that no class claims."""

REGION_KINDS = 12
"""Regions without a class (interactive problems) share so many numbers, in turn."""


def number_map(sample: Sample, kind: Kind = "semantic") -> NDArray[np.int64]:
    """What class-wise noise tells apart.

    Args:
        sample: its labels decide; without labels its instances' categories do, where 0 is
            everything else; without either its mask, as two classes.
        kind: regions of an interactive problem have no class, so they are numbered themselves.

    Returns:
        (H, W) int64 from 0; :data:`NOTHING` is void.
    """
    if kind == "interactive" and sample.instances is not None:
        regions = sample.instances.astype(np.int64)
        return np.where(regions > 0, (regions - 1) % REGION_KINDS + 1, 0)
    if sample.labels is None and sample.instances is not None and sample.categories is not None:
        table = np.concatenate([[0], sample.categories.astype(np.int64) + 1])
        return table[sample.instances]
    classes = sample.class_map.astype(np.int64)
    return np.where(classes == VOID, NOTHING, classes)


class ClassWise(HandMade):
    """Another noise for every class. Hook: :meth:`field`."""

    _seed = 0
    _problem = Problem("semantic", ("background", "foreground"))

    def prepare(self, samples: Sequence[Sample], problem: Problem, seed: int) -> None:
        self._seed, self._problem = seed, problem

    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        numbers = torch.from_numpy(number_map(sample, self._problem.kind))
        noise = torch.zeros_like(image)
        for number in numbers[numbers != NOTHING].unique().tolist():
            height, width = numbers.shape
            made = self.field(number, (height, width), rng)
            noise = torch.where(numbers == number, made, noise)
        return noise

    @abstractmethod
    def field(self, number: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
        """Noise of one class over a whole frame.

        Args:
            number: of the class, from 0.
            size: height and width of the image.
            rng: of this image; what belongs to the class comes from :meth:`of_class`.

        Returns:
            (3, H, W) float, in [-1, 1].
        """

    def of_class(self, number: int) -> torch.Generator:
        """A generator that depends on the run's seed and the class, not on the image."""
        return torch.Generator().manual_seed(self._seed * 1_000_003 + number)
