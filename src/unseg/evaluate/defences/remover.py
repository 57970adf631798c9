"""A remover trained on pairs made with the public generator and another key than the owner's."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from unseg.datasets.samples import Sample, to_tensor
from unseg.evaluate.conditions.build import shared_generator
from unseg.evaluate.conditions.unseg import Target, Unseg, fingerprint
from unseg.evaluate.defences.learned import Restoring
from unseg.evaluate.problem import Problem
from unseg.key import Key
from unseg.models.generator import NoiseGenerator
from unseg.noise import Budget
from unseg.protect.noises.generator import NoiseModel

KEY = Key.of_text("a trainer's own")
"""What the trainer draws the textures with, for want of the owner's key."""
PHOTOGRAPHS = Problem("semantic", ("region",))
"""What the trainer's own photographs show: parts, each a label."""


class Remover(Restoring):
    """A trainer who has the generator protects other photographs and learns the way back.

    Every other photograph is protected as one union, the rest class by class, some silent.

    Args:
        model: the public generator: a name or a .safetensors file. Its checksum is the setting.
        source: a generator in memory, in place of ``model``.
        foreground, background: the bound that the trainer guesses, in 8-bit steps.
        images: largest number of clean photographs; noise takes a second for each.
        settings: of :class:`Restoring`.
    """

    name = "remover"
    summary = "network trained on pairs made with the public generator and another key"

    def __init__(
        self,
        *,
        model: str = "default",
        source: NoiseModel | None = None,
        foreground: float = 8.0,
        background: float = 2.0,
        images: int = 60,
        **settings: Any,
    ) -> None:
        super().__init__(images=images, **settings)
        self._source: NoiseModel
        if source is None:
            self._source, self.generator_id = shared_generator(model)
        else:
            self._source, self.generator_id = source, fingerprint(source)
        if isinstance(self._source, NoiseGenerator):
            # A copy on the same weights: the owner's side keeps its own key.
            self._source = copy.copy(self._source)
            self._source.key = KEY
        self.foreground, self.background = foreground, background

    def inputs(self, samples: Sequence[Sample]) -> list[Tensor]:
        budget = Budget(self.foreground, self.background)
        targets: tuple[Target, ...] = ("union", "class")
        conditions = [Unseg(self._source, target=target, budget=budget) for target in targets]
        for condition in conditions:
            condition.prepare(samples, PHOTOGRAPHS, 0)
        return [
            to_tensor(conditions[i % len(conditions)].apply(sample, seed=0))
            for i, sample in enumerate(samples)
        ]
