"""How fast this machine protects, beside what it can do at all: measured in one run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from unseg.errors import UnsegError
from unseg.key import VARIABLE, Key
from unseg.masks.sources import MaskSource, load_sources
from unseg.masks.sources.file import MaskFiles
from unseg.models.loaded import Models
from unseg.progress import Progress, Update, silent
from unseg.protect import limits
from unseg.protect.drawn import figure, photograph
from unseg.protect.limits import Figures, figures
from unseg.protect.noises import NoiseSource, load_noises
from unseg.protect.pipeline import Pipeline
from unseg.protect.plan import make_plan
from unseg.protect.settings import OutputFormat, Settings
from unseg.protect.timings import Timings, measured
from unseg.provenance import provenance

#: Sizes that are measured by default, width and height.
SIZES = ((1024, 768), (4000, 3000))
#: Format of the stored run; raised when it changes.
FORMAT = 2
#: Size of the images of a long run, and after how many its state is noted.
_LONG, _NOTED = (320, 240), 100
Way = Literal["given", "salient", "proposed"]


@dataclass(frozen=True)
class Case:
    """What is measured end to end.

    Args:
        size: width and height.
        format: of the output.
        masks: given, or found in a photograph with somebody in it (``salient``) or with nothing
            that stands out (``proposed``).
    """

    size: tuple[int, int]
    format: OutputFormat
    masks: Way


def benchmark(
    *,
    sizes: Sequence[tuple[int, int]] = SIZES,
    formats: Sequence[OutputFormat] = ("png", "jpeg", "webp"),
    found: bool = True,
    repeats: int = 5,
    row: int = 4,
    long: int = 0,
    batches: Sequence[int] = (),
    reference: bool = True,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure limits of the machine, and protecting drawn photographs end to end.

    Args:
        sizes: width and height of the photographs.
        formats: of the output, each measured with masks.
        found: whether the first is also measured without, so that the foreground is found.
        repeats: how often each is done after once that does not count.
        row: photographs in a row, one after the other is read, protected and written.
        long: images of one long run, which shows whether pace and memory last; 0 for none.
        batches: images that the network is given at once, in float32 and in bfloat16.
        reference: whether ViT-B's encoder is timed, too.
        device: see :class:`~unseg.protect.settings.Settings`.
        progress: told of every measurement.

    Returns:
        JSON: the machine, its limits, and for each case seconds and stages a photograph. A figure
        is a dict of ``median``, ``low`` and ``high`` (quartiles) over the repeats.

    Raises:
        UnsegError: when the device is not there, or a photograph cannot be protected.
    """
    if repeats < 2:
        raise UnsegError(f"repeats={repeats}: expected at least 2, as the spread is shown")
    models = Models(device=device)
    cases = [Case(size, kind, "given") for size in sizes for kind in formats]
    ways: tuple[Way, ...] = ("salient", "proposed") if found else ()
    cases += [Case(size, formats[0], way) for size in sizes for way in ways]
    steps = 5 + len(sizes) + len(cases) + bool(long)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(Update("measuring", done, steps))

    progress(Update("measuring", 0, steps))
    before = limits.load()
    run: dict[str, Any] = {"limits": {
        "gemm_gflops": limits.gemm(repeats), "copy_gb_per_s": limits.copying(repeats),
    }}  # fmt: skip
    step()
    run["network"] = limits.network(models, repeats)
    run["batches"] = limits.batches(models, batches, repeats) if batches else []
    step()
    with _folder() as folder:
        run["start"] = figures([_started(folder, device) for _ in range(repeats)])
        step()
        run["codecs"] = []
        for size in sizes:
            _draw(folder, size, row)
            photo = folder / _named(size) / "given" / "images" / "1.jpg"
            with Image.open(photo) as opened:
                pixels = np.asarray(opened.convert("RGB"))
            spent = limits.codecs(pixels, photo.read_bytes(), repeats)
            run["codecs"].append({"size": list(size), **spent})
            step()
        run["cases"] = []
        for case in cases:
            run["cases"].append(_case(folder, case, repeats, row, models))
            step()
        run["peak_memory_mb"] = _megabytes(limits.peak_memory())
        run["long"] = None
        if long:
            run["long"] = _long(folder, long, models)
            step()
    run["reference"] = limits.reference(models.device, 2) if reference else None
    step()
    run["machine"] = {
        "processor": limits.processor(), "cores": limits.cores(), "system": platform.platform(),
        "torch_threads": torch.get_num_threads(), "device": models.device,
        "load_before": before, "load_after": limits.load(),
    }  # fmt: skip
    step()
    return {"format": FORMAT, **provenance(seed=0), "repeats": repeats, "row": row, **run}


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="unseg-benchmark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _draw(folder: Path, size: tuple[int, int], row: int) -> None:
    """Photographs as JPEG files, and masks: with somebody in them, and without."""
    somebody, mask = figure(*size)
    for way, pixels in (("given", somebody), ("proposed", photograph(*size))):
        place = folder / _named(size) / way
        (place / "images").mkdir(parents=True)
        (place / "masks").mkdir()
        for number in range(1, row + 1):
            file = place / "images" / f"{number}.jpg"
            if number == 1:
                Image.fromarray(pixels).save(file, quality=92)
                Image.fromarray(mask).convert("L").save(place / "masks" / "1.png")
            else:
                shutil.copy(place / "images" / "1.jpg", file)
                shutil.copy(place / "masks" / "1.png", place / "masks" / f"{number}.png")


def _started(folder: Path, device: str) -> float:
    """Seconds from the command to its first image, in a process of its own."""
    place, out = folder / "start", folder / "started"
    if not place.exists():
        (place / "masks").mkdir(parents=True)
        pixels, mask = figure(1024, 768)
        Image.fromarray(pixels).save(place / "1.jpg", quality=92)
        Image.fromarray(mask).convert("L").save(place / "masks" / "1.png")
    line = [sys.executable, "-m", "unseg", "protect", place / "1.jpg", "-o", out,
            "--masks", place / "masks", "--device", device]  # fmt: skip
    # Nobody's key is made for a measurement.
    environment = {**os.environ, VARIABLE: Key.of_text("a benchmark").secret.hex()}
    began = time.perf_counter()
    done = subprocess.run(
        [str(one) for one in line], env=environment, capture_output=True, text=True
    )
    spent = time.perf_counter() - began
    if done.returncode:
        raise UnsegError(f"the benchmark's command failed: {(done.stderr or done.stdout)[-300:]}")
    shutil.rmtree(out, ignore_errors=True)
    return spent


def _case(folder: Path, case: Case, repeats: int, row: int, models: Models) -> dict[str, Any]:
    """Seconds a photograph, of wall and processor: in a row, and of one alone; and the stages."""
    place = folder / _named(case.size) / ("proposed" if case.masks == "proposed" else "given")
    settings = Settings(format=case.format, device=models.device)
    noises = load_noises(settings.noises, models)
    names = [f"{number}.jpg" for number in range(1, row + 1)]
    sources: list[MaskSource] = load_sources(settings.find, models)
    if case.masks == "given":
        sources.insert(0, MaskFiles(place / "masks", images=names))
    protect = partial(_protect, folder / "out", settings, sources, noises)
    paths = [place / "images" / name for name in names]
    result: dict[str, Any] = {
        "size": list(case.size), "format": case.format, "masks": case.masks,
    }  # fmt: skip
    for name, some in (("alone", paths[:1]), ("row", paths)):
        walls, cpus, stages = [], [], []
        for _ in range(repeats + (name == "alone")):  # the first warms caches and threads
            with measured() as timings:
                wall, cpu = time.perf_counter(), time.process_time()
                result["bytes"] = protect(some) // len(some)
                walls.append((time.perf_counter() - wall) / len(some))
                cpus.append((time.process_time() - cpu) / len(some))
            stages.append(timings)
        result |= {
            f"{name}_wall": figures(walls[-repeats:]),
            f"{name}_cpu": figures(cpus[-repeats:]),
        }
        if name == "alone":
            result["stages"] = _stages(stages[-repeats:])
    return result


def _protect(
    out: Path, settings: Settings, sources: Sequence[MaskSource], noises: Sequence[NoiseSource],
    paths: Sequence[Path],
) -> int:  # fmt: skip
    """Protect photographs; returns the bytes that were written, and removes them."""
    plan = make_plan(list(paths), out, format=settings.format)
    for record in Pipeline(out, settings, sources, noises).run(plan.jobs):
        if record.error is not None:
            raise UnsegError(f"the benchmark's photograph failed: {record.error}")
    written = sum((out / job.output).stat().st_size for job in plan.jobs)
    shutil.rmtree(out)
    return written


def _long(folder: Path, count: int, models: Models) -> dict[str, Any]:
    """Many small images in one run: seconds an image and memory in use, noted now and then."""
    place = folder / "long"
    (place / "images").mkdir(parents=True)
    (place / "masks").mkdir()
    pixels, mask = figure(*_LONG)
    Image.fromarray(pixels).save(place / "images" / "0.jpg", quality=92)
    Image.fromarray(mask).convert("L").save(place / "masks" / "0.png")
    names = [f"{number}.jpg" for number in range(count)]
    for number in range(1, count):
        shutil.copy(place / "images" / "0.jpg", place / "images" / names[number])
        shutil.copy(place / "masks" / "0.png", place / "masks" / f"{number}.png")
    settings = Settings(device=models.device)
    sources: list[MaskSource] = [MaskFiles(place / "masks", images=names)]
    out = folder / "out"
    plan = make_plan([place / "images"], out, format=settings.format)
    run = Pipeline(out, settings, sources, load_noises(settings.noises, models)).run(plan.jobs)
    notes: list[dict[str, Any]] = []
    wall, cpu = time.perf_counter(), time.process_time()
    for number, record in enumerate(run, 1):
        if record.error is not None:
            raise UnsegError(f"the benchmark's image failed: {record.error}")
        if number % min(_NOTED, count) == 0:
            now, used = time.perf_counter(), time.process_time()
            since = number - (notes[-1]["images"] if notes else 0)
            notes.append({
                "images": number, "wall": (now - wall) / since, "cpu": (used - cpu) / since,
                "memory_mb": _megabytes(limits.memory()),
            })  # fmt: skip
            wall, cpu = now, used
    shutil.rmtree(out)
    return {"size": list(_LONG), "images": count, "notes": notes}


def _stages(runs: Sequence[Timings]) -> dict[str, dict[str, Figures]]:
    return {
        name: {
            "wall": figures([run.wall[name] for run in runs]),
            "cpu": figures([run.cpu[name] for run in runs]),
        }
        for name in runs[0].wall
    }


def _named(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _megabytes(count: int | None) -> int | None:
    return None if count is None else round(count / 2**20)
