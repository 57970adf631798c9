"""Semantic tasks on small sets of one layout: roads, polyps, lungs and facades.

Each says its classes, its figure and its floor; :mod:`unseg.datasets.listed` reads the files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unseg.datasets.listed import read_listed
from unseg.datasets.samples import Sample, Split
from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, foreground_scores, hold_out
from unseg.evaluate.tasks.scores import class_iou
from unseg.provenance import sha256_files


class ListedTask(Task):
    """A set that lists its own train and test images.

    ``part="val"`` tests on every fifth training image by name.
    """

    def load(self, root: Path, part: Part = "test") -> Split:
        train = read_listed(root, "train", self.problem.classes)
        if part == "val":
            # The list decides who trains, so it counts beside the images.
            files = [*train.files, root / "split.json"]
            kept, held = hold_out(tuple(train.samples))
            return Split(tuple(kept), tuple(held), sha256_files(files))
        test = read_listed(root, "test", self.problem.classes)
        if both := set(train.samples.names) & set(test.samples.names):
            raise UnsegError(
                f"{root / 'split.json'} has {min(both)} in train and in test: an image that was "
                "trained on cannot be tested on"
            )
        files = [*train.files, *test.files, root / "split.json"]
        return Split(tuple(train.samples), tuple(test.samples), sha256_files(files))

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        if self.problem.binary:
            return foreground_scores(pairs)
        return class_iou(pairs, self.problem.classes)


class RoadsTask(ListedTask):
    """Roads among roofs of the same grey, from the air: IoU of road (CIL road segmentation)."""

    name = "roads"
    folder = "roads"
    problem = Problem("semantic", ("background", "road"))
    metric = "iou"
    floor = 0.40
    summary = "roads against background from the air, images/, masks/ and split.json (CIL)"


class PolypsTask(ListedTask):
    """Polyps in colonoscopy frames: Dice of polyp, as such sets report it (CVC-ClinicDB).

    Test frames are of other videos. Of ``part="val"`` they are not: neighbouring frames lie on both
    sides, as no list says which frames are one video, so its figures are higher than the test's.
    """

    name = "polyps"
    folder = "polyps"
    problem = Problem("semantic", ("background", "polyp"))
    metric = "dice"
    floor = 0.40
    summary = "polyps against background, images/, masks/ and split.json (CVC-ClinicDB)"


class LungsTask(ListedTask):
    """Both lungs in chest X-rays, which are grey files: Dice of lung (Montgomery, Shenzhen)."""

    name = "lungs"
    folder = "lungs"
    problem = Problem("semantic", ("background", "lung"))
    metric = "dice"
    floor = 0.80
    summary = "lungs in grey chest X-rays, images/, masks/ and split.json (Montgomery, Shenzhen)"


class FacadesTask(ListedTask):
    """Ten classes of building facades, and what is none of them: mean IoU over all eleven.

    Class 0 is background as in Pascal VOC, not void as in ADE20K: everything that an annotator
    would have drawn is drawn, so what is left (sky, above all) is known to be no object. A victim
    learns it and its IoU counts in the mean, as mmsegmentation does without ``reduce_zero_label``.
    What is protected are the ten.
    """

    name = "facades"
    folder = "facades"
    problem = Problem(
        "semantic",
        (
            "background", "balcony-fence", "car", "facade", "fence", "non-building-infrastructure",
            "shop", "street", "traffic-infrastructure", "vegetation", "window",
        ),
    )  # fmt: skip
    metric = "miou"
    floor = 0.30
    summary = "10 classes of facades and background, images/, masks/ and split.json"
    pictures_allowed = True
