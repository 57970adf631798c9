"""What the owner gives to say where the objects are: mask files, annotations, names of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unseg.errors import UnsegError
from unseg.masks.annotations import read_annotations
from unseg.masks.annotations.detect import are_annotations
from unseg.masks.annotations.names import unknown_class
from unseg.masks.clicks import Clicks
from unseg.masks.sources import MaskSource
from unseg.masks.sources.boxes import box_remarks, box_source
from unseg.masks.sources.clicked import ClickedMask
from unseg.masks.sources.file import MaskFiles
from unseg.models.loaded import Models
from unseg.protect.plan import Plan
from unseg.protect.settings import Settings
from unseg.remarks import Remark, texts

#: What the options for one image are called in messages.
CLICKED = "--box, --point and --not"


@dataclass(frozen=True)
class Given:
    """The owner's masks.

    Args:
        files: the source of the mask files, if there are any.
        annotated: the source of the annotations or of the clicks, if there are any.
        settings: the run's, whose classes are numbers.
        unused: masks that fit no image.
        remarks: what to know of the annotations as a whole.
    """

    files: list[MaskFiles]
    annotated: Sequence[MaskSource]
    settings: Settings
    unused: list[str]
    remarks: tuple[Remark, ...]


def given_masks(
    plan: Plan,
    masks: Path | None,
    boxes: Path | None,
    settings: Settings,
    models: Models,
    clicks: Clicks | None = None,
) -> Given:
    """Find out what the owner gives.

    Args:
        plan: the images.
        masks: a folder of mask images, or annotations.
        boxes: annotations.
        settings: the run's; names of classes are looked up in the annotations.
        models: whose base SAM draws outlines in boxes.
        clicks: points and boxes in the one image that there is.

    Raises:
        UnsegError: when something does not fit the images or each other, or a class is unknown;
            with ``settings.strict`` also for a warning.
    """
    if clicks is not None:
        if masks is not None or boxes is not None:
            raise UnsegError(f"{CLICKED} and --masks or --boxes say two things: give one of them")
        check_clickable(settings)
        return Given([], [ClickedMask(clicks, models.base)], settings, [], ())
    option, names = "--boxes", [job.source for job in plan.jobs]
    skipped = {plan.out.resolve(), *(job.path.resolve() for job in plan.jobs)}
    if masks is not None and are_annotations(masks, skipped):
        if boxes is not None:
            raise UnsegError(
                f"--masks {masks} and --boxes {boxes} are both annotations: give one of them"
            )
        option, masks, boxes = "--masks", None, masks
    files, unused = [], []
    if masks is not None:
        source = MaskFiles(masks, skipped, names, by_class=settings.target == "class")
        files, unused = [source], source.unused(names)
        _check_files(source, unused, names, strict=settings.strict)
    if boxes is None:
        names_of = (files[0].classes or None) if files else None
        return Given(files, [], numbered_classes(settings, names_of), unused, ())
    annotations = read_annotations(boxes, option)
    settings = numbered_classes(settings, annotations.classes, mixed=bool(files))
    annotated = box_source(
        boxes, models, settings.target, names,
        annotations=annotations, classes=settings.rules.classes, option=option,
    )  # fmt: skip
    remarks = tuple(box_remarks(annotated, names))
    if settings.strict and any(one.warning for one in remarks):
        raise UnsegError(f"{option} {boxes}: {texts(remarks, warning=True)[0]} (--strict)")
    return Given(files, [annotated], settings, unused, remarks)


def check_clickable(settings: Settings) -> None:
    """Refuse settings that need classes, which points and boxes have none of.

    Raises:
        UnsegError: when there are such.
    """
    if settings.target == "class" or settings.classes is not None:
        option = "--classes" if settings.classes is not None else "--target class"
        raise UnsegError(f"{option} needs labels, which {CLICKED} give none: leave it out")


def refuse_several(inputs: Sequence[Path]) -> None:
    """Refuse clicks for anything but one image.

    Raises:
        UnsegError: when there is a folder, or several images.
    """
    if len(inputs) != 1 or inputs[0].is_dir():
        what = f"{len(inputs)} inputs" if len(inputs) != 1 else f"the folder {inputs[0]}"
        raise UnsegError(
            f"{CLICKED} are coordinates in one image, and there is {what}: give a single image; "
            "for many, --boxes takes annotations, and --masks masks"
        )


def _check_files(source: MaskFiles, unused: list[str], names: list[str], *, strict: bool) -> None:
    """Refuse masks of which none fits any image, and with ``strict`` some that fit none."""
    without = [name for name in names if source.path_of(name) is None]
    if len(without) == len(names):
        there = f"the first mask is {unused[0]}" if unused else "there is no mask in it"
        raise UnsegError(
            f"--masks {source.folder}: no mask fits any of the {len(names)} images ({there}, the "
            f"first image {names[0]}): give masks the same names as the images, such as "
            f"{Path(names[0]).stem}.png"
        )
    if strict and unused and without:
        raise UnsegError(
            f"--masks {source.folder}: {len(unused)} masks fit no image (first: {unused[0]}), "
            f"and {len(without)} images have none (first: {without[0]}) (--strict): give the "
            "masks the same names as the images"
        )


def numbered_classes(
    settings: Settings, names: Mapping[int, str] | None, *, mixed: bool = False
) -> Settings:
    """Settings whose classes are numbers.

    Args:
        settings: the run's.
        names: of the classes by label; None of mask files, which have none.
        mixed: whether there are mask files beside annotations, whose numbers may mean something
            else.

    Raises:
        UnsegError: when a name is unknown.
    """
    wanted = [one for one in settings.classes or () if isinstance(one, str)]
    if not wanted:
        return settings
    start = f"--classes {','.join(wanted)}"
    if mixed or not names:
        why = "these have none" if names is not None and not mixed else "mask files have none"
        raise UnsegError(
            f"{start}: expected label numbers such as 6,15. Names need annotations that name their "
            f"classes, given with --masks or --boxes alone ({why})"
        )
    known = sorted(set(names.values()))
    unknown = [one for one in wanted if one not in known]
    if unknown:
        raise UnsegError(
            f"{start}: {unknown[0]} is no class of the masks: {unknown_class(unknown[0], known)}"
        )
    named = {label for label, name in names.items() if name in wanted}
    numbers = {one for one in settings.classes or () if isinstance(one, int)}
    return replace(settings, classes=tuple(named | numbers))
