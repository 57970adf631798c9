"""Dressed people against background, from a folder of photographs with label maps (CCP)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unseg.datasets.samples import Sample, Split
from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, evenly, foreground_scores, hold_out
from unseg.masks.labels import read_label_map
from unseg.provenance import sha256_files


class CcpTask(Task):
    """Foreground (label not 0) of larger photographs; a second set of people to tune on.

    Of the sorted files a fixed, evenly spaced subset is used, and every fifth of it is tested on.

    Args:
        images: how many photographs to use at most; 290 gives 232 to train and 58 to test on.
    """

    name = "ccp"
    folder = "corpus/ccp"
    problem = Problem("semantic", ("background", "person"))
    metric = "iou"
    floor = 0.55
    pictures_allowed = True
    summary = "dressed people against background, im/ and gt/ label maps (CCP)"

    def __init__(self, *, images: int = 290) -> None:
        self.images = images

    def load(self, root: Path, part: Part = "test") -> Split:
        every = sorted((root / "im").glob("*.jpg"))
        if not every:
            raise UnsegError(f"{root}/im holds no .jpg: --data must be a folder with im/ and gt/")
        paths = evenly(every, self.images)
        train, test = hold_out(tuple(self._read(root, path) for path in paths))
        if part == "val":
            train, test = hold_out(tuple(train))
        labels = [root / "gt" / f"{path.stem}.png" for path in paths]
        return Split(tuple(train), tuple(test), sha256_files([*paths, *labels]))

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return foreground_scores(pairs)

    @staticmethod
    def _read(root: Path, path: Path) -> Sample:
        labels = read_label_map(root / "gt" / f"{path.stem}.png")
        return Sample.read(path.stem, path, labels.values != 0)
