"""Masks as files, to look at and to correct: drawn from boxes, or found by the models."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg import files
from unseg.errors import UnsegError
from unseg.files import AnyPath
from unseg.images.photo import Photo
from unseg.images.reader import read_photo, rgb_of
from unseg.images.view import touched
from unseg.masks.among import holds_photographs, is_label_map, refusal
from unseg.masks.annotations import read_annotations
from unseg.masks.clicks import Clicks
from unseg.masks.find import FoundRegions, find_regions
from unseg.masks.overlay import overlaid
from unseg.masks.regions import LabelRules, Target
from unseg.masks.sources import MaskSource, load_sources
from unseg.masks.sources.boxes import BoxMasks, box_remarks, box_source
from unseg.masks.sources.clicked import ClickedMask
from unseg.models.loaded import Models
from unseg.progress import Progress, Update, silent
from unseg.protect.given import CLICKED, check_clickable, numbered_classes, refuse_several
from unseg.protect.lock import locked
from unseg.protect.plan import Job, make_plan
from unseg.protect.settings import Settings
from unseg.protect.shard import Shard
from unseg.protect.stop import stoppable
from unseg.remarks import texts

#: Long side of pictures in pixels.
_LARGEST = 1600


@dataclass(frozen=True)
class DrawnMasks:
    """What :func:`draw_masks` wrote.

    Args:
        out: folder of the masks.
        drawn: names of the masks that were written, relative to it.
        without: names of the images without a box, which got no mask.
        errors: a line on every image that failed.
        warnings: what may have gone wrong in silence: texts, each with the names it is said of.
    """

    out: Path
    drawn: list[str]
    without: list[str]
    errors: list[str]
    warnings: dict[str, list[str]] = field(default_factory=dict)


def draw_masks(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    settings: Settings | None = None,
    *,
    boxes: AnyPath | None = None,
    clicks: Clicks | None = None,
    overlay: AnyPath | None = None,
    overwrite: bool = False,
    resume: bool = False,
    shard: Shard | None = None,
    progress: Progress = silent,
) -> DrawnMasks:
    """Draw masks for :func:`unseg.protect_folder`; all that ``unseg masks`` does.

    Args:
        inputs: images, and folders that are searched recursively.
        out: folder for the masks; it mirrors the tree of each input folder.
        settings: of them ``target``, ``classes``, ``find``, ``model``, ``salience`` and ``device``
            count.
            Target ``union`` writes 0 and 255, ``class`` the boxes' classes, ``instance`` their
            numbers in 16 bits.
        boxes: COCO, YOLO, labelme or Pascal VOC annotations. Without, the sources of
            ``settings.find``.
        clicks: points and boxes in a single image, in which the base SAM finds the objects; no
            ``boxes`` then.
        overlay: folder for pictures of the masks over their photographs, to be looked at: JPEG
            with a long side of at most 1,600 pixels.
        overwrite: whether masks that are there are replaced.
        resume: whether they are kept as they are, corrected ones too, and the others drawn.
        shard: the part of the masks to draw, of a run that is split over a job array.
        progress: told of every image; ``item`` is an error's text or None.

    Raises:
        UnsegError: when nothing can be started: a path is missing, no box fits any image, or
            another run writes to the folder.
        KeyboardInterrupt: after Ctrl-C, when the mask in hand is drawn.

    Example:
        drawn = unseg.draw_masks("photos", "masks", boxes="instances.json")
    """
    settings = settings or Settings()
    given = [inputs] if isinstance(inputs, str | PathLike) else list(inputs)
    places = [Path(one) for one in given]
    if clicks is not None:
        refuse_several(places)
        check_clickable(settings)
        if boxes is not None:
            raise UnsegError(f"{CLICKED} and --boxes say two things: give one of them")
    elif boxes is None and settings.target != "union":
        raise UnsegError(
            f"--target {settings.target} needs --boxes: what stands out has no classes"
        )
    if boxes is None and clicks is None and settings.classes is not None:
        raise UnsegError("--classes needs --boxes: what stands out has no classes")
    plan = make_plan(places, Path(out))
    pictures = None if overlay is None else Path(overlay)
    if pictures is not None:
        _check_apart(pictures, [Path(out), *places])
    models = Models(settings.model, settings.salience, settings.device)
    jobs, without = plan.jobs, []
    warnings: dict[str, list[str]] = {}
    sources: list[MaskSource]
    if clicks is not None:
        sources = [ClickedMask(clicks, models.base)]
    elif boxes is None:
        sources = load_sources(settings.find, models)
    else:
        names = [job.source for job in plan.jobs]
        annotations = read_annotations(Path(boxes))
        settings = numbered_classes(settings, annotations.classes)
        source = box_source(
            Path(boxes), models, settings.target, names,
            annotations=annotations, classes=settings.rules.classes,
        )  # fmt: skip
        sources = [source]
        jobs = [job for job in plan.jobs if source.has(job.source)]
        without = [name for name in names if not source.has(name)]
        for text in texts(tuple(box_remarks(source, names)), warning=True):
            warnings[text] = ["--boxes"]
    if shard is not None:
        jobs = [job for number, job in enumerate(jobs) if shard.takes(number)]
    photographs = cache(partial(holds_photographs, [job.path for job in plan.jobs]))
    drawn: list[str] = []
    errors: list[str] = []
    with locked(plan.out, shard), stoppable() as stop:
        if shard is None and (overwrite or resume):
            files.remove_stale(plan.out)
        kept = [job for job in jobs if resume and (plan.out / _name(job)).is_file()]
        left = [job for job in jobs if job not in kept]
        number = len(kept)
        progress(Update("drawing", number, len(jobs)))
        for number, job in enumerate(stop.until(left), len(kept) + 1):
            problem = None
            try:
                found, photo = _draw(
                    job, plan.out, sources, settings.target,
                    overwrite=overwrite, photographs=photographs,
                )  # fmt: skip
                if pictures is not None:
                    again = overwrite or resume
                    _draw_over(photo, found, pictures, _name(job), overwrite=again)
                for text in texts(found.remarks, warning=True):
                    warnings.setdefault(text, []).append(job.source)
                drawn.append(_name(job))
            except UnsegError as error:
                problem = str(error)
                errors.append(problem)
            progress(Update("drawing", number, len(jobs), problem))
        stop.leave(f"stopped with {number} of {len(jobs)} masks drawn: --resume goes on")
    return DrawnMasks(plan.out, drawn, without, errors, warnings)


def _draw(
    job: Job, out: Path, sources: Sequence[MaskSource], target: Target,
    *, overwrite: bool, photographs: Callable[[], bool],
) -> tuple[FoundRegions, Photo]:  # fmt: skip
    if job.refusal is not None:
        raise UnsegError(job.refusal)
    files.refuse_taken(out, _name(job), overwrite=overwrite)
    photo = read_photo(job.path, job.source)
    if is_label_map(photo) and photographs():
        raise UnsegError(refusal(job.source))
    values: NDArray[Any]
    found = find_regions(photo, sources, LabelRules(), job.source)
    if target == "union":
        values = found.regions.foreground.astype(np.uint8) * np.uint8(255)
    else:
        assert found.labels is not None
        values = found.labels.values
        # 255 would be void in 8 bits.
        wide = target == "instance" or any(
            isinstance(source, BoxMasks) and source.highest >= 255 for source in sources
        )
        values = values.astype(np.uint16 if wide else np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG", compress_level=6)
    files.write_atomically(out / _name(job), stream.getvalue())
    return found, photo


def _check_apart(pictures: Path, others: Sequence[Path]) -> None:
    """Refuse a folder of pictures where they would be taken for masks or photographs."""
    here = pictures.resolve()
    for other in others:
        there = other.resolve()
        if here.is_relative_to(there) or there.is_relative_to(here):
            raise UnsegError(
                f"--overlay {pictures} and {other} overlap: choose a folder of its own, so that no "
                "picture is taken for a mask or a photograph"
            )


def _draw_over(
    photo: Photo, found: FoundRegions, pictures: Path, name: str, *, overwrite: bool
) -> None:
    """Draw a mask over its photograph."""
    target = str(PurePosixPath(name).with_suffix(".jpg"))
    files.refuse_taken(pictures, target, overwrite=overwrite)
    image, mask = rgb_of(photo), found.regions.foreground
    scale = _LARGEST / max(photo.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in photo.size)
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        mask = touched(mask, height, width)
    stream = io.BytesIO()
    Image.fromarray(overlaid(image, mask)).save(stream, "JPEG", quality=90)
    files.write_atomically(pictures / target, stream.getvalue())


def _name(job: Job) -> str:
    """Name of an image's mask; of images that do not become PNG, their own and ``.png``."""
    return job.output if job.output.endswith(".png") else f"{job.output}.png"
