"""Measure what ``--find`` finds: IoU, recall and precision of the foreground, and seconds an image.

    python scripts/measure_finding.py shared/data -o docs/finding/results.json
    python scripts/measure_finding.py shared/data -o docs/finding/results.json --set pennfudan-test

Of each set an evenly spaced part of the images is looked at (--images). Results are added to the
file; rows of the same set and source are replaced. docs/finding/README.md says what the sets are.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.datasets.coco import read_instances
from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.files import write_atomically
from unseg.images.photo import Photo
from unseg.images.reader import read_photo
from unseg.masks.labels import read_label_map
from unseg.masks.sources import MaskSource, load_sources
from unseg.models.loaded import Models

Truth = NDArray[np.bool_]
#: (name, photo, foreground, whether the pixels count) of an image.
Look = tuple[str, Photo, Truth, Truth]


@dataclass
class Row:
    """What one source found in one set.

    Args:
        set: of images.
        source: name of the mask source.
        images: how many were looked at.
        iou: over all pixels.
        mean_iou: of the images that have foreground.
        recall: share of the foreground that was found.
        precision: share of what was found that is foreground.
        nothing: images in which nothing was found.
        seconds: of processor time an image.
        found: how many objects there were, by name.
        weights: checksum of what was measured.
    """

    set: str
    source: str
    images: int
    iou: float | None
    mean_iou: float | None
    recall: float | None
    precision: float | None
    nothing: int
    seconds: float
    found: dict[str, int]
    weights: str


def main() -> None:
    """Measure what was asked for, and add it to the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--set", default="pennfudan-train,ccp,roads,polyps,lungs,facades")
    parser.add_argument("--find", default="people,salient")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--unlabelled", type=Path, help="boxes of people whom a set does not label")
    parser.add_argument("--keep", type=Path, help="folder for what was found, to look at")
    given = parser.parse_args()
    models = Models(device="cpu")
    sources = load_sources(given.find.split(","), models)
    void = json.loads(given.unlabelled.read_text()) if given.unlabelled else {}
    known = json.loads(given.output.read_text()) if given.output.exists() else []
    rows = {(one["set"], one["source"]): one for one in known}
    for name in given.set.split(","):
        looks = list(SETS[name.removesuffix("*")](given.data))
        step = -(-len(looks) // given.images)
        for source in sources:
            keep = given.keep and given.keep / f"{name}-{source.name}"
            row = measured(name, source, (look() for look in looks[::step]), void.get(name), keep)
            sys.stdout.write(f"{json.dumps(asdict(row))}\n")
            rows[row.set, source.name] = asdict(row)
            text = json.dumps(
                sorted(rows.values(), key=lambda r: (r["set"], r["source"])), indent=1
            )
            write_atomically(given.output, f"{text}\n".encode())


def measured(
    name: str,
    source: MaskSource,
    looks: Iterable[Look],
    unlabelled: dict[str, list[list[int]]] | None,
    keep: Path | None,
) -> Row:
    """One source on the images of one set.

    Args:
        name: of the set.
        source: that is asked.
        looks: the images.
        unlabelled: boxes, by image; what is found in them and is not labelled does not count.
        keep: folder for what was found, as PNG, truth beside it.
    """
    shared = union = truth = marked = images = nothing = 0
    ious: list[float] = []
    found: Counter[str] = Counter()
    seconds = 0.0
    for file, photo, foreground, counts in looks:
        start = time.process_time()
        answer = source.find(photo, file)
        seconds += time.process_time() - start
        images += 1
        nothing += answer is None
        mask = np.zeros_like(foreground) if answer is None else answer.labels.values > 0
        found.update({} if answer is None else answer.objects or {})
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(keep / f"{file}.png"), (mask * 85 + foreground * 170).astype(np.uint8))
        for left, top, right, bottom in (unlabelled or {}).get(file, []):
            counts[top:bottom, left:right] &= foreground[top:bottom, left:right]
        mask = mask & counts
        both, either = int((mask & foreground).sum()), int((mask | foreground).sum())
        shared, union = shared + both, union + either
        truth, marked = truth + int(foreground.sum()), marked + int(mask.sum())
        ious += [both / either] if foreground.any() else []

    def share(part: int, whole: int) -> float | None:
        return round(part / whole, 4) if whole and truth else None

    mean = round(float(np.mean(ious)), 4) if ious else None
    weights = source.identity("")
    label = f"{name}, labelled people only" if unlabelled else name
    return Row(
        label, source.name, images, share(shared, union), mean, share(shared, truth),
        share(shared, marked), nothing, round(seconds / max(1, images), 3), dict(found), weights,
    )  # fmt: skip


def people(part: str) -> Callable[[Path], Iterable[Callable[[], Look]]]:
    """Penn-Fudan; everything counts."""

    def looks(data: Path) -> Iterable[Callable[[], Look]]:
        root = data / "pennfudan"
        file = root / "annotations" / f"instances_{part}.json"
        return [lambda s=s: of_sample(s) for s in read_instances(file, root / "images").samples]

    return looks


def of_sample(sample: Sample) -> Look:
    """A sample of a data set."""
    photo = sample.photo or Photo(sample.image)
    return sample.name, photo, sample.mask, np.ones_like(sample.mask)


def labelled(
    folder: str, images: str, masks: str, labels: Sequence[int] | None = None
) -> Callable[[Path], Iterable[Callable[[], Look]]]:
    """Photographs with label maps of the same stem.

    Args:
        labels: that are foreground; None is all but 0, nothing is none.
    """

    def looks(data: Path) -> Iterable[Callable[[], Look]]:
        root = data / folder
        files = sorted((root / images).glob("*.jpg"))
        if not files:
            raise UnsegError(f"{root / images} holds no .jpg: give the folder of the data sets")
        return [lambda f=f: one(root, f) for f in files]

    def one(root: Path, file: Path) -> Look:
        photo = read_photo(file)
        values = read_label_map(root / masks / f"{file.stem}.png").values
        foreground = values != 0 if labels is None else np.isin(values, labels)
        return file.stem, photo, foreground, values != 255

    return looks


SETS = {
    "pennfudan-train": people("train"),
    "pennfudan-test": people("test"),
    "ccp": labelled("corpus/ccp", "im", "gt"),
    "roads": labelled("roads", "images", "masks", ()),
    "polyps": labelled("polyps", "images", "masks", ()),
    "lungs": labelled("lungs", "images", "masks", ()),
    "facades": labelled("facades", "images", "masks", ()),
    "facades-cars": labelled("facades", "images", "masks", (2,)),
    "camvid-people": labelled("camvid", "JPEGImages", "SegmentationClass", (9, 10)),
}


if __name__ == "__main__":
    main()
