"""One's own images with masks: what protection does on the owner's data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.datasets.samples import VOID, LazySamples, Sample, Split
from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, hold_out
from unseg.evaluate.tasks.scores import class_iou
from unseg.files import walk
from unseg.images.formats import IMAGE_SUFFIXES
from unseg.masks.labels import read_label_map
from unseg.masks.pairing import MaskIndex, key_of
from unseg.provenance import sha256_files

LEAST = 4
"""Fewest images with masks: three to train on and one to test on."""
MOST_CLASSES = 64
"""Label maps with more values are taken for something else, such as maps of instances."""
IN_MEMORY = 100_000_000
"""Pixels in all up to which the images are held in memory."""
LAYOUT = "a mask or label map with the name of its image, such as a.jpg and a.png"


class FolderTask(Task):
    """A folder of images and one of masks: IoU of the foreground, or the mean over the classes.

    The classes are the values found in all masks together: of two, the higher is the foreground; of
    more, 255 is void in maps of 8 bits. A class of value 0 is background and not protected. Images
    without a mask are left out. Which images test is decided by their names and ``split_seed``.

    Args:
        images: folder of the images, searched recursively; by default ``images`` below the data.
        masks: folder of the masks; by default ``masks`` below the data.
        split_seed: of the order in which images are taken to test on.
        test_share: of the images that are tested on, above 0 and below 1; at least one image, and
            at least one stays to train on.
        class_names: of the values found, in their order; by default the values themselves.
    """

    name = "folder"
    folder = ""
    problem = Problem("semantic", ("background", "foreground"))
    metric = "iou"
    floor = 0.30
    summary = "your own images and masks, split by name and a seed"

    def __init__(
        self,
        *,
        images: Path | None = None,
        masks: Path | None = None,
        split_seed: int = 0,
        test_share: float = 0.25,
        class_names: Sequence[str] = (),
    ) -> None:
        if not 0 < test_share < 1:
            raise UnsegError(f"--test-share {test_share:g}: expected a share above 0 and below 1")
        self._images, self._masks = images, masks
        self.split_seed, self.test_share = split_seed, test_share
        self.class_names = list(class_names)

    def load(self, root: Path, part: Part = "test") -> Split:
        pairs = self._find(self._images or root / "images", self._masks or root / "masks")
        for image, mask in pairs.values():
            _check_sizes(image, mask)
        values = _values(mask for _, mask in pairs.values())
        self.problem = self._problem(values)
        names = sorted(pairs)
        tested = set(self._chosen(names))
        train = [name for name in names if name not in tested]
        test = [name for name in names if name in tested]
        if part == "val":
            # No sample is read: what is held out depends on names alone.
            held = hold_out(LazySamples(train, lambda i: self._read(train[i], pairs, values)))
            train, test = (list(one.names) for one in held)

        def samples(chosen: Sequence[str]) -> Sequence[Sample]:
            lazy = LazySamples(chosen, lambda i: self._read(chosen[i], pairs, values))
            return tuple(lazy) if _pixels(pairs) <= IN_MEMORY else lazy

        files = [path for both in pairs.values() for path in both]
        return Split(samples(train), samples(test), sha256_files(files))

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        scores = class_iou(pairs, self.problem.classes)
        mean = scores.pop("miou")
        if not self.problem.binary:
            return {"iou": mean, **scores}
        return {"iou": scores.get(f"iou/{self.problem.classes[1]}", 0.0), **scores}

    def _find(self, images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
        for option, folder in (("--images", images), ("--masks", masks)):
            if not folder.is_dir():
                raise UnsegError(f"{option} {folder} is not a folder: give one with {LAYOUT}")
        index = MaskIndex(masks)
        # Where the masks lie among the images, what is no mask's own name is an image.
        inside = {masks.resolve()} if masks.resolve() != images.resolve() else set()
        found = {}
        for path, name in walk([images], inside):
            mask = index.find(name) if path.suffix.lower() in IMAGE_SUFFIXES else None
            if mask is not None and masks / mask != path:
                found[key_of(name)] = (path, masks / mask)
        if len(found) < LEAST:
            raise UnsegError(
                f"{images} has {len(found)} images with a mask in {masks}: expected at least "
                f"{LEAST}, each with {LAYOUT}"
            )
        return found

    def _problem(self, values: Sequence[int]) -> Problem:
        classes = self.class_names or _named(values)
        if len(classes) != len(values):
            raise UnsegError(
                f"--class-names names {len(classes)} classes but the label maps hold "
                f"{len(values)}, {', '.join(map(str, values))}: name each of them, in this order"
            )
        return replace(self.problem, classes=tuple(classes))

    def _chosen(self, names: Sequence[str]) -> list[str]:
        """The images to test on: the first of an order that names and seed decide."""

        def order(name: str) -> bytes:
            return hashlib.sha256(f"{self.split_seed}/{name}".encode()).digest()

        count = min(max(1, round(self.test_share * len(names))), len(names) - 1)
        return sorted(names, key=order)[:count]

    def _read(
        self, name: str, pairs: dict[str, tuple[Path, Path]], values: Sequence[int]
    ) -> Sample:
        image, mask = pairs[name]
        labels = _indices(mask, values)
        background = labels == 0 if values[0] == 0 else np.zeros(labels.shape, bool)
        return Sample.read(name, image, ~background & (labels != VOID), labels=labels)


def _named(values: Sequence[int]) -> list[str]:
    if len(values) == 2:
        return ["background", "foreground"]
    return ["background" if value == 0 else str(value) for value in values]


def _values(masks: Iterable[Path]) -> tuple[int, ...]:
    """The values of all maps that are classes, ascending: two are a mask's, of more 255 is void.

    Raises:
        UnsegError: when there is one value alone, or more than maps of classes have.
    """
    found: set[int] = set()
    wide = False
    for path in masks:
        labels = read_label_map(path)
        wide = wide or labels.wide
        found.update(np.unique(labels.values).tolist())
        if len(found) > MOST_CLASSES + 1:
            raise UnsegError(
                f"{path}: the masks hold more than {MOST_CLASSES} values: expected masks of one "
                "foreground, or label maps of classes, not of instances or colours"
            )
    if len(found) > 2 and not wide:
        found.discard(VOID)
    if len(found) < 2:
        raise UnsegError(
            f"all masks hold only the value {min(found)}: expected a foreground and a "
            "background, or several classes"
        )
    return tuple(sorted(found))


def _indices(path: Path, values: Sequence[int]) -> NDArray[np.uint8]:
    """(H, W) uint8 indices of the values; 255 is void."""
    found = read_label_map(path).values
    places = np.searchsorted(values, found)
    known = np.asarray(values)[np.minimum(places, len(values) - 1)] == found
    return np.where(known, places, VOID).astype(np.uint8)


def _check_sizes(image: Path, mask: Path) -> None:
    """Refuse a pair of different sizes before anything is trained; headers alone are read."""
    sizes = [_viewed_size(path) for path in (image, mask)]
    if sizes[0] != sizes[1]:
        (width, height), (other_width, other_height) = sizes
        raise UnsegError(
            f"{image} is {width}x{height} but its mask {mask} is {other_width}x{other_height}: "
            "both must have the same size"
        )


def _viewed_size(path: Path) -> tuple[int, int]:
    """(width, height) in viewing orientation."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            width, height = image.size
    except OSError as error:
        raise UnsegError(f"{path} cannot be read as an image: {error}") from error
    return (height, width) if turned else (width, height)


def _pixels(pairs: dict[str, tuple[Path, Path]]) -> int:
    return sum(width * height for width, height in (_viewed_size(i) for i, _ in pairs.values()))
