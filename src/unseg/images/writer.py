"""Pixels to the bytes of image files, and the check of what was read back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.images import png
from unseg.images.formats import FORMATS, format_of
from unseg.images.photo import Photo, Pixels

_CANONICAL = {"png": ("PNG", ".png"), "webp": ("WEBP", ".webp")}
#: Run-length coding: on noisy photographs smaller than level 6 and five times as fast.
_RUN_LENGTH = 3
_WEBP_SIDE = 16383


def output_suffix(source: Path, choice: str) -> str:
    """Suffix of the written file, for a source and ``--format``.

    Raises:
        UnsegError: when ``same`` cannot write the source's kind of file.
    """
    if choice != "same":
        return _CANONICAL[choice][1]
    kind = format_of(source.suffix)
    if kind is None or not kind.written:
        raise UnsegError(
            f"{source.name}: --format same writes JPEG, PNG and WebP: use --format png"
        )
    return source.suffix


def output_format(photo: Photo, name: str, choice: str) -> str:
    """Pillow's name of the format to write.

    Raises:
        UnsegError: when the file's content is of another kind than its suffix says.
    """
    if choice != "same":
        return _CANONICAL[choice][0]
    suffix = Path(name).suffix.lower()
    kind = FORMATS.get(photo.format)
    if kind is None or suffix not in kind.suffixes:
        raise UnsegError(
            f"{name} is a {photo.format} file named {suffix}: rename it, or use --format png"
        )
    return photo.format


def encode(photo: Photo, kind: str, name: str) -> bytes:
    """Encode an image; lossless but for JPEG, which is quality 98 without chroma subsampling.

    Args:
        photo: what to write.
        kind: ``PNG``, ``WEBP`` or ``JPEG``.
        name: what to call the image in messages.

    Raises:
        UnsegError: when the format cannot hold the image.
    """
    if kind == "PNG":
        return _encode_png(photo)
    if photo.bits == 16:
        raise UnsegError(f"{name} has 16 bits a channel, {kind} holds 8: use --format png")
    extra: dict[str, Any] = {}
    if photo.icc:
        extra["icc_profile"] = photo.icc
    if photo.exif:
        extra["exif"] = photo.exif
    if kind == "WEBP":
        if max(photo.size) > _WEBP_SIDE:
            raise UnsegError(
                f"{name} is {photo.size[0]}x{photo.size[1]}, WebP holds {_WEBP_SIDE} pixels a side "
                "at most: use --format png"
            )
        if photo.grey and photo.icc:
            raise UnsegError(
                f"{name} is grey with a grey colour profile, WebP holds colour only: use "
                "--format png"
            )
        extra |= {"lossless": True, "quality": 20, "method": 1, "exact": True}
    else:
        extra |= {"quality": 98, "subsampling": 0}
    stream = io.BytesIO()
    _pillow(photo.pixels, photo.alpha).save(stream, kind, **extra)
    return stream.getvalue()


def encode_mask(foreground: NDArray[np.bool_]) -> bytes:
    """A mask as a PNG of 1 bit a pixel; white is foreground."""
    stream = io.BytesIO()
    Image.fromarray(foreground).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def alike(original: Photo, written: Photo, name: str) -> Photo:
    """Check that a written file is an image of the original's kind, and return it as one.

    WebP has no grey and drops an alpha channel that is opaque everywhere; both are undone here.

    Raises:
        UnsegError: when size, channels, bits, alpha or colour profile differ.
    """
    pixels, alpha = written.pixels, written.alpha
    if original.grey and not written.grey and (np.ptp(pixels, axis=2) == 0).all():
        pixels = np.ascontiguousarray(pixels[..., 0])
    if alpha is None and original.alpha is not None:
        alpha = np.full_like(original.alpha, np.iinfo(original.alpha.dtype).max)
    if pixels.shape != original.pixels.shape or pixels.dtype != original.pixels.dtype:
        raise UnsegError(
            f"{name} reads as {written.mode} {written.size[0]}x{written.size[1]}, expected "
            f"{original.mode} {original.size[0]}x{original.size[1]}: protect the image again"
        )
    same_alpha = (alpha is None) == (original.alpha is None) and (
        alpha is None or original.alpha is None or np.array_equal(alpha, original.alpha)
    )
    if not same_alpha:
        raise UnsegError(f"{name}: alpha differs from the original's: protect the image again")
    if written.icc != original.icc:
        raise UnsegError(f"{name}: colour profile differs from the original's: protect it again")
    return Photo(pixels, alpha, written.format, written.icc, written.exif)


def _encode_png(photo: Photo) -> bytes:
    if photo.bits == 8:
        stream = io.BytesIO()
        _pillow(photo.pixels, photo.alpha).save(stream, "PNG", compress_type=_RUN_LENGTH)
        data = stream.getvalue()
    else:
        # OpenCV writes the 16 bits that Pillow has no colour mode for; grey with alpha becomes
        # colour with equal channels, which looks the same.
        samples = _blue_first(photo.pixels, photo.alpha)
        options = [cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_STRATEGY, _RUN_LENGTH]
        done, buffer = cv2.imencode(".png", samples, options)
        if not done:
            raise UnsegError("OpenCV could not encode a 16-bit PNG: install another version of it")
        data = buffer.tobytes()
    extra = list(photo.chunks)
    if photo.icc:
        extra.append(png.profile_chunk(photo.icc))
    if photo.exif:
        extra.append(png.exif_chunk(photo.exif))
    return png.insert(data, extra) if extra else data


def _pillow(pixels: Pixels, alpha: Pixels | None) -> Image.Image:
    return Image.fromarray(pixels if alpha is None else np.dstack([pixels, alpha]))


def _blue_first(pixels: Pixels, alpha: Pixels | None) -> Pixels:
    if pixels.ndim == 2:
        return pixels if alpha is None else np.dstack([pixels, pixels, pixels, alpha])
    colour = pixels[..., ::-1]
    return np.ascontiguousarray(colour if alpha is None else np.dstack([colour, alpha]))
