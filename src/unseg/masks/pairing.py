"""The one way to pair images with masks: by their place in the tree, then by their stem."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from unseg.errors import UnsegError
from unseg.files import walk
from unseg.images.formats import MASK_SUFFIXES


def key_of(name: str) -> str:
    """What a file is paired by: its name below its folder, without suffix, in Unicode's NFC.

    Example:
        >>> key_of("street/a.b.png")
        'street/a.b'
    """
    return nfc(str(PurePosixPath(name).with_suffix("")))


def nfc(name: str) -> str:
    """A name in Unicode's composed form: some systems store accents apart."""
    return unicodedata.normalize("NFC", name)


class MaskIndex:
    """The masks of a folder, found again by the names of images.

    Args:
        folder: searched recursively; hidden files and folders are left out.
        suffixes: of masks; where two masks have one stem, that whose suffix is named first wins.
        skipped: resolved folders that are left out.

    Raises:
        UnsegError: when a folder cannot be listed.
    """

    def __init__(
        self,
        folder: Path,
        suffixes: Sequence[str] = MASK_SUFFIXES,
        skipped: Collection[Path] = (),
    ) -> None:
        self.folder = folder
        order = {suffix: place for place, suffix in enumerate(suffixes)}
        found: dict[str, tuple[int, str]] = {}
        for path, name in walk([folder], skipped):
            place = order.get(path.suffix.lower())
            if place is not None:
                key = key_of(name)
                found[key] = min(found.get(key, (place, name)), (place, name))
        #: Names of the masks below the folder, by key.
        self.names = {key: name for key, (_, name) in found.items()}

    def __len__(self) -> int:
        return len(self.names)

    def find(self, image: str) -> str | None:
        """Name of an image's mask below the folder: at its place in the tree, else by its stem.

        Args:
            image: name of the image below its own folder, with ``/``.
        """
        key = key_of(image)
        return self.names.get(key, self.names.get(PurePosixPath(key).name))

    def unused(self, images: Iterable[str]) -> list[str]:
        """Names of the masks that belong to none of the images, sorted."""
        used = {self.find(image) for image in images}
        return sorted(name for name in self.names.values() if name not in used)


def pair(
    images: Sequence[Path], masks: Path, layout: str, suffixes: Sequence[str] = MASK_SUFFIXES
) -> list[Path]:
    """The mask of every image, in another folder; one that is missing is an error.

    Args:
        images: paired by their stems.
        masks: folder of the masks.
        layout: what to tell a user who lacks a file.
        suffixes: of masks.

    Raises:
        UnsegError: naming the first image without a mask and the layout.
    """
    if not masks.is_dir():
        raise UnsegError(f"{masks} is missing: expected {layout}")
    index = MaskIndex(masks, suffixes)
    found = []
    for image in images:
        name = index.find(image.name)
        if name is None:
            raise UnsegError(
                f"{masks}/{image.stem}{suffixes[0]} is missing, {image} needs it: expected {layout}"
            )
        found.append(masks / name)
    return found
