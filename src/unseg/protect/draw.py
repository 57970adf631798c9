"""Masks as files, to look at and to correct: drawn from boxes, or found by the models."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg import files
from unseg.errors import UnsegError
from unseg.files import AnyPath
from unseg.images.reader import read_photo
from unseg.masks.find import find_regions
from unseg.masks.regions import LabelRules, Target
from unseg.masks.sources import MaskSource, load_sources
from unseg.masks.sources.boxes import BoxMasks
from unseg.models.loaded import Models
from unseg.progress import Progress, Update, silent
from unseg.protect.folder import box_source
from unseg.protect.plan import Job, make_plan
from unseg.protect.settings import Settings


@dataclass(frozen=True)
class DrawnMasks:
    """What :func:`draw_masks` wrote.

    Args:
        out: folder of the masks.
        drawn: names of the masks that were written, relative to it.
        without: names of the images without a box, which got no mask.
        errors: a line on every image that failed.
    """

    out: Path
    drawn: list[str]
    without: list[str]
    errors: list[str]


def draw_masks(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    settings: Settings | None = None,
    *,
    boxes: AnyPath | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> DrawnMasks:
    """Draw masks for :func:`unseg.protect_folder`; all that ``unseg masks`` does.

    Args:
        inputs: images, and folders that are searched recursively.
        out: folder for the masks; it mirrors the tree of each input folder.
        settings: of them ``target``, ``find``, ``model``, ``salience`` and ``device`` count.
            Target ``union`` writes 0 and 255, ``class`` the boxes' classes, ``instance`` their
            numbers in 16 bits.
        boxes: COCO file or folder of YOLO files. Without, the sources of ``settings.find``.
        overwrite: whether masks that are there are replaced.
        progress: told of every image; ``item`` is an error's text or None.

    Raises:
        UnsegError: when nothing can be started: a path is missing, or no box fits any image.

    Example:
        drawn = unseg.draw_masks("photos", "masks", boxes="instances.json")
    """
    settings = settings or Settings()
    if boxes is None and settings.target != "union":
        raise UnsegError(f"--target {settings.target} needs --boxes: proposals have no classes")
    given = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    plan = make_plan([Path(one) for one in given], Path(out))
    models = Models(settings.model, settings.salience, settings.device)
    jobs, without = plan.jobs, []
    if boxes is None:
        sources: list[MaskSource] = load_sources(settings.find, models)
    else:
        source = box_source(Path(boxes), models, settings.target)
        sources = [source]
        jobs = [job for job in plan.jobs if source.boxes_of(job.source) is not None]
        without = [job.source for job in plan.jobs if source.boxes_of(job.source) is None]
        if not jobs:
            raise UnsegError(f"--boxes {boxes} has no box for any of the {len(plan.jobs)} images")
    drawn, errors = [], []
    progress(Update("drawing", 0, len(jobs)))
    for number, job in enumerate(jobs, 1):
        problem = None
        try:
            _draw(job, plan.out, sources, settings.target, overwrite=overwrite)
            drawn.append(_name(job))
        except UnsegError as error:
            problem = str(error)
            errors.append(problem)
        progress(Update("drawing", number, len(jobs), problem))
    return DrawnMasks(plan.out, drawn, without, errors)


def _draw(
    job: Job, out: Path, sources: Sequence[MaskSource], target: Target, *, overwrite: bool
) -> None:
    if job.refusal is not None:
        raise UnsegError(job.refusal)
    files.refuse_taken(out, _name(job), overwrite=overwrite)
    photo = read_photo(job.path, job.source)
    values: NDArray[Any]
    if target == "union":
        found = find_regions(photo, sources, LabelRules(), job.source)
        values = found.regions.foreground.astype(np.uint8) * np.uint8(255)
    else:
        boxes = next(source for source in sources if isinstance(source, BoxMasks))
        labels = boxes.find(photo, job.source)
        assert labels is not None
        values = labels.labels.values
        # 255 would be void in 8 bits.
        wide = target == "instance" or boxes.highest >= 255
        values = values.astype(np.uint16 if wide else np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG", compress_level=6)
    files.write_atomically(out / _name(job), stream.getvalue())


def _name(job: Job) -> str:
    """Name of an image's mask; of images that do not become PNG, their own and ``.png``."""
    return job.output if job.output.endswith(".png") else f"{job.output}.png"
