"""Ours without an owner's masks: proposed ones, or drawn from boxes as ``unseg masks`` does."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.datasets.samples import Sample, mapped, to_tensor
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.wrapper import Wrapper
from unseg.evaluate.problem import Problem
from unseg.protect.sources import BoxReader, MaskProposer


class Proposed(Wrapper):
    """A condition inside proposed masks. The victim still learns the true ones.

    Args:
        condition: what is applied.
        proposer: finds the foreground; where it finds none, the whole image is.
    """

    name = "proposed"
    summary = "NAME-proposed: masks proposed by the base SAM, as with --salience none"

    def __init__(self, condition: Condition, proposer: MaskProposer) -> None:
        super().__init__(condition)
        self.costly = True
        self._proposer = proposer

    @property
    def label(self) -> str:
        return f"{self._condition.label}-{self.name}"

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        masked = mapped(samples, lambda sample: self.masked(sample, self._mask(sample), problem))
        return self._condition.publish(masked, problem, seed)

    def _mask(self, sample: Sample) -> NDArray[np.bool_]:
        found = self._proposer.propose(to_tensor(sample.image)).mask
        return found if found.any() else np.ones_like(found)


class Salient(Proposed):
    """A condition inside what stands out. The victim still learns the true masks.

    Args:
        condition: what is applied.
        proposer: finds the foreground; where it finds none, the whole image is.
    """

    name = "salient"
    summary = "NAME-salient: masks of what stands out, as unseg protect does without --masks"

    def __init__(self, condition: Condition, proposer: MaskProposer) -> None:
        super().__init__(condition, proposer)
        self.head_id = proposer.sha256


class Boxed(Proposed):
    """A condition inside masks that the base SAM draws from boxes around the true objects.

    Where a sample has no instances, every connected piece of its mask has a box.

    Args:
        condition: what is applied.
        proposer: finds what lies in boxes.
    """

    name = "boxes"
    summary = "NAME-boxes: masks drawn by the base SAM from boxes, as unseg masks does"

    def _mask(self, sample: Sample) -> NDArray[np.bool_]:
        assert isinstance(self._proposer, BoxReader)
        boxes = _boxes(sample)
        if not len(boxes):
            return np.zeros_like(sample.mask)
        return self._proposer.in_boxes(to_tensor(sample.image), boxes) > 0


def _boxes(sample: Sample) -> NDArray[np.float32]:
    """(n, 4), left, top, right and bottom in pixels."""
    if sample.instances is not None:
        return np.asarray(sample.object_boxes, np.float32).reshape(-1, 4)
    pieces = cv2.connectedComponentsWithStats(sample.mask.astype(np.uint8))[2][1:]
    left, top, width, height = pieces[:, :4].astype(np.float32).T
    return np.stack([left, top, left + width, top + height], axis=1)
