"""People one by one: masks, from a folder in COCO's layout (Penn-Fudan pedestrians)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unseg.datasets import Reading
from unseg.datasets.coco import read_instances
from unseg.datasets.samples import Sample
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.coco import average_precision
from unseg.evaluate.tasks.pedestrians import PedestriansTask


class InstanceTask(PedestriansTask):
    """Average precision of person masks at the photographs' resolution."""

    name = "instance"
    problem = Problem("instance", ("person",), frozenset({0}))
    metric = "ap50"
    floor = 0.40
    summary = "each person's mask, COCO layout (Penn-Fudan)"

    def read(self, root: Path, part: str) -> Reading:
        return read_instances(root / "annotations" / f"instances_{part}.json", root / "images")

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return average_precision(pairs, self.problem.classes, "segm")
