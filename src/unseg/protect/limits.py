"""What a machine can do at all: the limits that protecting is measured against."""

from __future__ import annotations

import io
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unseg.models.loaded import Models
from unseg.models.sam.vit import VitConfig
from unseg.protect.drawn import figure

_GEMM = 1536
_COPY_BYTES = 1 << 27
#: Side of the input of the reference's generator, in pixels.
_REFERENCE = 1024
Figures = dict[str, float]


def figures(values: Sequence[float]) -> Figures:
    """Median and quartiles.

    Example:
        >>> figures([1, 2, 3, 4, 5])
        {'median': 3.0, 'low': 2.0, 'high': 4.0}
    """
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def seconds_of(call: Callable[[], object], repeats: int, *, warm: bool = False) -> Figures:
    """Seconds of a call, after one that does not count unless it is warm."""
    if not warm:
        call()
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)
    return figures(spent)


def gemm(repeats: int) -> Figures:
    """Peak of a product of matrices in float32, in 1e9 operations a second."""
    a, b = torch.rand(_GEMM, _GEMM), torch.rand(_GEMM, _GEMM)
    found = seconds_of(lambda: torch.mm(a, b), repeats)
    return {name: 2 * _GEMM**3 / value / 1e9 for name, value in _rates(found).items()}


def copying(repeats: int) -> Figures:
    """Bytes read and written a second by a copy in one thread, in 1e9."""
    source = np.ones(_COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    found = seconds_of(lambda: np.copyto(target, source), repeats)
    return {name: 2 * _COPY_BYTES / value / 1e9 for name, value in _rates(found).items()}


def _rates(found: Figures) -> Figures:
    """The longest time is the lowest rate."""
    return {"median": found["median"], "low": found["high"], "high": found["low"]}


def network(models: Models, repeats: int) -> dict[str, Any]:
    """The generator alone on one image at the size that it is shown, and its operations."""
    generator = models.generator
    pixels, found = figure(1024, 768)
    image = torch.from_numpy(pixels).permute(2, 0, 1).float().to(models.device)
    mask = torch.from_numpy(found)[None].to(models.device)

    def run() -> object:
        with torch.inference_mode():
            return generator.noise(image, mask).float().sum().item()

    with FlopCounterMode(display=False) as counter:
        run()
    return {
        "seconds": seconds_of(run, repeats, warm=True), "flops": counter.get_total_flops(),
    }  # fmt: skip


def batches(models: Models, sizes: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """The generator on several images at once, its encoder in float32 and in bfloat16.

    Returns:
        For each: seconds an image, and the share of equal signs of the noise inside the mask.
    """
    generator = models.generator
    pixels, found = figure(1024, 768)
    image = torch.from_numpy(pixels).permute(2, 0, 1).float()
    mask = torch.from_numpy(found)[None]
    expected, rows = generator.noise(image, mask)[0][:, mask[0]].sign(), []
    for half in (False, True):
        generator.encodes_in_half = half
        try:
            for size in sizes:

                def run(size: int = size) -> Tensor:
                    with torch.inference_mode():
                        return generator.noise_batch([image] * size, [mask] * size)[-1][0]

                same = float((run()[:, mask[0]].sign() == expected).float().mean())
                spent = seconds_of(run, repeats, warm=True)
                rows.append({
                    "batch": size, "half": half, "same_sign": same,
                    "seconds": {name: value / size for name, value in spent.items()},
                })  # fmt: skip
        finally:
            generator.encodes_in_half = False
    return rows


def codecs(pixels: NDArray[np.uint8], data: bytes, repeats: int) -> dict[str, Any]:
    """Decoding and encoding of the same pixels by the libraries, without anything of ours.

    Args:
        pixels: (H, W, 3), as they are published.
        data: the JPEG file that is read.
        repeats: how often.
    """
    picture, blue_first = Image.fromarray(pixels), np.ascontiguousarray(pixels[..., ::-1])

    def read() -> bytes:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
        return data

    def save(kind: str, **options: Any) -> Callable[[], bytes]:
        def run() -> bytes:
            stream = io.BytesIO()
            picture.save(stream, kind, **options)
            return stream.getvalue()

        return run

    def png(level: int, strategy: int, filtered: int | str) -> Callable[[], bytes]:
        options = [cv2.IMWRITE_PNG_COMPRESSION, level, cv2.IMWRITE_PNG_STRATEGY, strategy]
        if filtered and hasattr(cv2, "IMWRITE_PNG_FILTER"):  # from OpenCV 4.12 on
            options += [cv2.IMWRITE_PNG_FILTER, getattr(cv2, f"IMWRITE_PNG_FILTER_{filtered}")]
        return lambda: cv2.imencode(".png", blue_first, options)[1].tobytes()

    calls: dict[str, Callable[[], bytes]] = {
        "Pillow JPEG decode": read,
        "Pillow PNG, its default": save("PNG"),
        "Pillow PNG, level 1": save("PNG", compress_level=1),
        "Pillow JPEG 98, 4:4:4": save("JPEG", quality=98, subsampling=0),
        "Pillow WebP, lossless": save("WEBP", lossless=True, quality=20, method=1),
        **{f"OpenCV PNG, {name}": png(*options) for name, options in _PNGS.items()},
        "OpenCV JPEG 98": lambda: cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, 98])[
            1
        ].tobytes(),
    }
    made = {
        name: (len(call()), seconds_of(call, repeats, warm=True)) for name, call in calls.items()
    }
    return {
        "seconds": {name: spent for name, (_, spent) in made.items()},
        "bytes": {name: size for name, (size, _) in made.items()},
    }


#: Level, strategy and filter (0 is the library's default) of PNG files.
_PNGS: dict[str, tuple[int, int, int | str]] = {
    "level 1": (1, cv2.IMWRITE_PNG_STRATEGY_FILTERED, 0),
    "run length, filter Paeth": (1, cv2.IMWRITE_PNG_STRATEGY_RLE, "PAETH"),
    "run length, filter average (ours)": (1, cv2.IMWRITE_PNG_STRATEGY_RLE, "AVG"),
    "Huffman only, filter average": (1, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY, "AVG"),
}


def reference(device: str, repeats: int) -> dict[str, Any]:
    """The encoder of a generator of the reference's size, ViT-B, with random weights: its time."""
    from unseg.models.sam.vit_encoder import VitEncoder

    encoder: nn.Module = VitEncoder(VitConfig(), _REFERENCE).eval().to(device)
    image = torch.zeros(1, 3, _REFERENCE, _REFERENCE, device=device)

    def run() -> object:
        with torch.inference_mode():
            return encoder(image)[0].float().sum().item()

    with FlopCounterMode(display=False) as counter:
        run()
    return {
        "seconds": seconds_of(run, repeats, warm=True), "flops": counter.get_total_flops(),
    }  # fmt: skip


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load() -> float | None:
    """How many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def peak_memory() -> int | None:
    """Bytes, of the whole process so far; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def memory() -> int | None:
    """Bytes in use by this process now; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
