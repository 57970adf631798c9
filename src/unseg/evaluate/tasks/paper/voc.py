"""Pascal VOC 2012."""

from __future__ import annotations

from pathlib import Path

from unseg.datasets import Reading
from unseg.datasets.voc import CLASSES, read_voc
from unseg.evaluate.problem import Problem
from unseg.evaluate.tasks.paper.base import SemanticScores


class VocTask(SemanticScores):
    """20 kinds of objects and background; trained on ``train``, tested on ``val``.

    What is protected are the objects.
    """

    name = "voc"
    folder = "VOCdevkit/VOC2012"
    problem = Problem("semantic", CLASSES)
    floor = 0.50
    summary = "Pascal VOC 2012, 21 classes (full size)"

    def read(self, root: Path, part: str) -> Reading:
        return read_voc(root, {"train": "train", "test": "val"}[part])
