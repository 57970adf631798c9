"""People against background, from a folder in COCO layout (Penn-Fudan pedestrians)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unseg.datasets.coco import read_instances
from unseg.datasets.samples import Sample, Split
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, foreground_scores, hold_out
from unseg.provenance import sha256_files

LAYOUT = (
    "--data to be a folder with images/ and annotations/instances_train.json and "
    "instances_test.json"
)


class PersonTask(Task):
    """Penn-Fudan people: IoU of person over all test pixels at the photographs' resolution."""

    name = "person"
    folder = "pennfudan"
    problem = Problem("semantic", ("background", "person"))
    metric = "iou"
    floor = 0.55
    summary = "people against background, COCO layout (Penn-Fudan)"

    def load(self, root: Path, part: Part = "test") -> Split:
        def read(name: str) -> tuple[tuple[Sample, ...], tuple[Path, ...]]:
            annotation = root / "annotations" / f"instances_{name}.json"
            found = read_instances(annotation, root / "images", layout=LAYOUT)
            return tuple(found.samples), found.files

        train, files = read("train")
        if part == "val":
            kept, held = hold_out(train)
            return Split(kept, held, sha256_files(files))
        test, more = read("test")
        return Split(train, test, sha256_files([*files, *more]))

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return foreground_scores(pairs)
