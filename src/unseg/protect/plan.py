"""Which image goes where: inputs and outputs, known before anything is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from unseg.errors import UnsegError
from unseg.files import walk
from unseg.images.formats import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from unseg.images.writer import output_suffix
from unseg.protect.manifest import MASKS


@dataclass(frozen=True)
class Job:
    """One image to protect.

    Args:
        path: the original.
        source: its name relative to the input folder, with ``/``.
        output: name of the written file, relative to the output folder.
        mask: name of the stored mask, relative to the output folder.
        refusal: why the image cannot be protected, or None.
        group: images of one group go through the model together.
    """

    path: Path
    source: str
    output: str
    mask: str
    refusal: str | None = None
    group: int = 0


@dataclass(frozen=True)
class Plan:
    """All images of a run, sorted by output.

    Args:
        out: the output folder.
        jobs: the images.
        ignored: names of files in input folders that are no images by their suffix.
    """

    out: Path
    jobs: list[Job]
    ignored: list[str]


def make_plan(
    inputs: Sequence[Path],
    out: Path,
    masks: Path | None = None,
    *,
    format: str = "png",
    batch_size: int = 1,
) -> Plan:
    """Find the images and give each its output.

    Args:
        inputs: files, and folders that are searched recursively; hidden files are left out.
        out: folder to write to; it mirrors the tree of each input folder.
        masks: folder with masks, which holds no images to protect.
        format: ``png``, ``webp`` or ``same``.
        batch_size: images a group.

    Returns:
        The plan; a job that cannot be done carries a refusal.

    Raises:
        UnsegError: when a path does not exist, folders lie inside each other, or there is no image.
    """
    _check_folders(inputs, out, masks)
    skipped = {path.resolve() for path in (out, masks) if path is not None}
    jobs: dict[tuple[str, Path], Job] = {}
    ignored: list[str] = []
    for path, name in walk(inputs, skipped, {MASKS}):
        suffix = path.suffix.lower()
        if suffix not in (*IMAGE_SUFFIXES, *UNREAD_SUFFIXES) and path not in inputs:
            ignored.append(name)
            continue
        job = _job(path, name, format)
        jobs[job.output, path.resolve()] = job
    if not jobs:
        raise UnsegError(
            f"no image in {', '.join(map(str, inputs))}: expected files ending in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    ordered = sorted(_refuse_collisions(list(jobs.values())), key=lambda j: (j.output, j.source))
    numbered = [replace(job, group=i // batch_size) for i, job in enumerate(ordered)]
    return Plan(out, numbered, sorted(ignored))


def _check_folders(inputs: Sequence[Path], out: Path, masks: Path | None) -> None:
    """Refuse anything through which an original could be overwritten or an output read."""
    target = out.resolve()
    for path in inputs:
        if not path.exists():
            raise UnsegError(f"{path} does not exist: expected an image or a folder of images")
        here = path.resolve()
        if target.is_relative_to(here):
            raise UnsegError(
                f"the output folder {out} lies inside the input {path}: choose a folder outside it"
            )
        if here.is_relative_to(target):
            raise UnsegError(
                f"the input {path} lies inside the output folder {out}: originals are never "
                "touched, choose another output folder"
            )
    if masks is None:
        return
    if not masks.is_dir():
        raise UnsegError(f"--masks {masks} is not a folder: expected a folder of mask PNGs")
    if masks.resolve().is_relative_to(target):
        raise UnsegError(f"--masks {masks} lies inside the output folder {out}: choose another -o")
    for path in inputs:
        if path.is_dir() and path.resolve() == masks.resolve():
            raise UnsegError(
                f"--masks {masks} is the input folder itself: keep the masks in their own folder"
            )


def _job(path: Path, name: str, format: str) -> Job:
    refusal = None
    printable = name.encode("utf-8", "backslashreplace").decode()
    source = PurePosixPath(printable)
    if printable != name:
        refusal = f"{printable}: the name is not UTF-8, rename the file"
    if path.exists() and not path.is_file():
        refusal = refusal or f"{printable} is no file but a pipe or device: remove it"
    suffix = ".png"
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        refusal = refusal or (
            f"{printable} is of a kind that is not read: expected "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}, convert it to PNG or JPEG"
        )
    else:
        try:
            suffix = output_suffix(path, format)
        except UnsegError as error:
            refusal = refusal or str(error)
    output = source.with_suffix(suffix)
    # With --format same a.jpg and a.png may stand side by side, and so must their masks.
    mask = output.with_suffix(".png") if format != "same" else PurePosixPath(f"{output}.png")
    return Job(path, str(source), str(output), f"{MASKS}/{mask}", refusal=refusal)


def _refuse_collisions(jobs: list[Job]) -> list[Job]:
    """Refuse all images that would be written to one file."""
    claims: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        claims[job.output].append(job)
    result = []
    for job in jobs:
        rivals = claims[job.output]
        if len(rivals) > 1 and job.refusal is None:
            others = " and ".join(sorted(str(j.path) for j in rivals))
            text = (
                f"{others} would all be written to {job.output}: rename them, protect them into "
                "different folders, or use --format same if their suffixes differ"
            )
            job = replace(job, refusal=text)
        result.append(job)
    return result
