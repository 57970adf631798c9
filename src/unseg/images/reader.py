"""Image files to pixels, as a viewer shows them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.errors import UnsegError
from unseg.files import read_bytes
from unseg.images import png
from unseg.images.exif import carried_exif
from unseg.images.photo import Photo, Pixels, turn

#: Largest image, in pixels; it keeps a decompression bomb and the memory bounded.
MAX_PIXELS = 64_000_000


def count_pixels(path: Path) -> int:
    """Pixels of an image by its header; 0 when it has none that can be read."""
    if not path.is_file():
        return 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.size[0] * image.size[1]
    except Exception:  # reading it will say why
        return 0


def read_photo(path: Path, name: str | None = None) -> Photo:
    """Read an image file; see :func:`decode`.

    Args:
        path: of the file.
        name: what to call it in messages; the path if None.
    """
    name = name or str(path)
    return decode(read_bytes(path, name), name)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a photograph as models are shown it: RGB of 8 bits, EXIF orientation applied.

    Protecting, training and evaluating read through this module, so that all see one image.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UnsegError: when the file is missing or no image that is read.
    """
    return rgb_of(read_photo(path))


def rgb_of(photo: Photo) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: grey becomes three equal channels, 16 bits are rounded to 8."""
    pixels = photo.pixels
    if photo.bits == 16:
        pixels = ((pixels.astype(np.uint32) + photo.step // 2) // photo.step).astype(np.uint8)
    return np.stack([pixels] * 3, axis=2) if photo.grey else pixels


def decode(data: bytes, name: str) -> Photo:
    """Decode an image file.

    Args:
        data: the file's bytes.
        name: what to call the file in messages.

    Returns:
        Pixels turned as the EXIF orientation says, and the metadata to carry over.

    Raises:
        UnsegError: when the bytes are no image, are damaged or hold what is not supported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are checked below, by a smaller limit
            with Image.open(io.BytesIO(data)) as image:
                _check(image, name)
                if not _is_wide_png(data):
                    image.load()
                return photo_of(image, name, data)
    except UnsegError:
        raise
    except Image.DecompressionBombError as error:
        raise UnsegError(
            f"{name} claims more than {MAX_PIXELS // 1_000_000} megapixels: shrink it"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise UnsegError(
            f"{name} is not an image that can be read (it begins with {data[:8]!r}): expected "
            "JPEG, PNG, WebP, BMP, TIFF, GIF or PPM; remove it or convert it"
        ) from error
    except Exception as error:  # Pillow raises whatever its plugins meet in a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnsegError(
            f"{name} is damaged or cut off ({reason}): expected a complete image, copy it again"
        ) from error


def photo_of(image: Image.Image, name: str = "the image", data: bytes = b"") -> Photo:
    """Pixels and metadata of a loaded Pillow image.

    Args:
        image: mode 1, L, LA, P, PA, RGB, RGBA or 16-bit grey.
        name: what to call it in messages.
        data: the file's bytes, from which the 16-bit samples of a PNG are decoded.

    Raises:
        UnsegError: when the mode is another.
    """
    exif, orientation = carried_exif(image)
    if _is_wide_png(data):
        pixels, alpha = _decode_16_bit(data, image, name)
    else:
        pixels, alpha = _samples(image, name)
    return Photo(
        turn(pixels, orientation),
        None if alpha is None else turn(alpha, orientation),
        "JPEG" if image.format == "MPO" else image.format or "PNG",
        image.info.get("icc_profile") or None,
        exif,
        [chunk for chunk in png.chunks(data) if chunk[0] in png.VIEWING],
    )


def _check(image: Image.Image, name: str) -> None:
    """Refuse what is too large, moves, or has colours that are not grey or RGB."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnsegError(
            f"{name} is {width}x{height}, {width * height / 1e6:.0f} megapixels: expected at most "
            f"{MAX_PIXELS // 1_000_000}, shrink it"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise UnsegError(
            f"{name} holds {frames} frames: expected a still image, save each frame as its own file"
        )
    if image.format == "PPM" and (image.mode == "I" or _ppm_maximum(image) > 255):
        raise UnsegError(f"{name} is a PPM with more than 8 bits: convert it to a 16-bit PNG")
    if image.format == "TIFF" and image.mode not in {"I;16", "I;16B"}:
        bits = max(getattr(image, "tag_v2", {}).get(258, (8,)))
        if bits > 8:
            colour = " in colour" if len(image.getbands()) > 1 else ""
            raise UnsegError(
                f"{name} is a TIFF with {bits} bits a channel{colour}: convert it to a 16-bit PNG"
            )


def _ppm_maximum(image: Image.Image) -> int:
    """Largest sample value of a PPM's header where Pillow rescales to 255; else 255."""
    arguments = [part for tile in getattr(image, "tile", ()) for part in np.atleast_1d(tile[3])]
    return max((int(one) for one in arguments if str(one).isdecimal()), default=255)


def _is_wide_png(data: bytes) -> bool:
    return data.startswith(png.SIGNATURE) and png.header(data)[0] == 16


def _samples(image: Image.Image, name: str) -> tuple[Pixels, Pixels | None]:
    """Colour and alpha of everything but 16-bit PNG."""
    if image.mode in {"I;16", "I;16B", "I;16L", "I;16N"}:
        values = np.asarray(image).astype(np.uint16)
        # Photometric interpretation 0 of a TIFF: 0 is white. Pillow turns 8 bits around, not 16.
        inverted = getattr(image, "tag_v2", {}).get(262) == 0
        return 65535 - values if inverted else values, None
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in {"P", "PA"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in {"L", "RGB"} and image.has_transparency_data:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    if image.mode in {"L", "RGB"}:
        return np.array(image), None
    if image.mode in {"LA", "RGBA"}:
        values = np.array(image)
        colour = values[..., 0] if image.mode == "LA" else values[..., :3]
        return np.ascontiguousarray(colour), np.ascontiguousarray(values[..., -1])
    raise UnsegError(
        f"{name} is an image of mode {image.mode}: expected grey or RGB with 8 or 16 bits, convert "
        "it first (CMYK through its colour profile)"
    )


def _decode_16_bit(data: bytes, image: Image.Image, name: str) -> tuple[Pixels, Pixels | None]:
    """Samples of a 16-bit PNG, which Pillow would cut to 8 bits.

    OpenCV fills what is missing from a cut off file, so the chunks are checked first.
    """
    if not png.is_complete(data):
        raise UnsegError(
            f"{name} is damaged or cut off (a chunk of it is): expected a complete image, copy it "
            "again"
        )
    if "transparency" in image.info:
        raise UnsegError(
            f"{name} is a 16-bit PNG with a transparent colour: give it an alpha channel instead"
        )
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise UnsegError(f"{name} is a damaged 16-bit PNG: write it again")
    samples = np.asarray(values, np.uint16)
    if samples.ndim == 2:
        return samples, None
    alpha = np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None
    if png.header(data)[1] == 4:
        return np.ascontiguousarray(samples[..., 0]), alpha
    if alpha is not None:
        samples = np.ascontiguousarray(samples[..., :3])
    for row in samples:  # in place: a second copy of a large photograph would count
        row[:] = row[:, ::-1].copy()
    return samples, alpha
