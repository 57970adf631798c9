"""What the labels of a map mean: the foreground and the regions that get noise of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from unseg.masks.labelmap import LabelMap

Target = Literal["union", "class", "instance"]
TARGETS: tuple[str, ...] = get_args(Target)

#: Cells along the long side of SAM's mask prompt: a smaller region cannot be prompted for.
PROMPT_CELLS = 256
#: Prompts an image, the union's excepted; the smallest regions beyond it share the union's.
MAX_REGIONS = 255
#: Code of a region without noise: what carries none is what a whole clean image looks like to a
#: victim. Background has it; where every label is a class, some of them do.
QUIET = -2
#: Code of all the others where some labels are silent: there is noise, or there is none.
LOUD = 1


@dataclass(frozen=True)
class LabelRules:
    """What the labels of a map mean.

    Args:
        target: one prompt for the union of the foreground, one a class, or one an instance.
        classes: the labels that are foreground; None is every label but background and void.
        void: the label to be ignored; ``"auto"`` is 255 in maps of 8 bits, unless it is the bulk
            of what is not background and enclosed by other labels, and none in wider ones, where
            255 is an instance like any other; None is no void.
        background: the label that is background; None when every label is a class.
        silent: with one prompt a class, the labels that carry no noise; all others share one
            texture. None gives every class a texture of its own, and where every label is a class
            the first, 0, carries none.
        colours: of the run's colour maps, sorted, which number their classes from 1; None numbers
            a class by its label.
    """

    target: Target = "union"
    classes: tuple[int, ...] | None = None
    void: int | Literal["auto"] | None = "auto"
    background: int | None = 0
    silent: tuple[int, ...] | None = None
    colours: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Regions:
    """The foreground of an image and the regions that get noise of their own.

    Args:
        foreground: (H, W), bool.
        index: (H, W), uint8; 0 where the union's noise is used, r where region r's is.
        codes: of every region from 1 on, which texture it asks for: equal for equal classes in all
            images, so that the noise can say *which* class; of instances, their number;
            :data:`QUIET` asks for no noise.
    """

    foreground: NDArray[np.bool_]
    index: NDArray[np.uint8]
    codes: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Number of regions, the largest value of ``index``."""
        return len(self.codes)

    @classmethod
    def union(cls, foreground: NDArray[np.bool_]) -> Regions:
        """One prompt: the whole foreground."""
        return cls(foreground, np.zeros(foreground.shape, np.uint8))


def regions_of(labels: LabelMap, rules: LabelRules) -> Regions:
    """Foreground and regions of a label map.

    Values 0 and 255 alone are a binary mask: 255 is foreground then, unless the rules say that
    0 is a class or name the classes. An instance is a label in maps of more than 8 bits, and a
    connected piece (8 neighbours) of a label in the others. A region that covers less than a cell
    of SAM's mask prompt gets no prompt of its own, nor do those beyond the largest
    :data:`MAX_REGIONS`; they stay foreground with the union's noise.

    Example:
        >>> values = np.array([[0, 1, 255], [0, 2, 2]], np.int32)
        >>> regions = regions_of(LabelMap(values), LabelRules(target="class"))
        >>> regions.foreground.astype(int).tolist(), regions.index.tolist(), regions.count
        ([[0, 1, 0], [0, 1, 1]], [[0, 1, 0], [0, 2, 2]], 2)
    """
    foreground = _foreground(labels, rules)
    if rules.target == "union" or not foreground.any():
        return Regions.union(foreground)
    values = _labels_in(labels, foreground)
    if rules.target == "class" and rules.silent is not None:
        loud = np.where(np.isin(values, rules.silent), 1, 2)
        codes = np.array([QUIET, LOUD])
        return _keep_large(foreground, np.where(foreground, loud, 0), codes)
    if rules.target == "instance" and not labels.wide:
        return _keep_large(foreground, _components(values), None)
    found = np.unique(values[foreground])
    pieces = np.where(foreground, np.searchsorted(found, values) + 1, 0).astype(np.int32)
    if rules.target == "instance":
        return _keep_large(foreground, pieces, None)
    # The first class has the code of a single foreground, or is what background is elsewhere.
    if labels.coloured and rules.colours is not None:
        found = (np.searchsorted(rules.colours, found) + (found > 0)).astype(np.int32)
    if rules.classes is not None and 0 in rules.classes:
        codes = found  # asked for by name, 0 has noise as all others have
    else:
        codes = found - 1 if rules.background == 0 else np.where(found == 0, QUIET, found)
    return _keep_large(foreground, pieces, codes)


def foreground_labels(labels: LabelMap, rules: LabelRules) -> NDArray[np.int32]:
    """(H, W) int32, the labels of the foreground and -1 elsewhere."""
    return _labels_in(labels, _foreground(labels, rules))


def _labels_in(labels: LabelMap, foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    values = labels.values.astype(np.int32)
    values[~foreground] = -1
    return values


def void_share(labels: LabelMap, rules: LabelRules) -> float:
    """Share of the pixels that are void and so counted as background, 0..1."""
    void = _void(labels, rules)
    if void is None or rules.classes is not None or _binary(labels, rules):
        return 0.0
    return float((labels.values == void).mean())


def _foreground(labels: LabelMap, rules: LabelRules) -> NDArray[np.bool_]:
    values = labels.values
    if rules.classes is not None:
        return np.isin(values, rules.classes)
    foreground = np.ones(values.shape, bool)
    if rules.background is not None:
        foreground &= values != rules.background
    void = _void(labels, rules)
    if void is not None and not _binary(labels, rules):
        foreground &= values != void
    return foreground


def _void(labels: LabelMap, rules: LabelRules) -> int | None:
    return labels.usual_void if rules.void == "auto" else rules.void


def _binary(labels: LabelMap, rules: LabelRules) -> bool:
    """Whether the map is a mask of 0 and 255, in which 255 is foreground."""
    values = labels.values
    return rules.background == 0 and bool(((values == 0) | (values == 255)).all())


def _components(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number the connected pieces of equal labels from 1; -1 is no label and becomes 0."""
    pieces = np.zeros(values.shape, np.int32)
    total = 0
    for value in np.unique(values[values >= 0]):
        count, found = cv2.connectedComponents((values == value).astype(np.uint8), connectivity=8)
        pieces[found > 0] = found[found > 0] + total
        total += count - 1
    return pieces


def _keep_large(
    foreground: NDArray[np.bool_], pieces: NDArray[np.int32], codes: NDArray[np.int32] | None
) -> Regions:
    """Renumber the pieces worth a prompt from 1; the others become 0, the union's.

    ``codes`` holds that of every piece; None numbers those that are kept.
    """
    area = np.bincount(pieces.ravel())
    area[0] = 0
    cell = max(1.0, max(pieces.shape) / PROMPT_CELLS) ** 2
    kept = [int(i) for i in np.argsort(-area, kind="stable")[:MAX_REGIONS] if area[i] >= cell]
    kept.sort()
    own = tuple(range(len(kept))) if codes is None else tuple(int(codes[i - 1]) for i in kept)
    if len(kept) == 1 and area[kept[0]] == foreground.sum() and own[0] <= 0:
        return Regions.union(foreground)  # its prompt would be the union's once more
    number = np.zeros(len(area), np.uint8)
    number[kept] = np.arange(1, len(kept) + 1, dtype=np.uint8)
    return Regions(foreground, number[pieces], own)
