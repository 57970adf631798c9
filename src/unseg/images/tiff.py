"""TIFF files: their tags, which Pillow reads but in part, and a writer that keeps them.

The writer holds what no other at hand does for every kind: signed samples, bands beyond colour, and
every tag of the original in its own bytes, georeference included.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from unseg.errors import UnsegError
from unseg.images.floats import changed_values
from unseg.images.photo import Photo, Pixels

#: Bytes of one value, by type (TIFF 6.0, section 2; 13 is a pointer, 16..18 are BigTIFF's).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
#: Bytes of what is swapped as one where the byte order changes: a rational is two numbers.
_WORDS = {5: 4, 10: 4}

#: Tags of a GeoTIFF (OGC 19-008r4, and GDAL's own).
GEO = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, 50844})
#: Tags that describe how the samples are stored, which the writer writes itself.
_STORAGE = frozenset({
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284,
    288, 289, 290, 291, 292, 293, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 332, 333, 336,
    338, 339, 340, 341, 342, 347, *range(512, 533), 34675,
})  # fmt: skip
#: What may hold a copy of the picture, or points into the old file; by name where it is of note.
DROPPED = {700: "XMP", 34377: "Photoshop's data", 37724: "Photoshop's layers", 330: "sub-images"}
_POINTERS = frozenset({34665, 34853, 40965})
_RESOLUTION = (282, 283, 296)
_ORIENTATION, _EXIF, _GPS = 274, 34665, 34853
_STRIP_BYTES = 1 << 20
#: Tags a page and pages a file that are looked at; no honest file comes near.
_MOST_TAGS, _MOST_PAGES = 4096, 4096

#: Type, count and little-endian bytes of a tag.
Value = tuple[int, int, bytes]


@dataclass(frozen=True)
class TiffTags:
    """What a written TIFF carries over from its original.

    Args:
        tags: by number.
        signed: whether the samples are signed; :class:`~unseg.images.photo.Photo` holds them
            shifted up by 32768.
        photometric: the original's photometric interpretation.
        extras: what the original says of its bands beyond the colours (tag 338).
    """

    tags: dict[int, Value] = field(default_factory=dict)
    signed: bool = False
    photometric: int = 2
    extras: tuple[int, ...] = ()

    @property
    def georeferenced(self) -> bool:
        """Whether the file says where on earth it lies."""
        return any(number in self.tags for number in GEO - {42112, 42113})


def read_directories(data: bytes) -> list[dict[int, Value]]:
    """The tags of every page; what is damaged is left out.

    Args:
        data: a TIFF or BigTIFF file, or an EXIF block without its JPEG prefix.
    """
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return []
    order, big = ("<" if data[:2] == b"II" else ">"), b"+" in data[2:4]
    word = "Q" if big else "I"
    found: list[dict[int, Value]] = []
    seen: set[int] = set()
    try:
        (at,) = struct.unpack_from(order + word, data, 8 if big else 4)
        while at and at not in seen and len(found) < _MOST_PAGES:
            seen.add(at)
            tags, end = _directory(data, at, order, big)
            found.append(tags)
            (at,) = struct.unpack_from(order + word, data, end)
    except struct.error:
        pass
    return found


def _directory(data: bytes, at: int, order: str, big: bool) -> tuple[dict[int, Value], int]:
    """The tags of one page, and where the next page's address is."""
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    if count > _MOST_TAGS:
        raise struct.error(f"{count} tags")
    at += 8 if big else 2
    size, room, word = (20, 8, "Q") if big else (12, 4, "I")
    tags: dict[int, Value] = {}
    for entry in range(at, at + count * size, size):
        tag, kind, many = struct.unpack_from(order + "HH" + word, data, entry)
        length = _SIZES.get(kind, 0) * many
        start = entry + size - room
        if length > room:
            (start,) = struct.unpack_from(order + word, data, start)
        raw = data[start : start + length]
        if length and len(raw) == length:
            tags[tag] = kind, many, _little(raw, kind, order)
    return tags, at + count * size


def _little(raw: bytes, kind: int, order: str) -> bytes:
    size = _WORDS.get(kind, _SIZES[kind])
    if order == "<" or size == 1:
        return raw
    return np.frombuffer(raw, np.dtype(f">u{size}")).astype(f"<u{size}").tobytes()


def numbers(tags: Mapping[int, Value], tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The whole numbers of a tag; the default where there are none."""
    kind, _, raw = tags.get(tag, (0, 0, b""))
    if kind not in {1, 3, 4, 13, 16, 18}:
        return default
    return tuple(np.frombuffer(raw, f"<u{_SIZES[kind]}").astype(int).tolist())


def kept_tags(tags: Mapping[int, Value]) -> dict[int, Value]:
    """The tags that a written file carries over."""
    left = _STORAGE | DROPPED.keys() | _POINTERS
    return {number: value for number, value in tags.items() if number not in left}


def encode_tiff(photo: Photo, name: str) -> bytes:
    """A TIFF of one page, compressed without loss, with the tags of the original.

    Raises:
        UnsegError: when it would be larger than such a file can be.
    """
    container = photo.container
    carried = container if isinstance(container, TiffTags) else TiffTags()
    samples = _stored_samples(photo, carried, name)
    height, width, bands = samples.shape
    rows = max(1, _STRIP_BYTES // max(1, width * bands * samples.itemsize))
    strips = [_packed(samples[top : top + rows]) for top in range(0, height, rows)]
    # Bands that were no colours, though three of them were taken for some, stay such.
    plain = photo.grey or carried.photometric == 1
    tags = dict(carried.tags)
    tags |= {
        256: _long(width), 257: _long(height), 258: _short(*[samples.itemsize * 8] * bands),
        259: _short(8), 262: _short(int(not _is_inverted(photo, carried)) if plain else 2),
        277: _short(bands), 278: _long(rows), 279: _long(*map(len, strips)), 284: _short(1),
        317: _short(1 if samples.dtype.kind == "f" else 2),
        339: _short(*[3 if samples.dtype.kind == "f" else 2 if carried.signed else 1] * bands),
    }  # fmt: skip
    if extra := bands - (1 if plain else 3):
        tags[338] = _short(*_extras(photo, carried, extra))
    if photo.icc:
        tags[34675] = 7, len(photo.icc), photo.icc
    if photo.dpi and not any(number in tags for number in _RESOLUTION):
        tags |= {282: _ratio(photo.dpi[0]), 283: _ratio(photo.dpi[1]), 296: _short(2)}
    parts = _exif_parts(photo.exif)
    if 8 + sum(map(len, strips)) > 0xFFFF0000:
        raise UnsegError(f"{name} would be a TIFF above 4 GB: make it smaller")
    return _assembled(tags, strips, parts)


def _is_inverted(photo: Photo, carried: TiffTags) -> bool:
    """Whether 0 is white in the file that is written, as it was in the original."""
    return photo.grey and photo.floats is None and carried.photometric == 0


def _extras(photo: Photo, carried: TiffTags, count: int) -> list[int]:
    """What the bands beyond the colours are: as the original says, where they are its own."""
    if len(carried.extras) == count:
        return list(carried.extras)
    found = [0] * count
    if photo.alpha is not None:  # Pillow has taken it out of the colours
        found[count - 1 - (0 if photo.bands is None else photo.bands.shape[2])] = 2
    return found


def _stored_samples(photo: Photo, carried: TiffTags, name: str) -> Pixels:
    """(H, W, bands), little-endian, as the file stores them."""
    pixels = photo.pixels if photo.floats is None else changed_values(photo, name)
    if _is_inverted(photo, carried):
        pixels = np.iinfo(pixels.dtype).max - pixels
    parts = [pixels[..., None] if photo.grey else pixels]
    if photo.alpha is not None:
        parts.append(photo.alpha[..., None])
    if photo.bands is not None:
        parts.append(photo.bands)
    samples = np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
    if carried.signed:
        samples = samples ^ np.uint16(0x8000)
    return samples.astype(samples.dtype.newbyteorder("<"), copy=False)


def _packed(strip: Pixels) -> bytes:
    """A strip deflated, of whole numbers with horizontal differencing."""
    change = strip.copy()
    if strip.dtype.kind == "f":
        return zlib.compress(change.tobytes(), 6)
    change[:, 1:] -= strip[:, :-1]
    return zlib.compress(change.tobytes(), 6)


def stand_in(data: bytes) -> bytes:
    """A TIFF of one grey pixel that tells all that a file tells, for readers of metadata."""
    page = read_directories(data)[0]
    kept = _STORAGE | _POINTERS
    tags = {number: value for number, value in page.items() if number not in kept}
    tags |= {number: page[number] for number in (_ORIENTATION, 34675) if number in page}
    tags |= {
        256: _long(1), 257: _long(1), 258: _short(8), 259: _short(1), 262: _short(1),
        277: _short(1), 278: _long(1), 279: _long(1),
    }  # fmt: skip
    return _assembled(tags, [b"\0"], _exif_parts(data))


def _exif_parts(exif: bytes | None) -> dict[int, dict[int, Value]]:
    """The EXIF and GPS directories of an EXIF block, which a TIFF has as its own."""
    block = (exif or b"").removeprefix(b"Exif\0\0")
    parts = {}
    for main in read_directories(block)[:1]:
        for number in (_EXIF, _GPS):
            for at in numbers(main, number):
                order = "<" if block[:2] == b"II" else ">"
                try:
                    tags, _ = _directory(block, at, order, b"+" in block[2:4])
                except struct.error:
                    continue
                if tags:
                    parts[number] = {k: v for k, v in tags.items() if k not in _POINTERS}
    return parts


def _assembled(
    tags: dict[int, Value], strips: list[bytes], parts: dict[int, dict[int, Value]]
) -> bytes:
    """Header, strips, nested directories, then the page's own."""
    body = bytearray(b"II*\0" + bytes(4))
    offsets = []
    for strip in strips:
        offsets.append(len(body))
        body += strip
    tags[273] = _long(*offsets)
    for number, nested in parts.items():
        body += bytes(len(body) % 2)
        start = _append_directory(body, nested)
        tags[number] = _long(start)
    body += bytes(len(body) % 2)
    struct.pack_into("<I", body, 4, _append_directory(body, tags))
    return bytes(body)


def _append_directory(body: bytearray, tags: Mapping[int, Value]) -> int:
    """Append values that need room, then the directory; returns where the directory is."""
    entries = []
    for number, (kind, count, raw) in sorted(_classic(tags)):
        if len(raw) > 4:
            body += bytes(len(body) % 2)
            place = struct.pack("<I", len(body))
            body += raw
        else:
            place = raw.ljust(4, b"\0")
        entries.append(struct.pack("<HHI", number, kind, count) + place)
    body += bytes(len(body) % 2)
    start = len(body)
    body += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return start


def _classic(tags: Mapping[int, Value]) -> Iterator[tuple[int, Value]]:
    """Tags without BigTIFF's types, whose values fit four bytes in all that is carried over."""
    for number, (kind, count, raw) in tags.items():
        if kind in {16, 17, 18}:
            values = np.frombuffer(raw, "<u8").astype("<u4")
            yield number, (4, count, values.tobytes())
        else:
            yield number, (kind, count, raw)


def _short(*values: int) -> Value:
    return 3, len(values), struct.pack(f"<{len(values)}H", *values)


def _long(*values: int) -> Value:
    return 4, len(values), struct.pack(f"<{len(values)}I", *values)


def _ratio(value: float) -> Value:
    return 5, 1, struct.pack("<II", round(value * 1000), 1000)
