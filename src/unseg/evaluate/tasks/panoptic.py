"""People and background, every pixel in one segment (Penn-Fudan in COCO's panoptic layout)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets import Reading
from unseg.datasets.coco import read_panoptic
from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.problem import Panoptic, Prediction, Problem
from unseg.evaluate.tasks.pedestrians import PedestriansTask


class PanopticTask(PedestriansTask):
    """Panoptic quality of people (things) and background (stuff).

    Args:
        protects: ``segments``, every pixel that has one, as on other dense maps; or ``things``
            alone, the people.
    """

    name = "panoptic"
    problem = Problem("panoptic", ("person", "background"), frozenset({0}))
    metric = "pq"
    floor = 0.45
    summary = "people and background in segments, COCO's panoptic layout (Penn-Fudan)"

    def __init__(self, *, protects: Literal["segments", "things"] = "segments") -> None:
        self.protects: Literal["segments", "things"] = protects

    def read(self, root: Path, part: str) -> Reading:
        return read_panoptic(root / "annotations" / f"panoptic_{part}.json", root / "images")

    def mask(self, sample: Sample) -> NDArray[np.bool_]:
        return super().mask(sample) if self.protects == "things" else sample.mask

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return panoptic_quality(pairs, self.problem)


def panoptic_quality(
    pairs: Iterable[tuple[Prediction, Sample]], problem: Problem
) -> dict[str, float]:
    """Panoptic, segmentation and recognition quality, in COCO's form, by torchmetrics.

    Segments match above an IoU of 0.5 (Kirillov et al., *Panoptic Segmentation*, CVPR 2019).
    Pixels that are void in the truth do not count. torchmetrics would also leave out pixels that a
    victim assigns to nothing, and with them what it missed; here they are a class of their own
    that is no part of the mean, so that they count as COCO's own evaluation counts them.

    Args:
        pairs: (segments found, sample with ``labels`` and ``instances``).
        problem: classes, and which of them are things.

    Returns:
        ``pq``, ``sq`` and ``rq``, means over the classes that occur, and ``pq/<class>`` of those.

    Raises:
        UnsegError: when the samples hold no segment.
    """
    from torchmetrics.detection import PanopticQuality

    nothing = len(problem.classes)
    stuff = {i for i in range(nothing + 1) if i not in problem.things}
    quality = PanopticQuality(
        set(problem.things), stuff, allow_unknown_preds_category=True, return_sq_and_rq=True,
        return_per_class=True, sync_on_compute=False,
    )  # fmt: skip
    order = [*sorted(problem.things), *sorted(stuff)]
    for found, sample in pairs:
        if not isinstance(found, Panoptic):
            raise TypeError(f"expected panoptic segments, not {type(found).__name__}")
        categories = torch.cat([torch.tensor([nothing]), found.categories])
        answer = torch.stack([categories[found.segments], found.segments], dim=-1)
        quality.update(answer[None], _truth(sample)[None])
    counts = quality.true_positives + quality.false_positives + quality.false_negatives
    kept = [i for i, category in enumerate(order) if category != nothing and counts[i]]
    if not kept:
        raise UnsegError("panoptic quality: the test images contain no segment; give some that do")
    figures = quality.compute().reshape(-1, 3)
    pq, sq, rq = figures[kept].mean(0).tolist()
    classes = {f"pq/{problem.classes[order[i]]}": float(figures[i, 0]) for i in kept}
    return {"pq": pq, "sq": sq, "rq": rq, **classes}


def _truth(sample: Sample) -> Tensor:
    """(H, W, 2) int64 pairs of category and instance; torchmetrics ignores the category VOID."""
    if sample.labels is None or sample.instances is None:
        raise UnsegError(f"{sample.name} has no label map with instances to compare with")
    labels: NDArray[np.int64] = sample.labels.astype(np.int64)
    return torch.from_numpy(np.stack([labels, sample.instances.astype(np.int64)], axis=-1))
