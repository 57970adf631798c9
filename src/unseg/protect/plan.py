"""Which image goes where: inputs and outputs, known before anything is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from unseg.errors import UnsegError
from unseg.files import walk
from unseg.images.formats import HEAD, IMAGE_SUFFIXES, Format, format_named, format_within
from unseg.images.writer import output_suffix
from unseg.masks.annotations.detect import ANNOTATIONS
from unseg.protect.manifest import MASKS
from unseg.protect.settings import Settings


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
        range: lowest and highest sample in use; None is what the settings say.
    """

    path: Path
    source: str
    output: str
    mask: str
    refusal: str | None = None
    group: int = 0
    range: tuple[float, float] | None = None

    def settings_for(self, settings: Settings) -> Settings:
        """A run's settings as they are for this image."""
        return settings if self.range is None else replace(settings, range=self.range)


@dataclass(frozen=True)
class Plan:
    """All images of a run, sorted by output.

    Args:
        out: the output folder.
        jobs: the images.
        ignored: names of files in input folders that are no images, by suffix and first bytes.
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
        masks: folder with masks, which holds no images to protect, or annotations.
        format: see :class:`~unseg.protect.settings.Settings`.
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
        named = format_named(name)
        within = _within(path) if named is None or not named.read else None
        if named is None and within is None and path not in inputs:
            ignored.append(name)
            continue
        job = _job(path, name, format, named, within)
        jobs[job.output, path.resolve()] = job
    if not jobs:
        raise UnsegError(
            f"found no image in {', '.join(map(str, inputs))}: expected files ending in "
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
                f"the output folder {out} is inside the input {path}: choose a folder outside it"
            )
        if here.is_relative_to(target):
            raise UnsegError(
                f"the input {path} is inside the output folder {out}: originals are never "
                "touched; choose another output folder"
            )
    if masks is None:
        return
    if not masks.is_dir() and not (masks.is_file() and masks.suffix.lower() in ANNOTATIONS):
        raise UnsegError(
            f"--masks {masks} is not a folder: expected a folder of mask PNGs, or annotations "
            f"({', '.join(ANNOTATIONS)})"
        )
    if masks.resolve().is_relative_to(target):
        raise UnsegError(
            f"--masks {masks} is inside the output folder {out}: choose another folder with -o"
        )
    for path in inputs:
        if path.is_dir() and path.resolve() == masks.resolve():
            raise UnsegError(
                f"--masks {masks} is the input folder itself: keep the masks in their own folder, "
                "or give annotations among the images with --boxes"
            )


def _within(path: Path) -> Format | None:
    """The format that a file's first bytes say; None when they cannot be read."""
    try:
        if not path.is_file():  # a pipe would never end
            return None
        with path.open("rb") as stream:
            return format_within(stream.read(HEAD))
    except OSError:
        return None


def _job(path: Path, name: str, format: str, named: Format | None, within: Format | None) -> Job:
    """The job of a file.

    Args:
        path: of the file.
        name: relative to the input.
        format: of the output.
        named: the format that its name says, if any.
        within: the format that its first bytes say, looked at where the name does not say one
            that is read.
    """
    refusal = None
    printable = name.encode("utf-8", "backslashreplace").decode()
    source = PurePosixPath(printable)
    if printable != name:
        refusal = f"{printable}: the name is not UTF-8: rename the file"
    if path.exists() and not path.is_file():
        refusal = refusal or f"{printable} is a pipe or a device, not a file: remove it"
    suffix = ".png"
    known = named if named is not None and named.read else None
    if known is None and not (named is None and within is not None and within.read):
        refusal = refusal or _not_read(printable, named, within)
    else:
        try:
            suffix = output_suffix(path, format, known or within)
        except UnsegError as error:
            refusal = refusal or str(error)
    # A name that does not say a kind is no stem: a.jpg and a.jpg_original may stand side by side.
    output = source.with_suffix(suffix) if known else _appended(source, suffix)
    # With --format same a.jpg and a.png may stand side by side, and so must their masks.
    # So may a.dcm and a.png, and names whose end is no suffix.
    alone = known is not None and known.name != "DICOM" and format != "same"
    mask = output.with_suffix(".png") if alone else PurePosixPath(f"{output}.png")
    return Job(path, str(source), str(output), f"{MASKS}/{mask}", refusal=refusal)


def _appended(source: PurePosixPath, suffix: str) -> PurePosixPath:
    return source if suffix == source.suffix else source.with_name(source.name + suffix)


def _not_read(name: str, named: Format | None, within: Format | None) -> str:
    """Why a file is refused."""
    if named is not None and within is not None and within.read and within.name != "TIFF":
        return (
            f"{name} is named like a {named.name} file, which is not read, but holds "
            f"{within.name}: rename it to {within.suffixes[0]}"
        )
    kind = named or within
    called = "" if kind is None else f" ({kind.name})"
    return (
        f"{name} is of a kind that is not read{called}: expected "
        f"{', '.join(sorted(IMAGE_SUFFIXES))}; convert it to PNG or JPEG"
    )


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
