"""One range in use for all images of a series, so that slices are treated alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from unseg.datasets.layout import Layout
from unseg.errors import UnsegError
from unseg.images.dicom import DicomFile
from unseg.images.ranges import RangeChoice, with_range
from unseg.images.reader import has_8_bits, read_photo
from unseg.protect.plan import Job


class _Slice(NamedTuple):
    """How a slice stores its samples, the range it uses and the samples it has."""

    stored: tuple[object, ...]
    used: tuple[float, float]
    low: float
    high: float


def with_series_ranges(
    jobs: list[Job], layout: Layout, images: Iterable[str], choice: RangeChoice
) -> list[Job]:
    """The jobs, those of a series with the range from its lowest to its highest end.

    Args:
        jobs: images to protect.
        layout: of the data set; says what is a series.
        images: names of all images, as those that are not protected count, too.
        choice: ``auto`` and ``data`` are chosen by series; others are the same for all anyway.
    """
    wanted = {series for job in jobs if (series := layout.series(job.source)) is not None}
    if choice not in ("auto", "data") or not wanted:
        return jobs
    slices: dict[str, _Slice] = {}
    ranges: dict[tuple[str, tuple[object, ...]], list[tuple[float, float]]] = defaultdict(list)
    for name in images:
        series = layout.series(name)
        if series in wanted and (found := _slice(layout.root / name, choice)) is not None:
            slices[name] = found
            ranges[series, found.stored].append(found.used)
    made = []
    for job in jobs:
        one, series = slices.get(job.source), layout.series(job.source)
        if one is not None and series is not None:
            lows, highs = zip(*ranges[series, one.stored], strict=True)
            low, high = min(lows), max(highs)
            # A slice with no sample in it, such as one of air, keeps its own.
            if one.high >= low and one.low <= high:
                job = replace(job, range=(low, high))
        made.append(job)
    return made


def _slice(path: Path, choice: RangeChoice) -> _Slice | None:
    """None for what has 8 bits, or cannot be read, which is said where it is protected."""
    try:
        if has_8_bits(path):
            return None
        photo = read_photo(path, choice=choice)
    except UnsegError:
        return None
    used = photo.stated_range
    if photo.bits == 8:
        return None
    if photo.floats is not None:
        return _Slice(("floats",), used, *with_range(photo, "full").stated_range)
    low, high = photo.own(int(photo.pixels.min()), int(photo.pixels.max()))
    how: tuple[object, ...] = (photo.offset, photo.whole, photo.mirror)
    if isinstance(photo.container, DicomFile):
        how = (*how, photo.container.scale)
    return _Slice(how, used, low, high)
