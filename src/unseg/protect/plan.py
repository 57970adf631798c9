"""Which image goes where: inputs, their masks and outputs, known before anything is read."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from unseg.errors import UnsegError
from unseg.images import formats
from unseg.images.writer import output_suffix
from unseg.masks import labels as label_maps
from unseg.protect.manifest import MASKS


@dataclass(frozen=True)
class Job:
    """One image to protect.

    Args:
        path: the original.
        source: its name relative to the input folder, with ``/``.
        output: name of the written file, relative to the output folder.
        mask: name of the stored mask, relative to the output folder.
        mask_file: the given mask, or None.
        mask_name: its name relative to the masks folder.
        refusal: why the image cannot be protected, or None.
        group: images of one group go through the model together.
    """

    path: Path
    source: str
    output: str
    mask: str
    mask_file: Path | None = None
    mask_name: str | None = None
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
    inputs: Sequence[Path], out: Path, masks: Path | None = None, choice: str = "png",
    batch: int = 1,
) -> Plan:  # fmt: skip
    """Find the images and give each its output and mask.

    Args:
        inputs: files, and folders that are searched recursively; hidden files are left out.
        out: folder to write to; it mirrors the tree of each input folder.
        masks: folder with masks: the image's place in the tree is tried first, then its top.
        choice: ``png``, ``webp`` or ``same``.
        batch: images a group.

    Returns:
        The plan; a job that cannot be done carries a refusal.

    Raises:
        UnsegError: when a path does not exist, folders lie inside each other, or there is no image.
    """
    _check_folders(inputs, out, masks)
    skipped = {path.resolve() for path in (out, masks) if path is not None}
    index = _index_masks(masks, out) if masks is not None else {}
    jobs: dict[tuple[str, Path], Job] = {}
    ignored: list[str] = []
    for path, name in walk(inputs, skipped):
        suffix = path.suffix.lower()
        if suffix not in (*formats.IMAGE_SUFFIXES, *formats.UNREAD_SUFFIXES) and path not in inputs:
            ignored.append(name)
            continue
        job = _job(path, name, masks, index, choice)
        jobs[job.output, path.resolve()] = job
    if not jobs:
        raise UnsegError(
            f"no image in {', '.join(map(str, inputs))}: expected files ending in "
            f"{', '.join(sorted(formats.IMAGE_SUFFIXES))}"
        )
    ordered = sorted(_refuse_collisions(list(jobs.values())), key=lambda j: (j.output, j.source))
    numbered = [replace(job, group=i // batch) for i, job in enumerate(ordered)]
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


def walk(inputs: Sequence[Path], skipped: set[Path]) -> Iterator[tuple[Path, str]]:
    """Files and their names relative to the input they were found in.

    Args:
        inputs: files, and folders that are searched recursively.
        skipped: resolved folders that are left out, as hidden ones are.

    Raises:
        UnsegError: when a folder cannot be listed.
    """
    for start in inputs:
        if not start.is_dir():
            yield start, start.name
            continue
        for folder, folders, files in os.walk(start, onerror=_unreadable, followlinks=True):
            here = Path(folder)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and name != MASKS and _is_entered(here, name, skipped)
            )
            for name in sorted(files):
                if not name.startswith("."):
                    yield here / name, (here / name).relative_to(start).as_posix()


def _is_entered(here: Path, name: str, skipped: set[Path]) -> bool:
    """Whether a folder is searched: not where that is unwanted, or leads round and round."""
    target = (here / name).resolve()
    if any(target.is_relative_to(one) for one in skipped):
        return False
    return not here.resolve().is_relative_to(target)  # else a link to a folder that it lies in


def _unreadable(error: OSError) -> None:
    """What lies in a folder that cannot be listed would stay unprotected in silence."""
    raise UnsegError(
        f"{error.filename} cannot be read ({error.strerror}): check its permissions, or leave it "
        "out"
    ) from error


def _job(path: Path, name: str, masks: Path | None, index: dict[str, str], choice: str) -> Job:
    refusal = None
    printable = name.encode("utf-8", "backslashreplace").decode()
    source = PurePosixPath(printable)
    if printable != name:
        refusal = f"{printable}: the name is not UTF-8, rename the file"
    if path.exists() and not path.is_file():
        refusal = refusal or f"{printable} is no file but a pipe or device: remove it"
    suffix = ".png"
    if path.suffix.lower() not in formats.IMAGE_SUFFIXES:
        refusal = refusal or (
            f"{printable} is of a kind that is not read: expected "
            f"{', '.join(sorted(formats.IMAGE_SUFFIXES))}, convert it to PNG or JPEG"
        )
    else:
        try:
            suffix = output_suffix(path, choice)
        except UnsegError as error:
            refusal = refusal or str(error)
    output = source.with_suffix(suffix)
    # With --format same a.jpg and a.png may stand side by side, and so must their masks.
    mask = output.with_suffix(".png") if choice != "same" else PurePosixPath(f"{output}.png")
    key = str(source.with_suffix(""))
    mask_name = index.get(key, index.get(source.stem))
    return Job(
        path, str(source), str(output), f"{MASKS}/{mask}", mask_name=mask_name, refusal=refusal,
        mask_file=None if masks is None or mask_name is None else masks / mask_name,
    )  # fmt: skip


def _index_masks(masks: Path, out: Path) -> dict[str, str]:
    """Mask names by their place in the tree without suffix; PNG goes first."""
    index: dict[str, str] = {}
    for path, name in walk([masks], {out.resolve()}):
        key = str(PurePosixPath(name).with_suffix(""))
        suffix = path.suffix.lower()
        if suffix in label_maps.SUFFIXES and (key not in index or suffix == ".png"):
            index[key] = name
    return index


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
