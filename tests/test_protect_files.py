"""Image files in and out: what a viewer sees is kept, what cannot be is refused."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from noise_stub import photo
from unseg import files
from unseg.errors import UnsegError
from unseg.files import read_bytes, write_atomically
from unseg.images import png
from unseg.images.photo import Photo, turn
from unseg.images.reader import decode
from unseg.images.writer import alike, encode

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def stored(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def wide_png(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def colour_key_png(depth: int) -> bytes:
    """A grey PNG of one row, 5 and 9, in which 5 is transparent."""
    sample = ">H" if depth == 16 else ">B"
    raw = b"\0" + struct.pack(sample, 5) + struct.pack(sample, 9)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", 5)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    ]
    return png.SIGNATURE + b"".join(packed)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_what_pillow_shows(orientation: int) -> None:
    image = Image.fromarray(photo(20, 30))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = stored(image, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    found = decode(data, "a.png")
    assert np.array_equal(found.pixels, expected)
    again = Image.open(io.BytesIO(encode(found, "PNG", "a.png")))
    assert ExifTags.Base.Orientation not in again.getexif()
    assert np.array_equal(np.asarray(again), expected)


def test_orientation_turns_16_bit_and_alpha() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    wide = photo(20, 30).astype(np.uint16) * 257 + 3
    data = png.insert(wide_png(wide[..., ::-1]), [png.exif_chunk(exif.tobytes())])
    assert np.array_equal(decode(data, "a").pixels, np.rot90(wide, -1))
    grey_alpha = np.dstack([photo(4, 6)[..., 0], photo(4, 6)[..., 1]])
    found = decode(stored(Image.fromarray(grey_alpha), exif=exif), "a")
    assert found.alpha is not None
    assert np.array_equal(found.alpha, np.rot90(grey_alpha[..., 1], -1))
    assert turn(wide, 1) is not None and np.array_equal(turn(turn(wide, 6), 8), wide)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_profile_and_rights_stay_but_previews_go(kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright], exif[ExifTags.Base.Orientation] = "me", 3
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"a preview"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "lens"
    if int(PIL.__version__.split(".")[0]) >= 13:  # Pillow before it cannot write a preview's part
        exif.get_ifd(ExifTags.IFD.IFD1)[ExifTags.Base.JpegIFOffset] = 1
    data = stored(Image.fromarray(photo()), kind, exif=exif, icc_profile=SRGB)
    found = decode(data, "a")
    written = Image.open(io.BytesIO(encode(found, kind, "a")))
    assert written.info["icc_profile"] == SRGB
    kept = written.getexif()
    assert kept[ExifTags.Base.Copyright] == "me"
    assert kept.get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.LensModel: "lens"}
    assert ExifTags.Base.Orientation not in kept and not kept.get_ifd(ExifTags.IFD.IFD1)


def test_16_bit_png_keeps_profile_and_gamma() -> None:
    gamma = struct.pack(">I", 45455)
    wide = photo().astype(np.uint16) * 257
    data = png.insert(wide_png(wide), [(b"gAMA", gamma), png.profile_chunk(SRGB)])
    written = encode(decode(data, "a"), "PNG", "a")
    assert dict(png.chunks(written))[b"gAMA"] == gamma
    assert Image.open(io.BytesIO(written)).info["icc_profile"] == SRGB
    assert np.array_equal(cv2.imdecode(np.frombuffer(written, np.uint8), -1), wide)


GREY, COLOUR = photo()[..., 0], photo()
ALPHA = np.linspace(0, 255, GREY.size).reshape(GREY.shape).astype(np.uint8)
PALETTE = Image.fromarray(COLOUR).quantize(16)
KEYED = PALETTE.copy()
KEYED.info["transparency"] = 0


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (stored(Image.fromarray(GREY)), "L8"),
        (stored(Image.fromarray(COLOUR)), "RGB8"),
        (stored(Image.fromarray(np.dstack([COLOUR, ALPHA]))), "RGBA8"),
        (stored(Image.fromarray(np.dstack([GREY, ALPHA]))), "LA8"),
        (stored(Image.fromarray(GREY > 99)), "L8"),
        (stored(PALETTE), "RGB8"),
        (stored(KEYED), "RGBA8"),
        (stored(PALETTE, "GIF"), "RGB8"),
        (stored(Image.fromarray(COLOUR), "BMP"), "RGB8"),
        (stored(Image.fromarray(COLOUR), "TIFF"), "RGB8"),
        (stored(Image.fromarray(GREY), "PPM"), "L8"),
        (stored(Image.fromarray(COLOUR), "WEBP", lossless=True), "RGB8"),
        (stored(Image.fromarray(GREY.astype(np.uint16) * 200)), "L16"),
        (stored(Image.fromarray(GREY.astype(np.uint16) * 200), "TIFF"), "L16"),
        (wide_png(COLOUR.astype(np.uint16) * 200), "RGB16"),
        (wide_png(np.dstack([COLOUR, ALPHA]).astype(np.uint16) * 200), "RGBA16"),
        (colour_key_png(8), "LA8"),
    ],
)
def test_png_shows_the_same_as_the_original(data: bytes, mode: str) -> None:
    found = decode(data, "a")
    assert found.mode == mode
    if found.bits == 8:
        viewed = Image.open(io.BytesIO(data))
        written = Image.open(io.BytesIO(encode(found, "PNG", "a")))
        assert np.array_equal(viewed.convert("RGBA"), written.convert("RGBA"))
    again = alike(found, decode(encode(found, "PNG", "a"), "a"), "a")
    assert np.array_equal(again.pixels, found.pixels)


@pytest.mark.parametrize("array", [GREY, COLOUR, np.dstack([COLOUR, ALPHA]), np.dstack([GREY] * 2)])
def test_webp_is_lossless_under_transparent_pixels_too(array: np.ndarray) -> None:
    found = decode(stored(Image.fromarray(array)), "a")
    again = alike(found, decode(encode(found, "WEBP", "a"), "a"), "a")
    assert np.array_equal(again.pixels, found.pixels)


def test_opaque_alpha_survives_webp() -> None:
    found = Photo(COLOUR, np.full_like(ALPHA, 255))
    again = alike(found, decode(encode(found, "WEBP", "a"), "a"), "a")
    assert again.alpha is not None and again.alpha.min() == 255


def animated() -> bytes:
    frames = [Image.fromarray(photo(seed=i)) for i in range(3)]
    return stored(frames[0], "GIF", save_all=True, append_images=frames[1:])


def bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    whole = png.insert(stored(Image.new("L", (1, 1))), [])
    return png.SIGNATURE + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(
        ">I", zlib.crc32(b"IHDR" + header)
    ) + whole[33:]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"just text", r"a.png is not an image that can be read .*remove it or convert it"),
        (stored(Image.fromarray(COLOUR), "JPEG")[:900], r"a.png is damaged or truncated"),
        (stored(Image.fromarray(COLOUR))[:900], r"a.png is damaged or truncated"),
        (wide_png(COLOUR.astype(np.uint16) * 99)[:900], r"a.png is damaged or truncated"),
        (animated(), "a.png holds 3 frames: expected a still image"),
        (stored(Image.new("LAB", (9, 9)), "TIFF"), "a.png has CIE Lab colours"),
        (bomb(), "a.png claims to have more than 64 megapixels"),
        (stored(Image.new("1", (9000, 9000))), "a.png is 9000x9000, 81 megapixels: expected at"),
        (colour_key_png(16), "16-bit PNG with a transparent colour: give it an alpha"),
    ],
)
def test_bad_images_are_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        decode(data, "a.png")


def test_bad_files_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    with pytest.raises(UnsegError, match=r"a.jpg is empty \(0 bytes\): expected an image"):
        read_bytes(path, "a.jpg")
    with pytest.raises(UnsegError, match=r"b.jpg cannot be read \(No such file"):
        read_bytes(tmp_path / "b.jpg", "b.jpg")
    path.write_bytes(b"12345")
    monkeypatch.setattr(files, "MAX_BYTES", 4)
    with pytest.raises(UnsegError, match=r"a\.jpg has 5 bytes: expected at most 4"):
        read_bytes(path, "a.jpg")


def test_what_webp_cannot_hold_is_refused() -> None:
    wide = Photo(COLOUR.astype(np.uint16))
    with pytest.raises(UnsegError, match="16 bits per channel, but WEBP holds 8: use --format png"):
        encode(wide, "WEBP", "a")
    with pytest.raises(UnsegError, match=r"but WebP holds at most 16383 pixels a side"):
        encode(Photo(np.zeros((1, 16384), np.uint8)), "WEBP", "a")
    with pytest.raises(UnsegError, match="grey colour profile, but WebP has no grey"):
        encode(Photo(GREY, icc=b"grey"), "WEBP", "a")


def test_jpeg_is_of_high_quality_without_subsampling() -> None:
    written = Image.open(io.BytesIO(encode(Photo(COLOUR), "JPEG", "a")))
    assert [part[1:3] for part in written.layer] == [(1, 1)] * 3
    assert max(written.quantization[0]) <= 5


def test_a_damaged_exif_block_is_dropped() -> None:
    data = stored(Image.fromarray(COLOUR), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert decode(data, "a").exif is None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (Photo(COLOUR[:-1]), "reads as RGB8 60x39, not as RGB8 60x40"),
        (Photo(COLOUR.astype(np.uint16)), "reads as RGB16"),
        (Photo(GREY), "reads as L8"),
        (Photo(COLOUR, ALPHA), "its alpha differs"),
        (Photo(COLOUR, icc=b"x"), "its colour profile differs"),
    ],
)
def test_a_file_of_another_kind_is_noticed(written: Photo, message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        alike(Photo(COLOUR), written, "a")
    with pytest.raises(UnsegError, match="its alpha differs"):
        alike(Photo(COLOUR, ALPHA), Photo(COLOUR, ALPHA[::-1]), "a")


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "deep" / "a.png"
    write_atomically(target, b"old")
    assert list(target.parent.iterdir()) == [target]

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = re.escape(f"{target} cannot be written (No space left on device)")
    with pytest.raises(UnsegError, match=message):
        write_atomically(target, b"new")
    assert list(target.parent.iterdir()) == [target] and target.read_bytes() == b"old"


def test_stale_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in (".unseg-1-ab.tmp", "sub/.unseg-2-cd.tmp", "sub/keep.tmp"):
        (tmp_path / name).touch()
    assert files.remove_stale(tmp_path) == 2
    assert [p.name for p in tmp_path.rglob("*.tmp")] == ["keep.tmp"]


def test_text_in_exif_keeps_its_bytes_and_bad_tags_cost_no_other() -> None:
    exif = Image.Exif()
    exif[315] = "Jürgen".encode()  # UTF-8, where the standard says ASCII
    exif[305] = "camera"
    exif[0x0112] = 6
    exif[296] = 2.5  # no whole number, as it must be
    buffer = io.BytesIO()
    try:
        Image.fromarray(COLOUR).save(buffer, "JPEG", exif=exif)
    except Exception:
        pytest.skip("this Pillow refuses to write such a tag")
    found = decode(buffer.getvalue(), "a.jpg")
    assert found.size == (COLOUR.shape[0], COLOUR.shape[1])  # turned
    assert found.exif is not None and "Jürgen".encode() in found.exif and b"camera" in found.exif


def test_more_than_8_bits_in_ppm_are_refused() -> None:
    for kind, samples in ((b"P6", 3), (b"P5", 1)):
        data = kind + b"\n4 3\n65535\n" + bytes(24 * samples)
        with pytest.raises(UnsegError, match="PPM with more than 8 bits"):
            decode(data, "a.ppm")


def test_16_bits_of_which_0_is_white_are_turned_around() -> None:
    values = np.array([[0, 100, 65535]], np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", tiffinfo={262: 0})
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        if image.tag_v2[262] != 0:  # type: ignore[attr-defined]
            pytest.skip("this Pillow cannot write such a file")
    np.testing.assert_array_equal(decode(buffer.getvalue(), "a.tif").pixels, 65535 - values)
