"""Image files to pixels, as a viewer shows them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from unseg.errors import UnsegError
from unseg.images import png

#: uint8 or uint16 samples.
Pixels = NDArray[Any]

#: Suffixes of the files that are read, by format.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm"),
}
SUFFIXES = frozenset(suffix for group in FORMATS.values() for suffix in group)
#: Image files that are not read: named in an error, so that none is passed over in silence.
UNREAD_SUFFIXES = frozenset(
    (
        *(".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".psd", ".exr", ".hdr"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
        *(".svg", ".tga", ".ico", ".apng", ".mpo", ".dcm"),
    )
)
#: Largest image, in pixels; it keeps a decompression bomb and the memory bounded.
MAX_PIXELS = 64_000_000
#: Largest file, in bytes: its bytes are held in memory once.
MAX_BYTES = 1 << 30

_ORIENTATION = 0x0112
#: What is carried over from the EXIF block; thumbnails and maker notes may hold an unprotected
#: copy of the picture, and a TIFF file's own tags describe another file.
_KEPT_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, *range(0x9C9B, 0x9CA0))
_DROPPED_EXIF = (0x927C, 0xA002, 0xA003, 0xA005)


@dataclass(frozen=True)
class Photo:
    """An image's pixels in viewing orientation, and what is carried over to the written file.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8 or uint16.
        alpha: (H, W) of the same dtype, or None.
        format: Pillow's name of the file's format.
        icc: ICC profile, or None.
        exif: EXIF block without orientation, thumbnail and maker note, or None.
        chunks: PNG chunks that say how the samples are shown.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes | None = None
    chunks: list[png.Chunk] = field(default_factory=list)

    @property
    def grey(self) -> bool:
        """Whether there is one channel, alpha not counted."""
        return self.pixels.ndim == 2

    @property
    def bits(self) -> int:
        """Bits a channel, 8 or 16."""
        return self.pixels.dtype.itemsize * 8

    @property
    def step(self) -> int:
        """Sample values in one 8-bit step: 1, or 257 in 16-bit images."""
        return 257 if self.bits == 16 else 1

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def mode(self) -> str:
        """Channels and bits, e.g. ``RGB8``, ``LA8`` or ``L16``."""
        return f"{'L' if self.grey else 'RGB'}{'' if self.alpha is None else 'A'}{self.bits}"


def read_bytes(path: Path, name: str) -> bytes:
    """A file's bytes.

    Raises:
        UnsegError: when the file is empty, too large or cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UnsegError(
                f"{name} has {size} bytes: expected at most {MAX_BYTES}, split it or shrink it"
            )
        data = path.read_bytes()
    except OSError as error:
        raise UnsegError(
            f"{name} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    if not data:
        raise UnsegError(f"{name} is empty (0 bytes): expected an image, copy the file again")
    return data


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
    exif, orientation = _carried_exif(image)
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


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation, 1..8 (EXIF 2.32, tag 0x0112), to (H, W, ...) pixels."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


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


def _carried_exif(image: Image.Image) -> tuple[bytes | None, int]:
    """EXIF to carry over, and the orientation (1 if none); what is damaged is dropped."""
    try:
        found = image.getexif()
        orientation = found.get(_ORIENTATION, 1)
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
