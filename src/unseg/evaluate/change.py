"""How far a condition moved the pixels of a training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unseg.datasets.samples import Sample, names_of
from unseg.evaluate.processes import Processes


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
