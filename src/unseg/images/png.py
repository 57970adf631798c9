"""Chunks of a PNG file: what neither Pillow nor OpenCV carry over for every bit depth."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Chunks that say how the samples are to be shown, copied from PNG to PNG.
VIEWING = frozenset({b"gAMA", b"cHRM", b"sRGB", b"cICP", b"pHYs"})

Chunk = tuple[bytes, bytes]


def chunks(data: bytes) -> Iterator[Chunk]:
    """Type and payload of every chunk; none if it is no PNG, and stops where it is cut off."""
    at = len(SIGNATURE) if data.startswith(SIGNATURE) else len(data)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def is_complete(data: bytes) -> bool:
    """Whether all chunks are whole, match their checksums and end with IEND."""
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            return False
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            return False
        (stated,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[at + 4 : end]) != stated:
            return False
        at = end + 4
    return True


def header(data: bytes) -> tuple[int, int]:
    """Bit depth and colour type of a PNG file (PNG specification, 11.2.2)."""
    return data[24], data[25]


def insert(data: bytes, extra: list[Chunk]) -> bytes:
    """Put chunks behind the header of a PNG file."""
    end = len(SIGNATURE) + 25
    return data[:end] + b"".join(_pack(kind, payload) for kind, payload in extra) + data[end:]


def profile_chunk(profile: bytes) -> Chunk:
    """ICC profile as an iCCP chunk."""
    return b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)


def exif_chunk(exif: bytes) -> Chunk:
    """EXIF block, with or without its JPEG prefix, as an eXIf chunk."""
    return b"eXIf", exif.removeprefix(b"Exif\0\0")


def _pack(kind: bytes, payload: bytes) -> bytes:
    checksum = zlib.crc32(kind + payload)
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", checksum)
