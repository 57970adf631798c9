"""Cell nuclei against background, from photographs with maps of numbered objects (DSB 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from unseg.datasets.base import MASKS, expect_files
from unseg.datasets.samples import Sample, Split
from unseg.evaluate.problem import Instances, Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, evenly, foreground_scores, hold_out
from unseg.evaluate.tasks.coco import average_precision
from unseg.evaluate.tasks.scores import components
from unseg.images.formats import IMAGE_SUFFIXES
from unseg.masks.labels import read_label_map
from unseg.masks.pairing import pair
from unseg.provenance import sha256_files

LAYOUT = "{train,test}/images/NAME.png and {train,test}/masks/NAME.png with nuclei 1..n"
NUCLEI = 500
"""Most nuclei counted in an image, by COCO's rule; the set has at most 375 in one."""


class MedicalTask(Task):
    """Nuclei: Dice over all test pixels, and AP50 of the connected pieces of the prediction.

    A class map does not part nuclei that touch: the true foreground itself reaches an AP50 of 0.79
    on the images of ``part="val"``.

    Args:
        images: how many training images to use at most, evenly spaced by name; 266 of the 531 are
            every other one.
    """

    name = "medical"
    folder = "dsb2018"
    problem = Problem("semantic", ("background", "nucleus"))
    metric = "dice"
    floor = 0.80
    summary = "cell nuclei against background, images/ and masks/ of numbered nuclei (DSB 2018)"
    pictures_allowed = True

    def __init__(self, *, images: int = 266) -> None:
        self.images = images

    def load(self, root: Path, part: Part = "test") -> Split:
        pairs = evenly(_pairs(root / "train"), self.images)
        train = tuple(_read(*pair) for pair in pairs)
        if part == "val":
            kept, test = hold_out(train)
            return Split(
                tuple(kept), tuple(test), sha256_files([p for pair in pairs for p in pair])
            )
        tested = _pairs(root / "test")
        files = [path for pair in (*pairs, *tested) for path in pair]
        return Split(train, tuple(_read(*pair) for pair in tested), sha256_files(files))

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        answers = list(pairs)
        scores = average_precision(_nuclei(answers), ("nucleus",), "segm", NUCLEI)
        return {**foreground_scores(answers), "ap": scores["ap"], "ap50": scores["ap50"]}


def _nuclei(
    answers: Iterable[tuple[Prediction, Sample]],
) -> Iterator[tuple[Instances, Sample]]:
    for found, sample in answers:
        assert isinstance(found, Tensor)
        yield components(found, NUCLEI), sample


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    images = expect_files(folder / "images", IMAGE_SUFFIXES, LAYOUT)
    return list(zip(images, pair(images, folder / "masks", LAYOUT, MASKS), strict=True))


def _read(image: Path, mask: Path) -> Sample:
    values = read_label_map(mask).values
    ids, places = np.unique(values, return_inverse=True)
    # Numbers without gaps, whatever the file's are; 0 stays background.
    numbers = np.cumsum(ids > 0)
    return Sample.read(
        image.stem,
        image,
        values > 0,
        instances=numbers[places].reshape(values.shape).astype(np.int32),
        categories=np.zeros(int(numbers[-1]), dtype=np.int64),
    )
