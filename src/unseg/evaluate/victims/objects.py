"""A trainer's loader for objects: photographs with what is to be found in them, in squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets.samples import VOID, Sample
from unseg.errors import UnsegError
from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.loader import CPU, Augmentation, crop_matrix
from unseg.evaluate.victims.shuffled import Photographs, Taken
from unseg.models.backbones.base import MEAN

VISIBLE = 0.2
"""An object that a crop shows less of than this share is not one to be found there."""

SMALLEST = 16
"""... nor is one of fewer pixels than this."""

GREY = tuple(255 * value for value in MEAN)


@dataclass(frozen=True)
class Objects:
    """What is to be found in one crop.

    Args:
        classes: (n,) int64.
        boxes: (n, 4) float, centre x, centre y, width and height, relative to the crop's side.
        masks: (n, S, S) float in {0, 1}; None where the data has boxes only.
    """

    classes: Tensor
    boxes: Tensor
    masks: Tensor | None = None

    def to(self, device: torch.device) -> Objects:
        """The same on another device."""
        # As bytes, which is a quarter of what travels.
        masks = None if self.masks is None else self.masks.bool().to(device).float()
        return Objects(self.classes.to(device), self.boxes.to(device), masks)


def segments(sample: Sample, problem: Problem) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """What a problem wants found in a photograph, as one map.

    Instance and detection problems want the objects, semantic problems one segment for each class
    in view, panoptic problems the objects and one segment for each class that is no thing.

    Returns:
        (H, W) uint16, 0 is nothing and i is the segment of class ``classes[i - 1]``; (n,) int64.

    Raises:
        UnsegError: when the sample lacks instances.
    """
    index = np.zeros(sample.mask.shape, dtype=np.uint16)
    classes: list[int] = []
    if problem.kind != "semantic":
        if sample.instances is None or sample.categories is None:
            raise UnsegError(f"{sample.name} has no instances, which {problem.kind} problems need")
        index[:] = sample.instances
        classes = sample.categories.tolist()
    if problem.kind in ("semantic", "panoptic"):
        # Where nothing is counted, a thing is a segment like any other.
        things = problem.things if problem.kind == "panoptic" else frozenset()
        for label in np.unique(sample.class_map).tolist():
            if label != VOID and label not in things:
                classes.append(label)
                index[(sample.class_map == label) & (index == 0)] = len(classes)
    return index, np.array(classes, dtype=np.int64)


class ObjectLoader:
    """Draws batches of square crops, from photographs at the work size.

    A photograph's long side fits the square at scale 1, and the rest of the square has the mean
    colour: no cue, and the same as in :func:`unseg.models.geometry.letterbox`.

    Args:
        samples: training samples at their original resolution.
        problem: what is to be found.
        size: side of the squares, in pixels.
        batch_size: squares a batch.
        augmentation: how a square is drawn.
        rng: the only source of randomness.
        device: where photographs lie and crops are made; the objects stay on the CPU.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        problem: Problem,
        *,
        size: int,
        batch_size: int,
        augmentation: Augmentation,
        rng: np.random.Generator,
        device: torch.device = CPU,
    ) -> None:
        self._side, self._batch_size = size, batch_size
        self._augmentation, self._rng = augmentation, rng
        self._photographs = Photographs(
            samples, lambda sample: self._shrink(sample, problem), rng, device
        )

    def draw(self) -> tuple[Tensor, list[Objects]]:
        """One batch; at least one of its squares holds an object if any sample does.

        Returns:
            Images (B, 3, S, S) in [0, 1], and the objects of each.
        """
        drawn = [self._place(one) for one in self._photographs.take(self._batch_size)]
        for _ in range(20):
            if any(len(objects.classes) for *_, objects in drawn):
                break
            drawn[0] = self._place(*self._photographs.take(1))
        taken, matrices, objects = zip(*drawn, strict=True)
        soft, _ = self._photographs.crops(taken, np.stack(matrices), self._side, fill=GREY)
        images = self._augmentation.recoloured((soft / 255).clamp(0, 1), self._rng)
        return images, list(objects)

    def _shrink(self, sample: Sample, problem: Problem) -> tuple[NDArray[np.uint8], _Truth]:
        height, width = sample.image.shape[:2]
        scale = self._side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(sample.image, size, interpolation=method), dtype=np.uint8)
        if problem.kind == "detection":
            if sample.categories is None:
                raise UnsegError(f"{sample.name} has no boxes with categories")
            return image, _Truth(sample.categories, boxes=sample.object_boxes * scale)
        index, classes = segments(sample, problem)
        small = cv2.resize(index, size, interpolation=cv2.INTER_NEAREST)
        return image, _Truth(classes, np.asarray(small, dtype=np.uint16))

    def _place(self, one: Taken[_Truth]) -> tuple[Taken[_Truth], NDArray[np.float64], Objects]:
        matrix = crop_matrix(one.shape, self._side, self._augmentation, self._rng)
        truth = one.truth
        if truth.index is None:
            return one, matrix, _moved_boxes(truth, matrix, self._side)
        side = (self._side, self._side)
        index = cv2.warpAffine(truth.index, matrix, side, flags=cv2.INTER_NEAREST)
        growth = abs(matrix[0, 0]) ** 2
        return one, matrix, _moved_masks(truth, np.asarray(index, dtype=np.uint16), growth)


@dataclass(frozen=True)
class _Truth:
    """Of a photograph at the work size: a map of segments, or boxes in its pixels."""

    classes: NDArray[np.int64]
    index: NDArray[np.uint16] | None = None
    boxes: NDArray[np.float32] | None = None


def _moved_masks(item: _Truth, index: NDArray[np.uint16], growth: float) -> Objects:
    """Objects of a warped map; ``growth`` is how much larger areas became."""
    assert item.index is not None
    count = len(item.classes) + 1
    before = np.bincount(item.index.ravel(), minlength=count)[1:] * growth
    after = np.bincount(index.ravel(), minlength=count)[1:]
    kept = np.flatnonzero(after >= np.maximum(SMALLEST, VISIBLE * before))
    masks = torch.from_numpy(index == (kept + 1)[:, None, None].astype(np.uint16))
    boxes = mask_boxes(masks)
    return Objects(
        torch.from_numpy(item.classes[kept]), _relative(boxes, index.shape[0]), masks.float()
    )


def _moved_boxes(item: _Truth, matrix: NDArray[np.float64], side: int) -> Objects:
    assert item.boxes is not None
    growth = np.diag(matrix[:, :2])
    # The matrix moves the centres of pixels; boxes end at their edges, half a pixel further.
    corners = item.boxes.reshape(-1, 2, 2) * growth + matrix[:, 2] + (1 - growth) / 2
    # A mirrored box has its left and right exchanged.
    moved = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    clipped = moved.clip(0, side)
    area, seen = (
        (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (moved, clipped)
    )
    kept = np.flatnonzero(seen >= np.maximum(SMALLEST, VISIBLE * area))
    boxes = torch.from_numpy(clipped[kept].astype(np.float32))
    return Objects(torch.from_numpy(item.classes[kept]), _relative(boxes, side))


def mask_boxes(masks: Tensor) -> Tensor:
    """Boxes around masks.

    Args:
        masks: (n, H, W) bool.

    Returns:
        (n, 4) float xyxy, the lower right corner exclusive; zeros around nothing.

    Example:
        >>> mask = torch.zeros(1, 4, 6, dtype=torch.bool)
        >>> mask[0, 1:3, 2:6] = True
        >>> mask_boxes(mask).tolist()
        [[2.0, 1.0, 6.0, 3.0]]
    """
    boxes = torch.zeros(len(masks), 4)
    for i, mask in enumerate(masks):
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        if len(rows):
            boxes[i] = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return boxes


def _relative(boxes: Tensor, side: int) -> Tensor:
    """Corners in pixels to centre and size relative to the side."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return torch.cat([(low + high) / 2, high - low], dim=1) / side
