"""The one table of image formats: what is read, what is written, and what masks may be.

A new format is a row here; whatever asks about a suffix asks this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A kind of image file.

    Args:
        name: Pillow's name of the format.
        suffixes: in lower case, the usual one first.
        read: whether images of this kind are read; others are named in an error.
        lossless: whether what is written is read back exactly.
        written: whether ``--format same`` writes it.
        masks: whether a mask may be stored so: a lossless kind that holds labels.
    """

    name: str
    suffixes: tuple[str, ...]
    read: bool = True
    lossless: bool = True
    written: bool = False
    masks: bool = False


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), lossless=False, written=True),
        Format("PNG", (".png",), written=True, masks=True),
        Format("WEBP", (".webp",), written=True),
        Format("TIFF", (".tif", ".tiff"), masks=True),
        Format("BMP", (".bmp",), masks=True),
        Format("GIF", (".gif",)),
        Format("PPM", (".ppm", ".pgm", ".pbm")),
        Format("HEIF", (".heic", ".heif", ".hif"), read=False),
        Format("AVIF", (".avif",), read=False),
        Format("JPEG2000", (".jp2", ".j2k", ".jpx"), read=False),
        Format("JPEG XL", (".jxl",), read=False),
        Format("PSD", (".psd",), read=False),
        Format("EXR", (".exr",), read=False),
        Format("HDR", (".hdr",), read=False),
        Format(
            "RAW",
            (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
            read=False,
        ),
        Format("SVG", (".svg",), read=False),
        Format("TGA", (".tga",), read=False),
        Format("ICO", (".ico",), read=False),
        Format("APNG", (".apng",), read=False),
        Format("MPO", (".mpo",), read=False),
        Format("DICOM", (".dcm",), read=False),
    )
}


def suffixes(formats: Iterable[Format]) -> tuple[str, ...]:
    """The suffixes of some formats, in the table's order."""
    return tuple(suffix for one in formats for suffix in one.suffixes)


#: Suffixes of images that are read.
IMAGE_SUFFIXES = suffixes(one for one in FORMATS.values() if one.read)
#: Suffixes of image files that are not read: named in an error, so that none is passed over.
UNREAD_SUFFIXES = suffixes(one for one in FORMATS.values() if not one.read)
#: Suffixes of masks and label maps; of several masks of one name, the first kind is taken.
MASK_SUFFIXES = suffixes(one for one in FORMATS.values() if one.masks)


def format_of(suffix: str) -> Format | None:
    """The format that a suffix stands for, whatever its case; None when it is no image's.

    Example:
        >>> format_of(".JPG").name, format_of(".txt")
        ('JPEG', None)
    """
    wanted = suffix.lower()
    return next((one for one in FORMATS.values() if wanted in one.suffixes), None)
