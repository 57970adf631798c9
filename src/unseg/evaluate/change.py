"""How far a condition moved the pixels of a training set, and how far people see that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unseg.datasets.samples import Sample, names_of
from unseg.evaluate.processes import Processes
from unseg.evaluate.tasks.base import evenly
from unseg.protect.judge import visibility_score

JUDGED = 24
"""Published images that are judged at most, evenly spaced."""


@dataclass(frozen=True)
class PixelChange:
    """Change of the training pixels by a condition, in 8-bit steps."""

    inside: float
    outside: float
    mean: float


def change_of(
    clean: Sequence[Sample], published: Sequence[Sample], processes: Processes | None = None
) -> PixelChange:
    """Largest change inside and outside the masks, and the mean absolute change.

    A condition may publish fewer images than there are; names say which is which. The mask is the
    published sample's: a condition may protect a part of the foreground only. Several processes
    share the images, and all get the answer.
    """
    numbers = {name: i for i, name in enumerate(names_of(clean))}
    processes = processes or Processes()

    def measure() -> tuple[float, float, float, float]:
        inside = outside = total = count = 0.0
        for i in range(processes.rank, len(published), processes.num_processes):
            after = published[i]
            before = clean[numbers[after.name]]
            moved = np.abs(after.image.astype(np.int16) - before.image)
            highest = moved.max(axis=2)
            inside = max(inside, float(highest[after.mask].max(initial=0)))
            outside = max(outside, float(highest[~after.mask].max(initial=0)))
            total += float(moved.sum())
            count += before.image.size
        return inside, outside, total, count

    inside, outside, total, count = zip(*processes.from_all(measure), strict=True)
    return PixelChange(max(inside), max(outside), sum(total) / sum(count))


@dataclass(frozen=True)
class Visible:
    """How far people see the noise of a training set.

    Args:
        mean: SSIMULACRA2 (:func:`unseg.protect.judge.visibility_score`), at most 100, over the
            images that were judged.
        lowest: of the one where the noise is seen most.
        images: how many were judged.
    """

    mean: float
    lowest: float
    images: int


def visible(
    clean: Sequence[Sample], published: Sequence[Sample], processes: Processes | None = None
) -> Visible | None:
    """Judge a fixed sample of the published images against the clean ones.

    The mask is the published sample's, as in :func:`change_of`. Images that stayed as they were
    (the clean part of a mixed set, images without foreground) carry no noise and do not count.

    Returns:
        None when none of them changed.
    """
    numbers = {name: i for i, name in enumerate(names_of(clean))}
    processes = processes or Processes()
    chosen = evenly(range(len(published)), JUDGED)

    def judge() -> list[float]:
        found = []
        for i in chosen[processes.rank :: processes.num_processes]:
            after = published[i]
            before = clean[numbers[after.name]]
            if not np.array_equal(before.image, after.image):
                found.append(visibility_score(before.image, after.image, after.mask))
        return found

    scores = [score for some in processes.from_all(judge) for score in some]
    if not scores:
        return None
    return Visible(sum(scores) / len(scores), min(scores), len(scores))
