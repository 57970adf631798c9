"""COCO 2017: masks, boxes and panoptic segments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unseg.datasets import Reading
from unseg.datasets.coco import image_folder, read_instances, read_panoptic
from unseg.datasets.samples import Sample
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.coco import average_precision
from unseg.evaluate.tasks.paper.base import InstanceScores, PanopticScores

PARTS = {"train": "train2017", "test": "val2017"}


class CocoInstanceTask(InstanceScores):
    """Masks of 80 kinds of objects.

    Not quite COCO's own figure: crowd regions count as background instead of being left out, and
    where annotations overlap a pixel belongs to the smaller object alone.
    """

    name = "coco-instance"
    folder = "coco"
    problem = Problem("instance", ())
    floor = 0.25
    summary = "COCO 2017, masks of 80 kinds of objects (full size)"

    def read(self, root: Path, part: str) -> Reading:
        part = PARTS[part]
        annotation = root / "annotations" / f"instances_{part}.json"
        return read_instances(annotation, image_folder(root, part))


class CocoDetectionTask(CocoInstanceTask):
    """Boxes of 80 kinds of objects; the noise follows their masks."""

    name = "coco-detection"
    problem = Problem("detection", ())
    summary = "COCO 2017, boxes of 80 kinds of objects (full size)"

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return average_precision(pairs, self.problem.classes, "bbox")


class CocoPanopticTask(PanopticScores):
    """80 things and 53 kinds of stuff."""

    name = "coco-panoptic"
    folder = "coco"
    problem = Problem("panoptic", ())
    floor = 0.30
    summary = "COCO 2017, panoptic segments of 133 classes (full size)"

    def read(self, root: Path, part: str) -> Reading:
        part = PARTS[part]
        annotation = root / "annotations" / f"panoptic_{part}.json"
        return read_panoptic(annotation, image_folder(root, part))
