"""Label maps as annotations: what the layouts share whose truth is one image a photograph."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.base import read_lines
from unseg.datasets.layout import Annotation, Layout, is_background
from unseg.masks.labels import LabelMap, read_label_map
from unseg.masks.regions import LabelRules, foreground_labels


class MapLayout(Layout):
    """A layout with a label map for every photograph. Hooks: :meth:`map_of`, :meth:`numbers`."""

    @abstractmethod
    def map_of(self, image: str) -> str | None:
        """Name of an image's label map, or None."""

    @abstractmethod
    def numbers(self, labels: LabelMap) -> NDArray[np.int32]:
        """(H, W) numbers of classes, 0 where there is no object, of a map as it is stored."""

    def objects_of(self, image: str, labels: LabelMap) -> NDArray[np.int32] | None:
        """(H, W) numbers of an image's objects, 0 where there is none; None if not told apart."""
        return None

    def classes_in(self, image: str) -> frozenset[int] | None:
        found = self.map_of(image)
        if found is None:
            return None
        stored = read_label_map(self.root / found, found)
        held = values_in(stored)
        if stored.wide or 255 not in held or held <= {0, 255}:
            # What 255 means depends on where it lies; all else on the values alone.
            stored = replace(stored, values=np.array([sorted(held)], stored.values.dtype))
        return frozenset(np.unique(self.numbers(stored)).tolist()) - {0}

    def annotation(self, image: str, size: tuple[int, int]) -> Annotation | None:
        found = self.map_of(image)
        if found is None:
            return None
        stored = read_label_map(self.root / found, found)
        labels = self.numbers(stored)
        objects = self.objects_of(image, stored)
        if objects is not None and objects.shape == labels.shape:
            objects = np.where(labels > 0, objects, 0)
        else:
            objects = None
        return Annotation(labels, objects, file=found, remarks=stored.remarks)


def values_in(labels: LabelMap) -> set[int]:
    """The labels that a map holds."""
    values = labels.values
    if values.dtype == np.uint8:  # ten times as fast as sorting them
        return set(np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist())
    return set(np.unique(values).tolist())


def named(root: Path, *files: str) -> dict[int, str]:
    """Names by label of the first of the files that is there; line k, from 0, names label k."""
    for file in files:
        if (root / file).is_file():
            return dict(enumerate(read_lines(root / file, f"one name per line in {file}")))
    return {}


def numbered(names: Mapping[int, str]) -> tuple[dict[int, str], bool]:
    """Classes by number, and whether the map is dense: label 0 is a class that is no background.

    In a dense map the number of a class is its label + 1, in all others its label.
    """
    dense = 0 in names and not is_background(names[0])
    return ({i + dense: name for i, name in names.items() if i + dense > 0}, dense)


def plain_numbers(labels: LabelMap, *, dense: bool) -> NDArray[np.int32]:
    """(H, W) numbers of classes: the labels of the foreground, of a black and white mask 1."""
    rules = LabelRules(background=None if dense else 0)
    values = foreground_labels(labels, rules)
    if not dense and set(np.unique(values).tolist()) <= {-1, 255}:
        return (values == 255).astype(np.int32)
    return values + 1 if dense else np.maximum(values, 0)
