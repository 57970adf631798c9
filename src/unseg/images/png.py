"""Chunks of a PNG file: what neither Pillow nor OpenCV carry over for every bit depth."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Chunks that say how the samples are to be shown, copied from PNG to PNG.
VIEWING = frozenset({b"gAMA", b"cHRM", b"sRGB", b"cICP", b"pHYs"})
#: Chunks of text, which Pillow reads up to a limit.
TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
PROFILE = b"iCCP"
#: Chunks that are read, or whose content is written anew.
_KNOWN = VIEWING | {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", PROFILE, b"eXIf"}
#: Largest colour profile, in bytes: those with large tables have a few million.
MAX_PROFILE = 1 << 26
_INCHES = 39.37007874  # of a metre

Chunk = tuple[bytes, bytes]


def chunks(data: bytes) -> Iterator[Chunk]:
    """Type and payload of every chunk to the last; none if it is no PNG, fewer if it is cut off."""
    at = len(SIGNATURE) if data.startswith(SIGNATURE) else len(data)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IEND":
            return


def damage(data: bytes) -> str | None:
    """What is wrong with the chunks of a PNG file; None when all are whole and end with IEND."""
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            return "it ends before its last chunk"
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 8 + length
        name = _shown(kind)
        if end + 4 > len(data):
            return f"it ends inside its chunk {name}"
        (stated,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[at + 4 : end]) != stated:
            return f"the checksum of its chunk {name} is wrong, so bytes in it were changed"
        at = end + 4
    return None


def without(data: bytes, kinds: Collection[bytes]) -> bytes:
    """A PNG file without chunks of some kinds."""
    parts, at = [SIGNATURE], len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] not in kinds:
            parts.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join([*parts, data[at:]])


def profile(data: bytes) -> bytes | None:
    """The ICC profile of a PNG file; None when there is none, or it is damaged or too large."""
    for kind, payload in chunks(data):
        if kind == PROFILE:
            _, _, packed = payload.partition(b"\0")
            unpack = zlib.decompressobj()
            try:
                found = unpack.decompress(packed[1:], MAX_PROFILE)
            except zlib.error:
                return None
            return found if unpack.eof else None
    return None


def header(data: bytes) -> tuple[int, int]:
    """Bit depth and colour type of a PNG file (PNG specification, 11.2.2)."""
    return data[24], data[25]


def dropped(data: bytes) -> list[str]:
    """What a PNG file holds that is not carried over, by the names of its chunks."""
    found: dict[str, None] = {}
    size = len(SIGNATURE)
    for kind, payload in chunks(data):
        size += 12 + len(payload)
        if kind in TEXT:
            key = payload.partition(b"\0")[0].decode("latin-1", "replace")
            found["XMP" if key == "XML:com.adobe.xmp" else f"the PNG text {key!r}"] = None
        elif kind not in _KNOWN:
            found[f"the PNG chunk {_shown(kind)}"] = None
    if data.startswith(SIGNATURE) and size < len(data):
        found["data behind the picture"] = None
    return list(found)


def _shown(kind: bytes) -> str:
    """A chunk's type for messages, on one line whatever its bytes are."""
    return ascii(kind)[2:-1]


def insert(data: bytes, extra: list[Chunk]) -> bytes:
    """Put chunks behind the header of a PNG file."""
    end = len(SIGNATURE) + 25
    return data[:end] + b"".join(_pack(kind, payload) for kind, payload in extra) + data[end:]


def profile_chunk(profile: bytes) -> Chunk:
    """ICC profile as an iCCP chunk."""
    return PROFILE, b"ICC profile\0\0" + zlib.compress(profile)


def exif_chunk(exif: bytes) -> Chunk:
    """EXIF block, with or without its JPEG prefix, as an eXIf chunk."""
    return b"eXIf", exif.removeprefix(b"Exif\0\0")


def density_chunk(dpi: tuple[float, float]) -> Chunk:
    """Pixels an inch, across and down, as a pHYs chunk."""
    across, down = (round(value * _INCHES) for value in dpi)
    return b"pHYs", struct.pack(">IIB", across, down, 1)


def turned(chunk: Chunk) -> Chunk:
    """A chunk of an image whose sides change places: its densities do so, too."""
    kind, payload = chunk
    if kind == b"pHYs" and len(payload) == 9:
        return kind, payload[4:8] + payload[:4] + payload[8:]
    return chunk


def _pack(kind: bytes, payload: bytes) -> bytes:
    checksum = zlib.crc32(kind + payload)
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", checksum)
