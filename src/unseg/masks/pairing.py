"""The one way to pair images with masks and annotations: by place, then by stem, then by kin."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from unseg.errors import UnsegError
from unseg.files import walk
from unseg.images.formats import FORMATS, IMAGE_SUFFIXES, MASK_SUFFIXES

#: Kinds of masks that hold black and white only; taken where there is no better kind.
BINARY_SUFFIXES = tuple(
    suffix for name in ("GIF", "WEBP", "JPEG") for suffix in FORMATS[name].suffixes
)
#: What may stand behind an image's name in a mask's; the first is preferred to the others.
MASK_ENDINGS = (
    "mask", "masks", "gtfine_labelids", "gtcoarse_labelids", "labelids", "label", "labels",
    "segmentation", "seg", "gt", "groundtruth", "annotation", "matte",
)  # fmt: skip
#: What may stand behind the name of an image and not in its mask's.
IMAGE_ENDINGS = ("leftimg8bit", "image", "img", "sat", "rgb")
_JOINTS = "-_. "
_ROBOFLOW = re.compile(r"_(jpe?g|png|webp|bmp)\.rf\.[0-9a-z]+$")


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


def path_in(text: str) -> str:
    """The path in an annotation's file name, which may be a URL or have backslashes.

    Example:
        >>> path_in("https://x.example/img/a%20b.jpg?sig=1"), path_in("train\\\\a.jpg")
        ('img/a b.jpg', 'train/a.jpg')
    """
    if "://" in text:
        text = unquote(urlsplit(text).path)
    parts = [part for part in text.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
    return "/".join(parts)


@dataclass(frozen=True)
class Pairing:
    """What belongs to an image.

    Args:
        name: of the mask or annotation.
        why: how the names fit where they are not the same; None where they are.
    """

    name: str
    why: str | None = None


class NameIndex:
    """Names that are found again by the names of images.

    In this order: the same place in the tree; the image's stem, beside no folder; and then what
    obviously belongs together and belongs to no other image: a name in other case, with the
    image's suffix or an ending such as ``_mask``, the longest common end of the path, and a stem
    that is there once.

    Args:
        names: with ``/`` and suffix; where two have one key, the first wins.
        images: names of the images that will be asked for. What fits one of them by place or stem
            is nobody else's.
        weak: suffixes of names that are taken only where no other fits.
    """

    def __init__(
        self, names: Iterable[str], images: Iterable[str] = (), weak: Collection[str] = ()
    ) -> None:
        self.names: dict[str, str] = {}
        self._weak = tuple(weak)
        for name in names:
            self.names.setdefault(key_of(name), name)
        wanted = list(images)
        self._taken = {exact for image in wanted if (exact := self._exact(image)) is not None}
        self._kin: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for name in self.names.values():
            for rank, stem in _stems_of_mask(name):
                self._kin[stem].append((rank, name))
        found = (self.find(image) for image in wanted)
        self.shared = Counter(name for name in found if name is not None)
        """By name, of how many of the images it is found for."""

    def __len__(self) -> int:
        return len(self.names)

    def find(self, image: str) -> str | None:
        """The name that belongs to an image; see :meth:`pairing`."""
        found = self.pairing(image)
        return None if found is None else found.name

    def pairing(self, image: str) -> Pairing | None:
        """What belongs to an image, and why.

        Args:
            image: name of the image below its own folder, with ``/``.
        """
        exact = self._exact(image)
        if exact is not None and not self._is_weak(exact):
            return Pairing(exact)
        for weak in (False, True):
            if weak and exact is not None:
                return Pairing(exact)
            for stem in _stems_of_image(image):
                kin = [
                    (rank, name)
                    for rank, name in self._kin[stem]
                    if name not in self._taken and self._is_weak(name) == weak
                ]
                if kin:
                    return self._nearest(image, kin)
        return None

    def _is_weak(self, name: str) -> bool:
        return name.lower().endswith(self._weak) if self._weak else False

    def unused(self, images: Iterable[str]) -> list[str]:
        """Names that belong to none of the images, sorted."""
        used = {self.find(image) for image in images}
        return sorted(name for name in self.names.values() if name not in used)

    def _exact(self, image: str) -> str | None:
        key = key_of(image)
        return self.names.get(key, self.names.get(PurePosixPath(key).name))

    def _nearest(self, image: str, kin: list[tuple[int, str]]) -> Pairing | None:
        """The name with the longest common end of its folders, then of the best rank; or None."""
        folders = PurePosixPath(nfc(image).casefold()).parts[-2::-1]
        best: dict[tuple[int, int], list[str]] = defaultdict(list)
        for rank, name in kin:
            own = PurePosixPath(nfc(name).casefold()).parts[-2::-1]
            common = 0
            for mine, other in zip(folders, own, strict=False):
                if mine != other:
                    break
                common += 1
            best[-common, rank].append(name)
        found = best[min(best)]
        return Pairing(found[0], f"{found[0]} was taken by its name") if len(found) == 1 else None


def _stems_of_mask(name: str) -> list[tuple[int, str]]:
    """Stems of images that a mask may be of, each with a rank; the lowest is the surest."""
    stem = PurePosixPath(key_of(name)).name.casefold()
    found = [(0, stem)]
    plain = _without_suffix(stem)
    if plain != stem:
        found.append((1, plain))
    for rank, ending in enumerate(MASK_ENDINGS, 2):
        for part in {stem, plain}:
            if part.endswith(ending) and part[: -len(ending)].rstrip(_JOINTS):
                head = part[: -len(ending)]
                if head[-1] in _JOINTS:
                    found.append((rank, _without_suffix(head.rstrip(_JOINTS))))
    exported = _ROBOFLOW.sub("", stem)
    if exported != stem:
        found.append((len(MASK_ENDINGS) + 2, exported))
    return found


def _stems_of_image(name: str) -> list[str]:
    """Stems under which an image's mask may be found, the surest first."""
    stem = PurePosixPath(key_of(name)).name.casefold()
    found = [stem]
    for ending in IMAGE_ENDINGS:
        head = stem.removesuffix(ending)
        if head != stem and head.rstrip(_JOINTS) and head[-1] in _JOINTS:
            found.append(head.rstrip(_JOINTS))
    return found


def _without_suffix(stem: str) -> str:
    """A stem without an image's suffix, as in ``a.jpg.png``."""
    for suffix in IMAGE_SUFFIXES:
        if stem.endswith(suffix) and stem != suffix:
            return stem.removesuffix(suffix)
    return stem


class MaskIndex(NameIndex):
    """The masks of a folder, found again by the names of images.

    Args:
        folder: searched recursively; hidden files and folders are left out.
        suffixes: of masks; where two masks have one stem, that whose suffix is named first wins.
        skipped: resolved folders and files that are left out.
        images: see :class:`NameIndex`.

    Raises:
        UnsegError: when a folder cannot be listed.
    """

    def __init__(
        self,
        folder: Path,
        suffixes: Sequence[str] = MASK_SUFFIXES,
        skipped: Collection[Path] = (),
        images: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        order = {suffix: place for place, suffix in enumerate(suffixes)}
        found = [
            (order[path.suffix.lower()], name)
            for path, name in walk([folder], [one for one in skipped if not one.is_file()])
            if path.suffix.lower() in order and path.resolve() not in skipped
        ]
        super().__init__([name for _, name in sorted(found)], images, BINARY_SUFFIXES)


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
                f"{masks}/{image.stem}{suffixes[0]}, the mask of {image}, is missing: "
                f"expected {layout}"
            )
        found.append(masks / name)
    return found
