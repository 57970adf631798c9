"""People against background, from a folder in COCO layout (Penn-Fudan pedestrians)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.samples import Sample, Split, read_rgb
from unseg.evaluate.tasks.base import Part, Task, foreground_scores, hold_out
from unseg.provenance import sha256_files


def read_coco(root: Path, part: str) -> tuple[list[Sample], list[Path]]:
    """Read ``root/annotations/instances_<part>.json`` with ``root/images``.

    The foreground of an image is the union of its instances, whatever their category.

    Returns:
        (samples, files read).

    Raises:
        UnsegError: when the annotation file is missing or damaged, or an image is missing.
    """
    from faster_coco_eval.core import COCO

    annotation = root / "annotations" / f"instances_{part}.json"
    if not annotation.is_file():
        raise UnsegError(
            f"{annotation} is missing: --data must be a folder with images/ and "
            "annotations/instances_train.json and instances_test.json"
        )
    try:
        coco = COCO(json.loads(annotation.read_text(encoding="utf-8")))
        samples, files = [], [annotation]
        for record in coco.dataset["images"]:
            path = root / "images" / record["file_name"]
            image = read_rgb(path)
            mask = np.zeros((record["height"], record["width"]), dtype=bool)
            for instance in coco.imgToAnns[record["id"]]:
                mask |= coco.annToMask(instance).astype(bool)
            samples.append(Sample(path.stem, image, mask))
            files.append(path)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UnsegError(
            f"{annotation} is not a COCO instance file ({type(error).__name__}: {error}): "
            "expected images, annotations and categories"
        ) from error
    if not samples:
        raise UnsegError(f"{annotation} lists no image: expected at least one")
    return samples, files


class PersonTask(Task):
    """Penn-Fudan people: IoU of person over all test pixels at the photographs' resolution."""

    name = "person"
    folder = "pennfudan"
    problem = Problem("semantic", ("background", "person"))
    metric = "iou"
    floor = 0.55
    summary = "people against background, COCO layout (Penn-Fudan)"

    def load(self, root: Path, part: Part = "test") -> Split:
        train, files = read_coco(root, "train")
        if part == "val":
            train, test = hold_out(tuple(train))
        else:
            test, test_files = read_coco(root, "test")
            files += test_files
        return Split(tuple(train), tuple(test), sha256_files(files))

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        return foreground_scores(pairs)
