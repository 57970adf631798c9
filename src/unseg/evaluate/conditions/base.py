"""What every condition does: turn a clean training image into another, inside the bound."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets.samples import Sample, mapped, to_array, to_tensor
from unseg.evaluate.problem import Problem
from unseg.evaluate.settings import Configured
from unseg.noise import Budget, compose, quantise


class Condition(Configured):
    """One file a condition. Hook: :meth:`noise`; composition and rounding are shared.

    A condition that must see the whole training set first overrides :meth:`prepare`; one that
    publishes other images than all of them overrides :meth:`publish`.

    Args:
        budget: the bound, in 8-bit steps.
    """

    seeded: bool = True
    """Whether the noise depends on the seed; if not, one protected set serves every seed."""

    costly: bool = False
    """Whether one image takes so long that published images are kept in files."""

    def __init__(self, *, budget: Budget = Budget()) -> None:
        self.budget = budget

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "budget": asdict(self.budget)}

    @property
    def label(self) -> str:
        """Short name in tables and file names; wrappers add what they change."""
        return self.name

    def prepare(self, samples: Sequence[Sample], problem: Problem, seed: int) -> None:
        """Look at the whole clean training set before :meth:`noise` is asked for any image."""

    @abstractmethod
    def noise(self, image: Tensor, sample: Sample, rng: torch.Generator) -> Tensor:
        """Noise for one image.

        Args:
            image: (3, H, W) float, in [0, 255]: the sample's.
            sample: its mask and, where the data has them, labels and instances.
            rng: the only source of randomness allowed here.

        Returns:
            (3, H, W) float, in [-1, 1].
        """

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        """The training set as it is published: clean samples to changed ones, lazily if they are.

        Every process of a run calls it with all samples.
        """
        self.prepare(samples, problem, seed)
        return mapped(samples, lambda sample: replace(sample, image=self.apply(sample, seed)))

    def apply(self, sample: Sample, seed: int) -> NDArray[np.uint8]:
        """The image as it is published: (H, W, 3) uint8, at the original resolution."""
        image = to_tensor(sample.image)
        amplitude = torch.from_numpy(sample.mask).float()[None, None]
        noise = self.noise(image, sample, self.generator(sample, seed))
        moved = compose(image[None], noise[None], amplitude, self.budget)
        return to_array(quantise(moved, image[None], amplitude, self.budget)[0])

    def generator(self, sample: Sample, seed: int) -> torch.Generator:
        """A generator of its own for every image, so that order and subset do not matter."""
        digest = hashlib.sha256(f"{seed}/{sample.name}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
