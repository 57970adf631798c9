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

from unseg.datasets.samples import Sample, mapped, to_tensor
from unseg.evaluate.problem import Problem
from unseg.evaluate.settings import Configured
from unseg.images.photo import Photo
from unseg.images.reader import rgb_of
from unseg.masks.regions import Regions
from unseg.noise import Budget
from unseg.protect.core import protect_photo
from unseg.protect.noises.fixed import FixedNoise
from unseg.protect.visibility import Visibility


def photo_of_sample(sample: Sample) -> Photo:
    """The photograph that an owner has: the file's own pixels, grey or of 16 bits where it is."""
    return sample.photo or Photo(sample.image)


class Condition(Configured):
    """One file a condition. Hook: :meth:`apply`, through :func:`unseg.protect.core.protect_photo`.

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
        """Look at the whole clean training set before :meth:`apply` is asked for any image."""

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        """The training set as it is published: clean samples to changed ones, lazily if they are.

        Every process of a run calls it with all samples.
        """
        self.prepare(samples, problem, seed)
        return mapped(
            samples, lambda sample: replace(sample, image=self.apply(sample, seed), photo=None)
        )

    @abstractmethod
    def apply(self, sample: Sample, seed: int) -> NDArray[np.uint8]:
        """The image as it is published: (H, W, 3) uint8, at the original resolution.

        Args:
            sample: clean, with its mask and, where the data has them, labels and instances.
            seed: of conditions that draw at random.
        """


class HandMade(Condition):
    """Noise that no generator makes. Hook: :meth:`noise`; adding it is the core's."""

    visibility: Visibility = "strong"
    """How much of the bound is used, as ``unseg protect --visibility``: the whole of it, unless a
    condition has a setting of its own."""

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

    def apply(self, sample: Sample, seed: int) -> NDArray[np.uint8]:
        made = self.noise(to_tensor(sample.image), sample, self.generator(sample, seed))
        regions = Regions.union(sample.mask)
        photo = photo_of_sample(sample)
        after = protect_photo(photo, regions, [FixedNoise(made)], self.budget, self.visibility)
        return rgb_of(replace(photo, pixels=after.pixels))

    def generator(self, sample: Sample, seed: int) -> torch.Generator:
        """A generator of its own for every image, so that order and subset do not matter."""
        digest = hashlib.sha256(f"{seed}/{sample.name}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
