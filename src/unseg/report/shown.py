"""One image next to its protected form: what was protected, and what people see of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.images.formats import MASK_SUFFIXES
from unseg.images.photo import Photo
from unseg.images.reader import read_photo, rgb_of
from unseg.masks.clicks import Clicks
from unseg.masks.find import find_regions
from unseg.masks.labels import read_label_map
from unseg.masks.sources.file import MaskFiles
from unseg.protect.folder import protect_folder
from unseg.protect.judge import words_of
from unseg.protect.manifest import MANIFEST, Manifest, Record
from unseg.protect.quality import Quality, compare
from unseg.protect.settings import Settings
from unseg.report.panels import panel

#: Factor of the noise in pictures: 8 steps use the whole range, from black to white around grey.
GAIN = 16


@dataclass(frozen=True)
class ShownPair:
    """An original and its protected form.

    Args:
        name: of the image.
        before: (H, W, 3) uint8, the original as a viewer shows it.
        after: (H, W, 3) uint8, protected.
        mask: (H, W) bool, the foreground; None where it is not known.
        source: where the mask comes from; empty where it is not known.
        warnings: what may mean that the wrong thing was protected.
    """

    name: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None = None
    source: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """(H, W) bool: the mask, or the whole image where it is not known."""
        return np.ones(self.before.shape[:2], bool) if self.mask is None else self.mask

    def quality(self) -> Quality:
        """How far the two differ, in 8-bit steps."""
        return compare(Photo(self.before), Photo(self.after), self.foreground)

    def sentence(self) -> str:
        """What people see of the noise, in words, with the figures behind it."""
        found = self.quality()
        if found.psnr is None:
            return "nothing differs"
        where = "the whole image is judged, as its mask is not known"
        if self.mask is not None:
            where = f"mask {self.mask.mean():.0%} of the image ({self.source})"
        outside = "" if self.mask is None else f" inside the mask, {found.change.outside:g} outside"
        return (
            f"{words_of(found.visibility)} ({found.visibility:.0f} of 100); largest change "
            f"{found.change.inside:g} steps{outside}; {found.psnr:.1f} dB; {where}"
        )

    def picture(self) -> Image.Image:
        """Original, protected, noise times 16, the mask over the photograph; the score above."""
        return panel(
            self.before, self.after, self.foreground, GAIN,
            title=self.name, caption=self.sentence(), drawn=True,
        )  # fmt: skip


def shown_pair(original: Path, protected: Path, masks: Path | None = None) -> ShownPair:
    """A protected image next to its original.

    Args:
        original: the file that was protected.
        protected: what was written; may have been encoded anew since.
        masks: the image's mask, or a folder of masks; None is the mask that the run stored, if the
            protected image still lies in its folder.

    Raises:
        UnsegError: when a file cannot be read, the sizes differ, or no mask fits.
    """
    before = read_photo(original, original.name)
    after = read_photo(protected, protected.name, before.stated_range)
    if before.size != after.size:
        raise UnsegError(
            "{} is {}x{} but {} is {}x{}: give the original that it was made of".format(
                protected, *after.size, original, *before.size
            )
        )
    mask, source = None, ""
    if masks is not None:
        with _folder_of(masks, original) as folder:
            assert folder is not None
            files = MaskFiles(folder, images=[original.name])
            if files.path_of(original.name) is None:
                raise UnsegError(
                    f"--masks {masks} has no mask for {original.name}: expected {original.stem}.png"
                )
            found = find_regions(before, [files], Settings().rules, original.name)
        mask, source = found.regions.foreground, found.source
    elif (listed := _record_of(protected)) is not None:
        folder, record = listed
        if record.mask is not None:
            mask = read_label_map(folder / record.mask, record.mask).values > 0
            source = record.mask_source or ""
            if mask.shape != before.pixels.shape[:2]:
                raise UnsegError(f"{folder / record.mask} has another size than {original}")
    return ShownPair(original.name, rgb_of(before), rgb_of(after), mask, source)


def shown_preview(
    image: Path,
    settings: Settings | None = None,
    masks: Path | None = None,
    clicks: Clicks | None = None,
) -> ShownPair:
    """What ``unseg protect`` would make of an image; nothing is kept.

    Args:
        image: the original.
        settings: of the run.
        masks: the image's mask, a folder of masks, or annotations.
        clicks: points and boxes in the image.

    Raises:
        UnsegError: when the image cannot be protected.
    """
    if _record_of(image) is not None:
        raise UnsegError(f"{image} is what unseg protect wrote: say with --original what it was")
    with (
        tempfile.TemporaryDirectory(prefix="unseg-show-") as name,
        _folder_of(masks, image) as folder,
    ):
        out = Path(name) / "out"
        report = protect_folder([image], out, settings, masks=folder, clicks=clicks)
        [record] = report.records
        if record.error is not None:
            raise UnsegError(record.error)
        found = shown_pair(image, out / record.output)
        return ShownPair(
            image.name, found.before, found.after, found.mask, found.source,
            list(report.warnings),
        )  # fmt: skip


@contextmanager
def _folder_of(masks: Path | None, image: Path) -> Iterator[Path | None]:
    """A single mask in a folder of its own, under the image's name; all else as it is."""
    if masks is None or not masks.is_file() or masks.suffix.lower() not in MASK_SUFFIXES:
        yield masks
        return
    with tempfile.TemporaryDirectory(prefix="unseg-mask-") as name:
        shutil.copyfile(masks, Path(name) / f"{image.stem}{masks.suffix}")
        yield Path(name)


def _record_of(protected: Path) -> tuple[Path, Record] | None:
    """The folder and record of an image that lies where ``unseg protect`` wrote it."""
    here = protected.resolve()
    for folder in here.parents:
        if (folder / MANIFEST).is_file():
            name = here.relative_to(folder).as_posix()
            records, _ = Manifest(folder).read()
            return next(((folder, one) for one in records if one.output == name), None)
    return None
