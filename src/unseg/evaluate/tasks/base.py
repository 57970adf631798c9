"""What every task offers: its data, and how a victim's predictions are scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from unseg.evaluate.samples import Sample, Split

Part = Literal["test", "val"]


class Task(ABC):
    """One file a task. Hooks: :meth:`load` reads the data, :meth:`score` measures.

    ``part="test"`` trains on all training images and tests on the test images. ``part="val"``
    never looks at the test images: it holds every fifth training image out and tests on those, so
    schedules, baselines and generators can be tuned without touching the figures that count.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    """Name of the figure in :meth:`score` that retention is computed from."""
    floor: ClassVar[float]
    """A victim whose clean training stays below this figure measures nothing."""
    summary: ClassVar[str]

    @abstractmethod
    def load(self, root: Path, part: Part = "test") -> Split:
        """Read the data.

        Args:
            root: the data set's folder.
            part: which images to test on.

        Raises:
            UnsegError: when the folder does not have the task's layout.
        """

    @abstractmethod
    def score(self, pairs: Iterable[tuple[Tensor, Sample]]) -> dict[str, float]:
        """Score predictions over the test samples; keys include :attr:`metric`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def hold_out(samples: tuple[Sample, ...], every: int = 5) -> tuple[list[Sample], list[Sample]]:
    """Split samples sorted by name: (kept, every ``every``-th)."""
    ordered = sorted(samples, key=lambda s: s.name)
    held = ordered[::every]
    return [s for i, s in enumerate(ordered) if i % every], held


def foreground_scores(pairs: Iterable[tuple[Tensor, Sample]]) -> dict[str, float]:
    """Binary segmentation figures over all pixels of all test images together.

    Args:
        pairs: (logits (H, W) at the photograph's size, sample); logit > 0 is foreground.

    Returns:
        ``iou`` of the foreground, ``background_iou``, ``dice``, ``precision`` and ``recall``.
    """
    from torchmetrics.classification import BinaryConfusionMatrix

    matrix = BinaryConfusionMatrix()
    for logits, sample in pairs:
        matrix.update((logits > 0).flatten().int(), torch.from_numpy(sample.mask).flatten().int())
    (tn, fp), (fn, tp) = matrix.compute().double().tolist()

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    return {
        "iou": ratio(tp, tp + fp + fn),
        "background_iou": ratio(tn, tn + fp + fn),
        "dice": ratio(2 * tp, 2 * tp + fp + fn),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
    }
