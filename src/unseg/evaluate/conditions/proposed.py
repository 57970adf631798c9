"""Ours without an owner's masks: found by the mask sources of the product, or drawn from boxes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.datasets.samples import Sample, mapped
from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import Condition, photo_of_sample
from unseg.evaluate.conditions.wrapper import Wrapper
from unseg.evaluate.problem import Problem
from unseg.masks.boxes import Boxes
from unseg.masks.find import find_regions
from unseg.masks.regions import LabelRules
from unseg.masks.sources import MaskSource
from unseg.masks.sources.boxes import draw_boxes
from unseg.masks.sources.salient import SalientMask
from unseg.models.sam.base import SamBase
from unseg.models.weights.io import module_sha256

PEOPLE_FIRST = "people/salient/proposed/whole-image"
"""What :class:`FoundMasks` asks unless told otherwise."""


class Proposed(Wrapper):
    """A condition inside proposed masks. The victim still learns the true ones.

    Args:
        condition: what is applied.
        sources: find the foreground, asked in order, as ``unseg protect --find`` does.
    """

    name = "proposed"
    summary = "NAME-proposed: noise in masks proposed by the base SAM, as with --salience none"

    def __init__(self, condition: Condition, sources: Sequence[MaskSource]) -> None:
        super().__init__(condition)
        self.costly = True
        self._sources = sources

    @property
    def label(self) -> str:
        return f"{self._condition.label}-{self.name}"

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        masked = mapped(samples, lambda sample: self.masked(sample, self._mask(sample), problem))
        return self._condition.publish(masked, problem, seed)

    def _mask(self, sample: Sample) -> NDArray[np.bool_]:
        found = find_regions(photo_of_sample(sample), self._sources, LabelRules(), sample.name)
        return found.regions.foreground


class Salient(Proposed):
    """A condition inside what stands out. The victim still learns the true masks.

    Args:
        condition: what is applied.
        sources: find the foreground, asked in order.
    """

    name = "salient"
    summary = (
        "NAME-salient: noise in masks of whatever stands out, as unseg protect does without --masks"
    )

    def __init__(self, condition: Condition, sources: Sequence[MaskSource]) -> None:
        super().__init__(condition, sources)
        # Its weights, not its file: the same head in another file finds the same.
        heads = [one.head for one in sources if isinstance(one, SalientMask)]
        self.head_id = module_sha256(heads[0]) if heads else ""


class FoundMasks(Proposed):
    """A condition inside what chosen mask sources find. The victim still learns the true masks.

    Args:
        condition: what is applied.
        sources: find the foreground, asked in order.
        find: their names, as ``unseg protect --find`` takes them, with slashes between them.
    """

    name = "found"
    summary = (
        "NAME-found: noise in masks of people, or with (find=objects/whole-image) of what others "
        "find, as unseg protect --find does"
    )

    def __init__(
        self, condition: Condition, sources: Sequence[MaskSource], find: str = PEOPLE_FIRST
    ) -> None:
        super().__init__(condition, sources)
        self.find = find
        self.finder_id = [source.identity("") for source in sources]

    @property
    def label(self) -> str:
        return f"{super().label}({self.find})"

    def _mask(self, sample: Sample) -> NDArray[np.bool_]:
        try:
            return super()._mask(sample)
        except UnsegError:
            # Nothing was found: unseg protect refuses the image, so it is trained on as it is.
            return np.zeros_like(sample.mask)


class Boxed(Proposed):
    """A condition inside masks that the base SAM draws from boxes around the true objects.

    Where a sample has no instances, every connected piece of its mask has a box.

    Args:
        condition: what is applied.
        base: the SAM that is asked what lies in boxes.
    """

    name = "boxes"
    summary = "NAME-boxes: noise in masks drawn by the base SAM from boxes, as unseg masks does"

    def __init__(self, condition: Condition, base: SamBase) -> None:
        super().__init__(condition, [])
        self._base = base

    def _mask(self, sample: Sample) -> NDArray[np.bool_]:
        corners = _boxes(sample)
        if not len(corners):
            return np.zeros_like(sample.mask)
        boxes = Boxes(corners, np.ones(len(corners), np.int32), False, sample.name)
        return draw_boxes(photo_of_sample(sample), boxes, self._base) > 0


def _boxes(sample: Sample) -> NDArray[np.float32]:
    """(n, 4), left, top, right and bottom in pixels."""
    if sample.instances is not None:
        return np.asarray(sample.object_boxes, np.float32).reshape(-1, 4)
    pieces = cv2.connectedComponentsWithStats(sample.mask.astype(np.uint8))[2][1:]
    left, top, width, height = pieces[:, :4].astype(np.float32).T
    return np.stack([left, top, left + width, top + height], axis=1)
