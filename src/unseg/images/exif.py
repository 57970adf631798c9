"""EXIF: the one rule for orientation, and what is carried over to a written file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

_ORIENTATION = 0x0112
#: What is carried over from the EXIF block; thumbnails and maker notes may hold an unprotected
#: copy of the picture, and a TIFF file's own tags describe another file.
_KEPT_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, *range(0x9C9B, 0x9CA0))
_DROPPED_EXIF = (0x927C, 0xA002, 0xA003, 0xA005)
#: Where Pillow keeps XMP, whose orientation it takes where EXIF has none; viewers do not.
_XMP = ("xmp", "XML:com.adobe.xmp")


def carried_exif(image: Image.Image) -> tuple[bytes | None, int]:
    """EXIF to carry over, and the orientation (1 if none); what is damaged is dropped."""
    try:
        found = image.getexif()
        orientation = found.get(_ORIENTATION, 1)
        if any(name in image.info for name in _XMP):
            orientation = _stated_orientation(image)
    except Exception:  # a damaged block says nothing a viewer could show
        return None, 1
    kept = Image.Exif()
    _carry({tag: found[tag] for tag in _KEPT_TAGS if tag in found}, kept)
    for number in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        try:
            content = dict(found.get_ifd(number))
        except Exception:  # as above, of this part alone
            continue
        _carry({k: v for k, v in content.items() if k not in _DROPPED_EXIF}, kept, number)
    block = kept.tobytes() if len(kept) or kept._ifds else None
    return block, orientation if orientation in range(1, 9) else 1


def _stated_orientation(image: Image.Image) -> Any:
    """Orientation of the EXIF block, or of a TIFF's tags, alone."""
    block = image.info.get("exif")
    if not block:
        return getattr(image, "tag_v2", {}).get(_ORIENTATION, 1)
    alone = Image.Exif()
    alone.load(block)
    return alone.get(_ORIENTATION, 1)


def dropped_exif(image: Image.Image) -> list[str]:
    """Parts of the EXIF block that are never carried over, as they may show the picture."""
    try:
        found = image.getexif()
        parts = found.get_ifd(ExifTags.IFD.Exif)
        thumbnail = found.get_ifd(ExifTags.IFD.IFD1)
    except Exception:
        return ["a damaged EXIF block"]
    names = []
    if thumbnail and image.format != "TIFF":  # there it is the second page
        names.append("the EXIF thumbnail")
    if 0x927C in parts:
        names.append("the camera's maker note")
    if _interoperability(found).get(1) == "R03":
        names.append("EXIF's mark of Adobe RGB")
    return names


def _interoperability(found: Image.Exif) -> dict[int, Any]:
    """The part that names a colour space; before Pillow 13 a missing one is an error."""
    try:
        return dict(found.get_ifd(ExifTags.IFD.Interop))
    except KeyError:
        return {}


def has_location(block: bytes | None) -> bool:
    """Whether an EXIF block says where the picture was taken."""
    if not block:
        return False
    found = Image.Exif()
    found.load(block)
    # Tag 0 alone is the version of the part.
    return any(tag for tag in found.get_ifd(ExifTags.IFD.GPSInfo))


def without_location(block: bytes | None) -> bytes | None:
    """An EXIF block without its GPS part."""
    if not block:
        return None
    found = Image.Exif()
    found.load(block)
    kept = Image.Exif()
    _carry({tag: found[tag] for tag in _KEPT_TAGS if tag in found}, kept)
    _carry(dict(found.get_ifd(ExifTags.IFD.Exif)), kept, ExifTags.IFD.Exif)
    return kept.tobytes() if len(kept) or kept._ifds else None


def _carry(tags: Mapping[int, Any], kept: Image.Exif, number: int | None = None) -> None:
    """Copy the tags that can be written, of a part by number; one that cannot costs no other."""
    for tag, value in tags.items():
        try:
            # Text is read as Latin-1, whatever it is, and written as ASCII: keep its bytes.
            plain = not isinstance(value, str) or value.isascii()
            exact = value if plain else value.encode("latin-1")
            trial = Image.Exif()
            (trial if number is None else trial.get_ifd(number))[tag] = exact
            trial.tobytes()
        except Exception:  # Pillow raises whatever a value of the wrong type leads to
            continue
        (kept if number is None else kept.get_ifd(number))[tag] = exact
