"""Ours without an owner's masks: what ``unseg protect`` does when no ``--masks`` are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.wrapper import Wrapper
from unseg.evaluate.problem import Problem
from unseg.evaluate.samples import Sample, mapped, to_tensor
from unseg.protect.sources import MaskProposer


class Proposed(Wrapper):
    """A condition inside proposed masks. The victim still learns the true ones.

    Args:
        condition: what is applied.
        proposer: finds the foreground; where it finds none, the whole image is.
    """

    name = "proposed"
    summary = "NAME-proposed: masks proposed by the base SAM, as without --masks"

    def __init__(self, condition: Condition, proposer: MaskProposer) -> None:
        super().__init__(condition)
        self.costly = True
        self._proposer = proposer

    @property
    def label(self) -> str:
        return f"{self._condition.label}-proposed"

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        masked = mapped(samples, lambda sample: self.masked(sample, self._mask(sample), problem))
        return self._condition.publish(masked, problem, seed)

    def _mask(self, sample: Sample) -> NDArray[np.bool_]:
        found = self._proposer.propose(to_tensor(sample.image)).mask
        return found if found.any() else np.ones_like(found)
