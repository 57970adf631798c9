"""What a task asks of a victim, and the forms an answer has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Kind = Literal["semantic", "instance", "panoptic", "interactive", "detection"]
KINDS: tuple[Kind, ...] = ("semantic", "instance", "panoptic", "interactive", "detection")

BACKGROUND = "background"
"""Name of the first class where it is what no object covers."""


@dataclass(frozen=True)
class Problem:
    """What is asked.

    Args:
        kind: which form of answer a victim must give.
        classes: names of the classes; a label or category is an index into them.
        things: the classes that have instances. Panoptic problems name them; instance and
            detection problems have things only.

    Example:
        >>> Problem("semantic", ("background", "person")).binary
        True
    """

    kind: Kind
    classes: tuple[str, ...]
    things: frozenset[int] = frozenset()

    @property
    def binary(self) -> bool:
        """Whether it is one foreground against background: one logit is enough."""
        return self.kind == "semantic" and len(self.classes) == 2


@dataclass(frozen=True)
class Instances:
    """Objects found in an image, in any order.

    Args:
        boxes: (n, 4) float xyxy, in the photograph's pixels.
        scores: (n,) float in [0, 1].
        categories: (n,) int64, indices into the problem's classes.
        masks: (n, H, W) bool at the photograph's size, or None from a detector.
    """

    boxes: Tensor
    scores: Tensor
    categories: Tensor
    masks: Tensor | None = None


@dataclass(frozen=True)
class Panoptic:
    """Every pixel in one segment.

    Args:
        segments: (H, W) int64 at the photograph's size; 0 is unassigned.
        categories: (n,) int64, class of segment i + 1.
    """

    segments: Tensor
    categories: Tensor


Prediction = Tensor | Instances | Panoptic
"""A semantic answer is a (H, W) int64 map of class indices."""
