"""The reader of masks and label maps: files to a foreground and the regions inside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.images import png

Target = Literal["union", "class", "instance"]
TARGETS: tuple[str, ...] = get_args(Target)
SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})

#: Cells along the long side of SAM's mask prompt: a smaller region cannot be prompted for.
PROMPT_CELLS = 256
#: Prompts an image, the union's excepted; the smallest regions beyond it share the union's.
MAX_REGIONS = 255
#: By bits of a PNG's grey: what Pillow multiplies its values with to fill eight bits.
SPREAD = {2: 85, 4: 17}
#: In a black and white mask with soft edges: the last black, the first light shade and the first
#: white, and the least number of shades.
NEARLY_BLACK, LIGHT, NEARLY_WHITE, SHADES = 8, 200, 247, 8
#: Code of a region without noise: what carries none is what a whole clean image looks like to a
#: victim. Background has it; where every label is a class, some of them do.
QUIET = -2
#: Code of all the others where some labels are silent: there is noise, or there is none.
LOUD = 1


@dataclass(frozen=True)
class LabelMap:
    """Labels of an image's pixels.

    Args:
        values: (H, W), of an integer dtype, not negative.
        wide: whether the file holds more than 8 bits a pixel, so that labels are instance ids.
    """

    values: NDArray[np.integer[Any]]
    wide: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.values.shape[1], self.values.shape[0]


@dataclass(frozen=True)
class LabelRules:
    """What the labels of a map mean.

    Args:
        target: one prompt for the union of the foreground, one a class, or one an instance.
        classes: the labels that are foreground; None is every label but background and void.
        void: the label to be ignored; ``"auto"`` is 255 in maps of 8 bits and none in wider ones,
            where 255 is an instance like any other; None is no void.
        background: the label that is background; None when every label is a class.
        silent: with one prompt a class, the labels that carry no noise; all others share one
            texture. None gives every class a texture of its own, and where every label is a class
            the first, 0, carries none.
    """

    target: Target = "union"
    classes: tuple[int, ...] | None = None
    void: int | Literal["auto"] | None = "auto"
    background: int | None = 0
    silent: tuple[int, ...] | None = None


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


def read_label_map(path: Path, name: str | None = None) -> LabelMap:
    """Read a mask or label map.

    Understood are 1, 8 and 16 bits of grey, palettes (the index counts, not the colour), and
    colour: with three equal channels it is read as grey, otherwise as COCO's panoptic ids
    R + 256 G + 65536 B. An alpha channel is ignored. A black and white mask with soft edges, in
    grey, is cut at half of white.

    Args:
        path: a PNG, TIFF or BMP file.
        name: what to call it in messages; the path if None.

    Raises:
        UnsegError: when the file cannot be read or its pixels are none of the above.
    """
    name = name or str(path)
    with _opened(path, name) as image:
        depth, coloured = _png_depth(path)
        if depth == 16 and coloured:
            raise UnsegError(
                f"{name} is a PNG of 16 bits in colour: expected labels of 1, 8 or 16 bits of grey"
            )
        if depth in SPREAD and not coloured:
            return LabelMap(np.asarray(image.convert("L")) // SPREAD[depth])
        return labels_of(image, name)


def read_binary_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask of one foreground: pixels above half of white, or 1 in a mask of 0 and 1.

    Any format of Pillow's will do, JPEG too: its grey levels near black and white are cut off.

    Returns:
        (H, W) bool.

    Raises:
        UnsegError: when the file cannot be read.
    """
    with _opened(path, str(path)) as image:
        grey = np.asarray(image.convert("L"))
    return grey > (0 if grey.max(initial=0) == 1 else 127)


def _png_depth(path: Path) -> tuple[int, bool]:
    """Bits a sample of a PNG and whether it has a palette or colour; (0, False) of other files."""
    with path.open("rb") as file:
        head = file.read(26)
    if not head.startswith(png.SIGNATURE) or len(head) < 26:
        return 0, False
    depth, colour = png.header(head)
    return depth, colour not in (0, 4)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Image.Image]:
    """A mask file; whatever goes wrong while it is read becomes an error that names it."""
    try:
        with Image.open(path) as image:
            yield image
    except UnsegError:
        raise
    except Exception as error:  # Pillow raises whatever its plugins meet in a damaged file
        raise UnsegError(
            f"{name} cannot be read as a mask ({_reason(error)}): expected a PNG of labels, "
            "write it again"
        ) from error


def labels_of(image: Image.Image, name: str = "the mask") -> LabelMap:
    """Labels of a Pillow image; see :func:`read_label_map`."""
    if image.mode in {"1", "P"}:
        return LabelMap(np.asarray(image).astype(np.uint8))
    if image.mode == "L":
        return LabelMap(_hardened(np.asarray(image)))
    if image.mode in {"LA", "PA"}:
        values = np.ascontiguousarray(np.asarray(image)[..., 0])
        return LabelMap(_hardened(values) if image.mode == "LA" else values)
    if image.mode in {"I;16", "I;16B", "I;16L", "I;16N", "I"}:
        values = np.asarray(image)
        if values.size and values.min() < 0:
            raise UnsegError(f"{name} holds negative labels: expected 0 and above")
        return LabelMap(values.astype(np.int32), wide=True)
    if image.mode in {"RGB", "RGBA"}:
        red, green, blue = (np.asarray(image)[..., i] for i in range(3))
        if np.array_equal(red, green) and np.array_equal(red, blue):
            return LabelMap(_hardened(np.ascontiguousarray(red)))
        ids = blue.astype(np.int32)
        for channel in (green, red):
            ids = ids * 256 + channel
        return LabelMap(ids, wide=True)
    raise UnsegError(
        f"{name} is an image of mode {image.mode}: expected a PNG of labels with 1, 8 or 16 bits "
        "of grey or a palette"
    )


def _hardened(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a black and white mask with soft edges at half of white; label maps stay as they are.

    Drawing programs, resizing and JPEG leave shades between, which are no labels. A map is taken
    for such a mask when it has black, white and eight shades or more, light ones that no set of
    labels reaches among them, and more of its pixels are white than between: where 255 is void
    beside eight labels, it covers less than they do.
    """
    count = np.bincount(grey.ravel(), minlength=256)
    between = count[NEARLY_BLACK + 1 : NEARLY_WHITE]
    shades = np.count_nonzero(between) >= SHADES and count[LIGHT:NEARLY_WHITE].any()
    if not (shades and count[0] and count[255]) or count[NEARLY_WHITE:].sum() <= between.sum():
        return grey
    return np.where(grey > 127, 255, 0).astype(np.uint8)


def find_regions(labels: LabelMap, rules: LabelRules) -> Regions:
    """Foreground and regions of a label map.

    Values 0 and 255 alone are a binary mask: 255 is foreground then, unless the rules say that
    0 is a class or name the classes. An instance is a label in maps of more than 8 bits, and a
    connected piece (8 neighbours) of a label in the others. A region that covers less than a cell
    of SAM's mask prompt gets no prompt of its own, nor do those beyond the largest
    :data:`MAX_REGIONS`; they stay foreground with the union's noise.

    Example:
        >>> values = np.array([[0, 1, 255], [0, 2, 2]], np.int32)
        >>> regions = find_regions(LabelMap(values), LabelRules(target="class"))
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
    if rules.void == "auto":
        return None if labels.wide else 255
    return rules.void


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


def _reason(error: Exception) -> str:
    """First line of a message, without the memory address Pillow puts into it."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "not an image" if "cannot identify image file" in text else text
