"""Boxes of people, from a folder in COCO's layout (Penn-Fudan pedestrians)."""

from __future__ import annotations

from collections.abc import Iterable

from unseg.datasets.samples import Sample
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.coco import average_precision
from unseg.evaluate.tasks.instance import InstanceTask


class DetectionTask(InstanceTask):
    """Average precision of person boxes; the noise still follows the people's masks."""

    name = "detection"
    problem = Problem("detection", ("person",), frozenset({0}))
    summary = "boxes of people, COCO layout (Penn-Fudan)"

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return average_precision(pairs, self.problem.classes, "bbox")
