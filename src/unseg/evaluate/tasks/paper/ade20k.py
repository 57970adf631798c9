"""ADE20K's scene parsing."""

from __future__ import annotations

from pathlib import Path

from unseg.datasets import Reading
from unseg.datasets.ade20k import read_ade20k
from unseg.evaluate.problem import Problem
from unseg.evaluate.tasks.paper.base import SemanticScores


class Ade20kTask(SemanticScores):
    """150 classes, things and stuff; all that is not void is protected."""

    name = "ade20k"
    folder = "ADEChallengeData2016"
    problem = Problem("semantic", ())
    floor = 0.30
    summary = "ADE20K, 150 classes (full size)"

    def read(self, root: Path, part: str) -> Reading:
        return read_ade20k(root, {"train": "training", "test": "validation"}[part])
