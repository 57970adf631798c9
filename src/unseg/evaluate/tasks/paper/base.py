"""What the paper's tasks share: a data set in its own layout, read lazily, and a figure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from unseg.datasets import Reading
from unseg.datasets.samples import LazySamples, Sample, Split
from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction
from unseg.evaluate.tasks.base import Part, Task, foreground_scores, hold_out
from unseg.evaluate.tasks.coco import average_precision
from unseg.evaluate.tasks.panoptic import panoptic_quality
from unseg.evaluate.tasks.scores import class_iou
from unseg.provenance import sha256_files


class PaperTask(Task):
    """Hook: :meth:`read`. Classes and things are the data's; ``problem`` has them after loading.

    Images stay on disk. Floors are what a working victim reaches at full size by far; they were
    set by what the literature reports, not measured here.
    """

    @abstractmethod
    def read(self, root: Path, part: str) -> Reading:
        """Find ``train`` or ``test``, whatever the data set calls them."""

    def load(self, root: Path, part: Part = "test") -> Split:
        train = self.read(root, "train")
        self.problem = replace(self.problem, classes=train.classes, things=train.things)
        if part == "val":
            kept, held = hold_out(train.samples)
            return Split(kept, held, sha256_files(train.files))
        test = self.read(root, "test")
        if test.classes != train.classes:
            raise UnsegError(
                f"{test.files[0]} has the classes {', '.join(test.classes)} but {train.files[0]} "
                f"has {', '.join(train.classes)}: both must have the same"
            )
        return Split(train.samples, test.samples, sha256_files([*train.files, *test.files]))


def changed(reading: Reading, change: Callable[[Sample], Sample]) -> Reading:
    """A reading whose samples are changed when they are read."""
    samples: LazySamples = reading.samples.map(change)
    return replace(reading, samples=samples)


class SemanticScores(PaperTask):
    """Mean IoU over the classes, void ignored, at the photographs' resolution."""

    metric = "miou"

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return class_iou(pairs, self.problem.classes)


class ForegroundScores(PaperTask):
    """Dice of one foreground over all pixels of all test images together."""

    metric = "dice"

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return foreground_scores(pairs)


class InstanceScores(PaperTask):
    """COCO's average precision of masks; what is protected are the objects, all together."""

    metric = "ap"

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return average_precision(pairs, self.problem.classes, "segm")


class PanopticScores(PaperTask):
    """Panoptic quality; what is protected is all that is not void."""

    metric = "pq"

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return panoptic_quality(pairs, self.problem)
