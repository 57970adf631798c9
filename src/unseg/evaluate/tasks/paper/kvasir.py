"""Kvasir-SEG: polyps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unseg.datasets import Reading
from unseg.datasets.pairs import read_pairs
from unseg.evaluate.problem import Problem
from unseg.evaluate.tasks.base import hold_out
from unseg.evaluate.tasks.paper.base import ForegroundScores

LAYOUT = "Kvasir-SEG's layout: images/NAME.jpg and masks/NAME.jpg"


class KvasirTask(ForegroundScores):
    """Polyps against background (Jha et al., MMM 2020).

    The set has no split of its own inside its archive: every fifth image by name is tested on.
    """

    name = "kvasir"
    folder = "Kvasir-SEG"
    problem = Problem("semantic", ("background", "polyp"))
    floor = 0.70
    summary = "Kvasir-SEG, polyps against background (full size)"

    def read(self, root: Path, part: str) -> Reading:
        found = read_pairs(root / "images", root / "masks", LAYOUT, name="polyp")
        train, test = hold_out(found.samples)
        samples = train if part == "train" else test
        return replace(found, samples=samples, classes=self.problem.classes, things=frozenset())
