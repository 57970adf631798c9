"""What a network that scales and compresses what is posted leaves of the noise."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.files import AnyPath
from unseg.images.reader import decode, read_photo, rgb_of
from unseg.masks.labels import read_label_map
from unseg.progress import Progress, Update, silent
from unseg.protect.manifest import MANIFEST, Manifest, Record, parts_of
from unseg.protect.verify import find_original


@dataclass(frozen=True)
class Platform:
    """What is done to an image that is posted.

    Args:
        name: of the preset.
        side: longest side that is kept, in pixels; longer ones are scaled down.
        quality: of the JPEG, 1..100.
        full_colour: whether colours are kept at full size (4:4:4); else at half (4:2:0).
    """

    name: str
    side: int
    quality: int
    full_colour: bool = False

    def __str__(self) -> str:
        colours = "4:4:4" if self.full_colour else "4:2:0"
        return f"{self.side} pixels, JPEG {self.quality}, {colours}"


#: Kinds of places where photographs are posted; networks change what they do without notice.
PLATFORMS = {
    one.name: one
    for one in (
        Platform("feed", 1080, 75),
        Platform("large", 2048, 85),
        Platform("messenger", 1600, 70),
        Platform("preview", 600, 75),
        Platform("gallery", 4096, 92, full_colour=True),
    )
}
DEFAULT_PLATFORM = "feed"


@dataclass(frozen=True)
class Posted:
    """What is left of the noise of one image.

    Args:
        name: of the protected file.
        size: (width, height) as posted.
        kept: share of the noise's energy that is left inside the mask, 0..1.
        correlation: Pearson's, of the noise that was added and what is left, inside the mask.
        masked: whether a mask says where; else it is the whole image.
    """

    name: str
    size: tuple[int, int]
    kept: float
    correlation: float
    masked: bool

    def sentence(self, platform: Platform) -> str:
        """The finding in words."""
        where = "inside the mask" if self.masked else "in the image"
        return (
            f"posted at {self.size[0]} x {self.size[1]} ({platform}), {amount(self.kept)} of the "
            f"noise {where} is left: {self.kept:.0%} of its energy"
        )


def amount(kept: float) -> str:
    """A share in a word.

    Example:
        >>> [amount(share) for share in (0.05, 0.4, 0.9)]
        ['little', 'part', 'most']
    """
    return "little" if kept < 0.25 else "part" if kept < 0.7 else "most"


def publish(pixels: NDArray[np.uint8], platform: Platform) -> tuple[NDArray[np.uint8], bytes]:
    """An image as it is shown after it was posted, and the file.

    Args:
        pixels: (H, W, 3) uint8.
        platform: what is done to it.

    Returns:
        (h, w, 3) uint8, no larger, and a JPEG.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, platform.side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    stream = io.BytesIO()
    subsampling = 0 if platform.full_colour else 2
    Image.fromarray(pixels).save(stream, "JPEG", quality=platform.quality, subsampling=subsampling)
    with Image.open(io.BytesIO(stream.getvalue())) as image:
        return np.asarray(image.convert("RGB")), stream.getvalue()


def left_over(
    original: NDArray[np.uint8],
    protected: NDArray[np.uint8],
    mask: NDArray[np.bool_] | None,
    platform: Platform,
    name: str = "image",
) -> Posted:
    """How much of the noise is left after posting.

    The noise that was added, n, is compared with what posting makes of it, d: the difference of the
    posted protected image and the posted original, enlarged to the original's size. ``kept`` is
    <n, d> / <n, n>. Of noise that only loses its fine detail this is the share of its energy that
    is left; the error that compression adds has nothing to do with n and does not count.

    Args:
        original: (H, W, 3) uint8.
        protected: the same shape.
        mask: (H, W), bool; None is the whole image.
        platform: what is done to it.
        name: of the protected file.

    Raises:
        UnsegError: when the images differ in size, or are equal inside the mask.
    """
    if original.shape != protected.shape:
        raise UnsegError(
            f"{name} has another size than its original: give the original of this one"
        )
    height, width = original.shape[:2]
    shown = publish(protected, platform)[0].astype(np.float32)
    shown -= publish(original, platform)[0]
    size = shown.shape[1], shown.shape[0]
    if size != (width, height):
        shown = np.asarray(cv2.resize(shown, (width, height), interpolation=cv2.INTER_LINEAR))
    where = np.ones((height, width), bool) if mask is None or not mask.any() else mask
    added = (protected.astype(np.float32) - original)[where].astype(np.float64)
    left = shown[where].astype(np.float64)
    energy = float((added**2).sum())
    if energy == 0:
        raise UnsegError(f"{name} equals its original, so there is no noise to lose")
    both = float((added * left).sum())
    added -= added.mean()
    left -= left.mean()
    spread = math.sqrt(float((added**2).sum()) * float((left**2).sum()))
    correlation = float((added * left).sum()) / spread if spread else 0.0
    return Posted(
        name, size, min(1.0, max(0.0, both / energy)), correlation,
        mask is not None and bool(mask.any()),
    )  # fmt: skip


def posted(
    protected: AnyPath,
    originals: AnyPath | Sequence[AnyPath],
    platform: Platform = PLATFORMS[DEFAULT_PLATFORM],
    *,
    progress: Progress = silent,
) -> list[Posted]:
    """What is left of the noise of a protected image or folder; all that ``unseg posted`` does.

    Args:
        protected: a file, or a folder that ``unseg protect`` wrote. Masks are the stored ones;
            of a file without a manifest the whole image counts.
        originals: the files or folders that were protected.
        platform: what is done to what is posted.
        progress: told of every image.

    Returns:
        One for each image that was protected.

    Raises:
        UnsegError: when there is no such image, or no original of one.

    Example:
        [found] = unseg.protect.posted.posted("protected/a.png", "photos")
    """
    place = Path(protected)
    given = [originals] if isinstance(originals, str) or not isinstance(originals, Sequence) else (
        originals
    )  # fmt: skip
    sources = [Path(one) for one in given]
    if not place.exists():
        raise UnsegError(f"{place} does not exist: expected what unseg protect wrote")
    missing = [one for one in sources if not one.exists()]
    if missing:
        raise UnsegError(f"--originals {missing[0]} does not exist: expected what was protected")
    folder = place if place.is_dir() else _folder_of(place)
    if folder is None:
        return [_of_pair(place, sources, platform)]
    records = [one for one in Manifest(folder).read()[0] if one.status == "protected"]
    if place.is_file():
        records = [one for one in records if (folder / one.output).resolve() == place.resolve()]
    if not records:
        raise UnsegError(f"{place} is not listed in {folder / MANIFEST} as protected")
    found = []
    progress(Update("posting", 0, len(records)))
    for number, record in enumerate(records, 1):
        found.append(_of_record(folder, record, sources, platform))
        progress(Update("posting", number, len(records)))
    return found


def summary(found: Sequence[Posted], platform: Platform) -> str:
    """What was found of one or many images, in a sentence."""
    if len(found) == 1:
        return found[0].sentence(platform)
    least = min(found, key=lambda one: one.kept)
    mean = fmean(one.kept for one in found)
    return (
        f"posted ({platform}), {amount(mean)} of the noise is left: {mean:.0%} of its energy in "
        f"the mean of {len(found)} images, {least.kept:.0%} at least ({least.name})"
    )


def _folder_of(file: Path) -> Path | None:
    """The nearest folder around a file that holds a manifest."""
    for folder in file.resolve().parents:
        if (folder / MANIFEST).is_file() or parts_of(folder, MANIFEST):
            return folder
    return None


def _of_record(folder: Path, record: Record, sources: Sequence[Path], platform: Platform) -> Posted:
    before = decode(find_original(record, sources), record.source, record.range or "full")
    after = read_photo(folder / record.output, record.output, record.range or "full")
    mask = None
    if record.mask is not None:
        mask = read_label_map(folder / record.mask, record.mask).values > 0
    return left_over(rgb_of(before), rgb_of(after), mask, platform, record.output)


def _of_pair(file: Path, sources: Sequence[Path], platform: Platform) -> Posted:
    named = [path for one in sources for path in ([one] if one.is_file() else one.glob("*"))
             if path.is_file() and (one.is_file() or path.stem == file.stem)]  # fmt: skip
    if len(named) != 1:
        raise UnsegError(
            f"{file} is in no folder with a {MANIFEST}, so its original is not known: give the "
            "one file with --originals"
        )
    return left_over(
        rgb_of(read_photo(named[0])), rgb_of(read_photo(file)), None, platform, file.name
    )
