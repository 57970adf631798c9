"""How fast this machine protects, beside what it can do at all: measured in one run."""

from __future__ import annotations

import io
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from unseg.errors import UnsegError
from unseg.masks.sources import MaskSource, load_sources
from unseg.masks.sources.file import MaskFiles
from unseg.models.loaded import Models
from unseg.progress import Progress, Update, silent
from unseg.protect.noises import NoiseSource, load_noises
from unseg.protect.pipeline import Pipeline
from unseg.protect.plan import make_plan
from unseg.protect.settings import OutputFormat, Settings
from unseg.protect.timings import Timings, measured
from unseg.provenance import provenance

#: Sizes that are measured by default, width and height.
SIZES = ((1024, 768), (4000, 3000))
#: Format of the stored run; raised when it changes.
FORMAT = 1
_GEMM = 1536
_COPY_BYTES = 1 << 28
Figures = dict[str, float]


def benchmark(
    *,
    sizes: Sequence[tuple[int, int]] = SIZES,
    formats: Sequence[OutputFormat] = ("png", "jpeg", "webp"),
    found: bool = True,
    repeats: int = 5,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure limits of the machine, and protecting drawn photographs end to end.

    Args:
        sizes: width and height of the photographs.
        formats: of the output, each measured with masks.
        found: whether the first is also measured without, so that the foreground is found.
        repeats: how often each is done after once that does not count.
        device: see :class:`~unseg.protect.settings.Settings`.
        progress: told of every measurement.

    Returns:
        JSON: the machine, its limits, and for each case seconds and stages. A figure is a dict of
        ``median``, ``low`` and ``high`` (quartiles) over the repeats.

    Raises:
        UnsegError: when the device is not there, or a photograph cannot be protected.
    """
    if repeats < 2:
        raise UnsegError(f"repeats={repeats}: expected at least 2, as the spread is shown")
    models = Models(device=device)
    cases = [(size, kind, True) for size in sizes for kind in formats]
    cases += [(size, formats[0], False) for size in sizes if found]
    total = 2 + len(sizes) + len(cases)
    progress(Update("measuring", 0, total))
    before = _load()
    limits: dict[str, Any] = {"gemm_gflops": _gemm(repeats), "copy_gb_per_s": _copying(repeats)}
    progress(Update("measuring", 1, total))
    network = _network(models, repeats)
    progress(Update("measuring", 2, total))
    done, codecs, measured_cases = 2, [], []
    folder = Path(tempfile.mkdtemp(prefix="unseg-benchmark-"))
    try:
        for size in sizes:
            _draw(folder / _named(size), size)
            codecs.append({"size": list(size), **_codecs(folder / _named(size), repeats)})
            done += 1
            progress(Update("measuring", done, total))
        for size, kind, masks in cases:
            measured_cases.append(_case(folder, size, kind, repeats, models, masks=masks))
            done += 1
            progress(Update("measuring", done, total))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "format": FORMAT,
        **provenance(seed=0),
        "machine": {
            "processor": _processor(), "cores": _cores(), "system": platform.platform(),
            "torch_threads": torch.get_num_threads(), "device": models.device,
            "load_before": before, "load_after": _load(),
        },
        "repeats": repeats,
        "limits": limits,
        "network": network,
        "codecs": codecs,
        "cases": measured_cases,
        "peak_memory_mb": None if (most := _peak_memory()) is None else round(most / 2**20),
    }  # fmt: skip


def figures(values: Sequence[float]) -> Figures:
    """Median and quartiles.

    Example:
        >>> figures([1, 2, 3, 4, 5])
        {'median': 3.0, 'low': 2.0, 'high': 4.0}
    """
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def photograph(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """A drawn picture with the statistics of a photograph: detail falls with the frequency.

    Returns:
        (H, W, 3) uint8, of the same random numbers everywhere.
    """
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    level = 2
    while level <= max(width, height):
        size = (
            max(2, width * level // max(width, height)),
            max(2, height * level // max(width, height)),
        )
        coarse = rng.standard_normal((size[1], size[0], 3), np.float32)
        coarse = coarse * 0.3 + coarse.mean(axis=2, keepdims=True)
        wide = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        picture += wide * (45 / level**0.3)
        level *= 2
    picture += rng.standard_normal((height, width, 1), np.float32) * 2  # a sensor's
    return (picture + 120).clip(0, 255).astype(np.uint8)


def _draw(place: Path, size: tuple[int, int]) -> None:
    """One photograph as a JPEG, and its mask."""
    (place / "images").mkdir(parents=True)
    (place / "masks").mkdir()
    pixels = photograph(*size)
    Image.fromarray(pixels).save(place / "images" / "photo.jpg", quality=92)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    cv2.circle(mask, (size[0] // 2, size[1] // 2), size[1] // 3, 255, -1)
    Image.fromarray(mask).save(place / "masks" / "photo.png")


def _case(
    folder: Path,
    size: tuple[int, int],
    kind: OutputFormat,
    repeats: int,
    models: Models,
    *,
    masks: bool,
) -> dict[str, Any]:
    """One size, format and way to the mask: seconds of wall and processor, and the stages."""
    place = folder / _named(size)
    settings = Settings(format=kind, device=models.device)
    noises = load_noises(settings.noises, models)
    sources: list[MaskSource] = load_sources(settings.find, models)
    if masks:
        sources.insert(0, MaskFiles(place / "masks", images=["photo.jpg"]))
    walls, cpus, stages, written = [], [], [], 0
    for number in range(repeats + 1):
        out = folder / "out"
        with measured() as timings:
            wall, cpu = time.perf_counter(), time.process_time()
            _protect(place / "images", out, settings, sources, noises)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        stages.append(timings)
        written = sum(path.stat().st_size for path in out.glob("photo.*"))
        shutil.rmtree(out)
        if number == 0:  # caches and threads are warm now
            walls, cpus, stages = [], [], []
    return {
        "size": list(size), "format": kind, "masks": masks, "bytes": written,
        "wall": figures(walls), "cpu": figures(cpus), "stages": _stages(stages),
    }  # fmt: skip


def _protect(
    images: Path, out: Path, settings: Settings, sources: Sequence[MaskSource],
    noises: Sequence[NoiseSource],
) -> None:  # fmt: skip
    plan = make_plan([images], out, format=settings.format)
    for record in Pipeline(out, settings, sources, noises).run(plan.jobs):
        if record.error is not None:
            raise UnsegError(f"the benchmark's photograph failed: {record.error}")


def _stages(runs: Sequence[Timings]) -> dict[str, dict[str, Figures]]:
    return {
        name: {
            "wall": figures([run.wall[name] for run in runs]),
            "cpu": figures([run.cpu[name] for run in runs]),
        }
        for name in runs[0].wall
    }


def _seconds(call: Callable[[], object], repeats: int) -> Figures:
    call()
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)
    return figures(spent)


def _gemm(repeats: int) -> Figures:
    """Peak of a product of matrices in float32, in 1e9 operations a second."""
    a, b = torch.rand(_GEMM, _GEMM), torch.rand(_GEMM, _GEMM)
    found = _seconds(lambda: torch.mm(a, b), repeats)
    return {name: 2 * _GEMM**3 / value / 1e9 for name, value in _rates(found).items()}


def _copying(repeats: int) -> Figures:
    """Bytes read and written a second by a copy in one thread, in 1e9."""
    source = np.ones(_COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    found = _seconds(lambda: np.copyto(target, source), repeats)
    return {name: 2 * _COPY_BYTES / value / 1e9 for name, value in _rates(found).items()}


def _rates(found: Figures) -> Figures:
    """The longest time is the lowest rate."""
    return {"median": found["median"], "low": found["high"], "high": found["low"]}


def _network(models: Models, repeats: int) -> dict[str, Any]:
    """The generator alone on one image at the size that it is shown, and its operations."""
    generator = models.generator
    image = torch.from_numpy(photograph(1024, 768)).permute(2, 0, 1).float()
    mask = torch.zeros(1, 768, 1024, dtype=torch.bool)
    mask[:, 200:500, 300:700] = True
    image, mask = image.to(models.device), mask.to(models.device)

    def run() -> object:
        with torch.inference_mode():
            return generator.noise(image, mask).float().sum().item()

    with FlopCounterMode(display=False) as counter:
        run()
    return {"seconds": _seconds(run, repeats), "flops": counter.get_total_flops()}


def _codecs(place: Path, repeats: int) -> dict[str, Any]:
    """Decoding and encoding of the same pixels by the libraries, without anything of ours."""
    data = (place / "images" / "photo.jpg").read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    picture, blue_first = Image.fromarray(pixels), np.ascontiguousarray(pixels[..., ::-1])

    def read() -> object:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)

    def save(kind: str, **options: Any) -> Callable[[], object]:
        return lambda: picture.save(io.BytesIO(), kind, **options)

    calls: dict[str, Callable[[], object]] = {
        "Pillow JPEG decode": read,
        "Pillow PNG, its default": save("PNG"),
        "Pillow PNG, level 1": save("PNG", compress_level=1),
        "Pillow JPEG 98, 4:4:4": save("JPEG", quality=98, subsampling=0),
        "Pillow WebP, lossless": save("WEBP", lossless=True, quality=20, method=1),
        "OpenCV PNG, level 1": lambda: cv2.imencode(
            ".png", blue_first, [cv2.IMWRITE_PNG_COMPRESSION, 1]
        ),
        "OpenCV JPEG 98": lambda: cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, 98]),
    }
    return {"seconds": {name: _seconds(call, repeats) for name, call in calls.items()}}


def _named(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _load() -> float | None:
    """How many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _peak_memory() -> int | None:
    """Bytes, of the whole process so far; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
