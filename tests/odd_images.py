"""Small drawn files of the kinds that people have and that are easily read wrong."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms

from noise_stub import photo
from unseg.images import png

COLOUR = photo(60, 80)
GREY = COLOUR[..., 0]
#: 12-bit data in the lower part of 16 bits.
SCAN = (GREY.astype(np.uint16) + 900).astype(np.uint16)


def pillow(array: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def geo_tiff() -> bytes:
    """A GeoTIFF in UTM zone 31, half a metre a pixel, 0 as no data."""
    return tiff(
        COLOUR,
        photometric="rgb",
        metadata=None,
        description="flight 7",
        extratags=[
            (33550, "d", 3, (0.5, 0.5, 0.0), False),
            (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0), False),
            (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32631), False),
            (42113, "s", 2, "0", False),
        ],
    )


def bands(count: int) -> bytes:
    rng = np.random.default_rng(count)
    further = rng.integers(0, 256, (*GREY.shape, count - 3), np.uint8)
    return tiff(
        np.dstack([COLOUR, further]),
        photometric="rgb",
        extrasamples=["unspecified"] * (count - 3),
        metadata=None,
    )


def large_chunk(kind: bytes) -> bytes:
    """A PNG whose text or profile is above a million bytes, unpacked."""
    content = zlib.compress(bytes(2_000_000))
    key = {b"iCCP": b"large\0\0", b"zTXt": b"workflow\0\0"}[kind]
    return png.insert(pillow(COLOUR, "PNG"), [(kind, key + content)])


def bad_checksum() -> bytes:
    data = png.insert(pillow(COLOUR, "PNG"), [(b"tEXt", b"Comment\0hello")])
    return data.replace(b"hello", b"hallo")


def xmp_turned() -> bytes:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    return pillow(COLOUR, "JPEG", xmp=xmp)


def cmyk(**options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(COLOUR).convert("CMYK").save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def printing_profile() -> bytes:
    """An ICC profile (version 2) of a press whose cyan ink is red: nobody's, so its use shows."""
    ends = []
    for corner in range(16):  # cyan changes slowest, black fastest
        cyan, magenta, yellow, black = (corner >> shift & 1 for shift in (3, 2, 1, 0))
        light = 0 if black else 255 - 60 * (cyan + magenta + yellow)
        ends += [light, 128 if black else 128 + 60 * cyan, 128]
    straight = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", *[65536 if i % 4 == 0 else 0 for i in range(9)])
    lut += straight * 4 + bytes(ends) + straight * 3
    parts = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 6) + b"press\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"free\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"A2B0": lut,
    }
    table, body, start = b"", b"", 132 + 12 * len(parts)
    for name, part in parts.items():
        table += name + struct.pack(">II", start + len(body), len(part))
        body += part + bytes(-len(part) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI", size, b"test", 0x02100000) + b"prtrCMYKLab " + bytes(12)
    header += b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(parts)) + table + body


def animation(kind: str) -> bytes:
    frames = [Image.fromarray(photo(60, 80, seed=i)) for i in range(2)]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    return stream.getvalue()


def located() -> Image.Exif:
    exif = Image.Exif()
    exif[271] = "maker"
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (52.0, 30.0, 0.0)
    return exif


#: Name, bytes, what ``--format same`` says of it: protected, or a part of the error.
KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "scan.png": (lambda: pillow(SCAN, "PNG"), "protected"),
    "signed.tif": (lambda: tiff(SCAN.astype(np.int16) - 1000, metadata=None), "protected"),
    "wide.tif": (
        lambda: tiff(COLOUR.astype(np.uint16) * 257, photometric="rgb", metadata=None),
        "protected",
    ),
    "float.tif": (
        lambda: tiff(GREY.astype(np.float32) / 300, metadata=None),
        "protected",
    ),
    "half.tif": (
        lambda: tiff(GREY.astype(np.float16), metadata=None),
        "protected",
    ),
    "long.tif": (
        lambda: tiff(GREY.astype(np.uint32), metadata=None),
        "holds unsigned integers of 32 bits",
    ),
    "rgbn.tif": (lambda: bands(4), "protected"),
    "five.tif": (lambda: bands(5), "protected"),
    "geo.tif": (geo_tiff, "protected"),
    "pages.tif": (
        lambda: tiff(np.stack([GREY, GREY]), photometric="minisblack", metadata=None),
        "holds 2 frames",
    ),
    "profile.png": (lambda: large_chunk(b"iCCP"), "protected"),
    "workflow.png": (lambda: large_chunk(b"zTXt"), "protected"),
    "badcrc.png": (bad_checksum, "the checksum of its chunk tEXt is wrong"),
    "cmyk.jpg": (cmyk, "protected"),
    "bw.jpg": (lambda: pillow(np.dstack([GREY] * 3), "JPEG", quality=95), "protected"),
    "xmp.jpg": (xmp_turned, "protected"),
    "moving.gif": (lambda: animation("GIF"), "--format same writes"),
    "moving.webp": (lambda: animation("WEBP"), "holds 2 frames"),
    "moving.png": (lambda: animation("PNG"), "holds 2 frames"),
    "noext": (lambda: pillow(COLOUR, "JPEG"), "protected"),
    "raw.pef": (lambda: pillow(COLOUR, "TIFF"), "of a kind that is not read (RAW)"),
    "brain.nii.gz": (lambda: b"\x1f\x8b" + bytes(30), "of a kind that is not read (NIfTI)"),
    "text.jpg": (lambda: b"<!DOCTYPE html>", "is not an image that can be read"),
    "lab.tif": (
        lambda: _lab(),
        "has CIE Lab colours",
    ),
}


def _lab() -> bytes:
    stream = io.BytesIO()
    Image.new("LAB", (20, 20)).save(stream, "TIFF")
    return stream.getvalue()


def write(folder: Path, *names: str) -> Path:
    """Files of the named kinds in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(KINDS[name][0]())
    return folder


@cache  # it holds the time
def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
