"""Street scenes with a class in every pixel, from a folder in Pascal VOC's layout (CamVid)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unseg.datasets.samples import Sample, Split
from unseg.datasets.voc import read_voc
from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, evenly
from unseg.evaluate.tasks.scores import class_iou
from unseg.provenance import sha256_files

CLASSES = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car",
    "Pedestrian", "Bicyclist",
)  # fmt: skip


class SemanticTask(Task):
    """CamVid: mean IoU over 11 classes, void ignored, at the photographs' resolution.

    Every class is foreground, so a condition's mask is all that is not void. ``part="val"`` tests
    on the set's own validation list; both parts train on its training list.

    Args:
        frames: how many test frames to use at most, evenly spaced; neighbours in a video look
            alike. 117 of the 233 are every other one.
    """

    name = "semantic"
    folder = "camvid"
    problem = Problem("semantic", CLASSES)
    metric = "miou"
    floor = 0.40
    summary = "11 classes of street scenes, VOC layout (CamVid)"

    def __init__(self, *, frames: int = 117) -> None:
        self.frames = frames

    def load(self, root: Path, part: Part = "test") -> Split:
        train = read_voc(root, "train", background=None)
        test = read_voc(root, part, background=None)
        if train.classes != CLASSES:
            raise UnsegError(
                f"{root}/labels.txt has the classes {', '.join(train.classes)}: expected CamVid's, "
                f"{', '.join(CLASSES)}, one a line"
            )
        return Split(
            tuple(train.samples),
            tuple(evenly(test.samples, self.frames)),
            sha256_files([*train.files, *test.files]),
        )

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return class_iou(pairs, CLASSES)
