"""Cityscapes: classes, objects, and panoptic segments."""

from __future__ import annotations

from pathlib import Path

from unseg.datasets import Reading
from unseg.datasets.cityscapes import read_cityscapes
from unseg.evaluate.problem import Problem
from unseg.evaluate.tasks.paper.base import InstanceScores, PanopticScores, SemanticScores

PARTS = {"train": "train", "test": "val"}


class CityscapesTask(SemanticScores):
    """19 classes; all that is not void is protected."""

    name = "cityscapes"
    folder = "cityscapes"
    problem = Problem("semantic", ())
    floor = 0.55
    summary = "Cityscapes, 19 classes (full size)"

    def read(self, root: Path, part: str) -> Reading:
        return read_cityscapes(root, PARTS[part])


class CityscapesInstanceTask(InstanceScores):
    """Masks of 8 kinds of objects, by COCO's definition of average precision.

    Cityscapes' own evaluation differs: it leaves groups out, which count as background here.
    """

    name = "cityscapes-instance"
    folder = "cityscapes"
    problem = Problem("instance", ())
    floor = 0.20
    summary = "Cityscapes, masks of 8 kinds of objects (full size)"

    def read(self, root: Path, part: str) -> Reading:
        return read_cityscapes(root, PARTS[part], "instance")


class CityscapesPanopticTask(PanopticScores):
    """8 things and 11 kinds of stuff; groups of things are void."""

    name = "cityscapes-panoptic"
    folder = "cityscapes"
    problem = Problem("panoptic", ())
    floor = 0.45
    summary = "Cityscapes, panoptic segments of 19 classes (full size)"

    def read(self, root: Path, part: str) -> Reading:
        return read_cityscapes(root, PARTS[part], "panoptic")
