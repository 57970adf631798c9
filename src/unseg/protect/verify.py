"""Check a protected folder against its manifest and, if given, against the originals."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unseg.errors import UnsegError
from unseg.files import TEMPORARY, AnyPath, read_bytes, walk
from unseg.images.formats import IMAGE_SUFFIXES, format_named
from unseg.images.photo import Photo
from unseg.images.reader import decode
from unseg.images.writer import alike
from unseg.masks.labels import read_label_map
from unseg.noise import Budget, Change
from unseg.progress import Progress, Update, silent
from unseg.protect.carried import DATASET, is_complete, read_carried
from unseg.protect.manifest import (
    MANIFEST,
    MASKS,
    PARQUET,
    RUN,
    Manifest,
    Record,
    parts_of,
    read_run,
)
from unseg.protect.quality import compare
from unseg.protect.shard import Shard
from unseg.protect.verify_stored import is_stored, verify_stored
from unseg.provenance import sha256_file
from unseg.storage.stores import as_place

#: Manifests hold PSNR, SSIM and the score rounded to 3, 5 and 2 places; different builds of
#: OpenCV may differ by a little more.
PSNR_TOLERANCE = 0.01
SSIM_TOLERANCE = 0.0002
VISIBILITY_TOLERANCE = 0.05
#: Manifests of formats before this one do not say how far the noise is seen.
_SCORED = 3
#: And those of formats before this one hold the SSIM of the full size.
_VIEWED_SSIM = 4


@dataclass(frozen=True)
class Mismatch:
    """One thing that does not fit: the file, and what is wrong with it."""

    file: str
    text: str


@dataclass
class Findings:
    """What a verification found.

    Args:
        checked: images whose files were compared with the manifest.
        compared: images that were also compared with their originals.
        unchanged: records of images whose mask has no foreground, published as they are.
        unprotected: records of images that the run could not protect.
        problems: everything that does not fit.
        unlisted: images among the originals that have no record: they came later, or were left
            out. Their sources, as a record would name them.
    """

    checked: int = 0
    compared: int = 0
    unchanged: list[Record] = field(default_factory=list)
    unprotected: list[Record] = field(default_factory=list)
    problems: list[Mismatch] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything fits."""
        return not self.problems

    def report(self, file: str, text: str) -> None:
        """Add a problem."""
        self.problems.append(
            Mismatch(file, text.removeprefix(f"{file} ").removeprefix(f"{file}: "))
        )


def verify_folder(
    folder: AnyPath,
    originals: AnyPath | Sequence[AnyPath] = (),
    *,
    progress: Progress = silent,
) -> Findings:
    """Verify a folder that ``unseg protect`` wrote; all that ``unseg verify`` does.

    Without the originals: checksums, sizes, masks, damaged or doubled records, files that are
    missing or not listed, and the run's own checksum of the manifest. With them also the largest
    change inside and outside the mask, PSNR, SSIM and visibility score, computed anew.

    Args:
        folder: the output folder, or its address.
        originals: the folders (or files, addresses, shards) that were protected.
        progress: told of every record.

    Raises:
        UnsegError: when there is no manifest, or an original folder does not exist.

    Example:
        findings = unseg.verify_folder("protected", "photos")
        assert findings.ok, findings.problems
    """
    given = [originals] if isinstance(originals, str | PathLike) else list(originals)
    if is_stored(folder):
        return _verify_stored(folder, given, progress)
    folder = Path(as_place(folder))
    places = [Path(as_place(one)) for one in given]
    for place in places:
        if not place.exists():
            raise UnsegError(
                f"--originals {place} does not exist: expected the folder that was protected"
            )
    manifest = Manifest(folder)
    records, damaged = manifest.read()
    findings = Findings()
    for text in damaged:
        findings.report(MANIFEST, text)
    _check_run(folder, findings)
    _check_doubles(records, findings)
    progress(Update("verifying", 0, len(records)))
    for number, record in enumerate(records, 1):
        _check_record(folder, record, places, findings)
        progress(Update("verifying", number, len(records), record))
    carried = _check_carried(folder, findings)
    _check_listed(folder, records, carried, findings)
    known = {record.source for record in records} | carried
    folders = [place for place in places if place.is_dir()]
    for path, name in walk(folders, {folder.resolve()}, {MASKS}):
        if path.suffix.lower() in IMAGE_SUFFIXES and name not in known:
            findings.unlisted.append(name)
    return findings


def _verify_stored(folder: AnyPath, originals: Sequence[AnyPath], progress: Progress) -> Findings:
    """The same of what lies at an address, or in shards."""
    findings = Findings()

    def check(here: Path, record: Record, places: Sequence[Path]) -> None:
        _check_record(here, record, places, findings)

    records, findings.unlisted = verify_stored(folder, originals, check, findings.report, progress)
    _check_doubles(records, findings)
    return findings


def _check_doubles(records: list[Record], findings: Findings) -> None:
    good = {record.output for record in records if record.status != "error"}
    for name, count in Counter(record.output for record in records).items():
        if count > 1 and name in good:
            findings.report(name, f"has {count} records in the manifest: expected one")


def _check_record(
    folder: Path, record: Record, originals: Sequence[Path], findings: Findings
) -> None:
    """Check the image of a record, if it has one."""
    if record.status == "error":
        findings.unprotected.append(record)
        return
    if record.status == "unchanged":
        findings.unchanged.append(record)
    _check_image(folder, record, originals, findings)


def _check_run(folder: Path, findings: Findings) -> None:
    """Whether the run, or each of its parts, is finished and its manifest the one it wrote."""
    parts = parts_of(folder, MANIFEST)
    if any((folder / name).exists() for name in (MANIFEST, PARQUET)):
        _check_part(folder, None, findings)
    for shard in parts.values():
        _check_part(folder, shard, findings)
    counts = {shard.count for shard in parts.values()}
    for count in sorted(counts):
        there = {shard.number for shard in parts.values() if shard.count == count}
        for number in sorted(set(range(1, count + 1)) - there):
            findings.report(
                Shard(number, count).named(MANIFEST),
                f"is missing: run part {number} of {count}, or all with --resume",
            )


def _check_part(folder: Path, shard: Shard | None, findings: Findings) -> None:
    named = RUN if shard is None else shard.named(RUN)
    manifest = Manifest(folder, shard)
    try:
        run = read_run(folder, shard)
    except UnsegError as error:
        findings.report(named, str(error))
        return
    if run.get("status") != "finished":
        findings.report(named, "the run did not finish: repeat it with --resume")
        return
    noted = {manifest.path: "manifest_sha256", manifest.table: "parquet_sha256"}
    for path, name in noted.items():
        # A table that is noted may be deleted, and so may the lines where there is a table.
        if path.exists() and run.get(name) != sha256_file(path):
            text = f"differs from the one that {named} describes: it was changed"
            findings.report(path.name, text)


def _check_image(
    folder: Path, record: Record, originals: Sequence[Path], findings: Findings
) -> None:
    """Check one image; stops at the first problem that makes the next check pointless."""
    findings.checked += 1
    try:
        photo = _check_file(folder, record)
        foreground = _check_mask(folder, record)
        if originals:
            _check_original(record, photo, foreground, originals, findings)
    except UnsegError as error:
        findings.report(record.output, str(error))


def _check_file(folder: Path, record: Record) -> Photo:
    data = _read_listed(folder, record.output, record.output_sha256, "file")
    photo = decode(data, record.output, record.range or "full")
    if photo.size != (record.width, record.height):
        raise UnsegError(
            f"is {photo.size[0]}x{photo.size[1]}, but the manifest says "
            f"{record.width}x{record.height}"
        )
    return photo


def _check_mask(folder: Path, record: Record) -> NDArray[np.bool_]:
    if record.mask is None:
        raise UnsegError("the manifest names no stored mask: protect the image again")
    _read_listed(folder, record.mask, record.mask_sha256, f"stored mask {record.mask}")
    foreground = read_label_map(folder / record.mask, record.mask).values > 0
    if foreground.shape != (record.height, record.width):
        raise UnsegError(f"the stored mask {record.mask} has another size than the image")
    share = round(float(foreground.mean()), 6)
    if record.foreground_share != share:
        raise UnsegError(
            f"the stored mask covers {share:g}, but the manifest says {record.foreground_share}"
        )
    return foreground


def _read_listed(folder: Path, name: str, checksum: str | None, what: str) -> bytes:
    try:
        there = (folder / name).is_file()
    except OSError:  # such as a name that is too long
        there = False
    if not there:
        raise UnsegError(f"the {what} is missing: protect the image again with --resume")
    data = read_bytes(folder / name, name)
    if hashlib.sha256(data).hexdigest() != checksum:
        raise UnsegError(f"the {what} was changed: its sha256 differs from the manifest's")
    return data


def _check_original(
    record: Record, photo: Photo, foreground: NDArray[np.bool_], originals: Sequence[Path],
    findings: Findings,
) -> None:  # fmt: skip
    """Compare with the original: checksum, bound, PSNR, SSIM and how far the noise is seen."""
    data = find_original(record, originals)
    original = decode(data, record.source, record.range or "full")
    written, whole = alike(original, photo, record.output), record.manifest_format < _VIEWED_SSIM
    found = compare(original, written, foreground, whole=whole)
    findings.compared += 1
    budget = Budget(record.budget.foreground, record.budget.background)
    if record.lossless and not found.change.within(budget):
        findings.report(
            record.output,
            f"changed by {_text(found.change)}, over the budget of {budget.foreground:g} "
            f"and {budget.background:g}",
        )
    noted = record.change
    if noted is None or not _close_change(found.change, Change(noted.inside, noted.outside)):
        said = "nothing" if noted is None else _text(Change(noted.inside, noted.outside))
        findings.report(
            record.output, f"changed by {_text(found.change)}, but the manifest says {said}"
        )
    figures = [
        ("PSNR", found.psnr, record.psnr, PSNR_TOLERANCE),
        ("SSIM", found.ssim, record.ssim, SSIM_TOLERANCE),
    ]
    if record.manifest_format >= _SCORED:
        visible = "visibility score", found.visibility, record.visibility_score
        figures.append((*visible, VISIBILITY_TOLERANCE))
    for name, value, stated, tolerance in figures:
        if not _close(value, stated, tolerance):
            findings.report(record.output, f"{name} is {value}, but the manifest says {stated}")


def find_original(record: Record, originals: Sequence[Path]) -> bytes:
    """Bytes of the original with the recorded checksum.

    Args:
        record: of the image.
        originals: the folders and files that were protected.

    Raises:
        UnsegError: when it is not there, or was changed.
    """
    places = [place / record.source if place.is_dir() else place for place in originals]
    there = [path for path in places if path.is_file() and path.name == Path(record.source).name]
    if not there:
        raise UnsegError(f"the original {record.source} is not in --originals")
    for path in there:
        data = read_bytes(path, record.source)
        if hashlib.sha256(data).hexdigest() == record.source_sha256:
            return data
    raise UnsegError(
        f"the original {record.source} is not the file that was protected: its sha256 differs from "
        "the manifest's"
    )


def _check_carried(folder: Path, findings: Findings) -> set[str]:
    """Names of a data set's other files, each with the checksum that the run noted."""
    try:
        carried = read_carried(folder)
    except UnsegError as error:
        findings.report(DATASET, str(error))
        return set()
    if not is_complete(folder):
        findings.report(
            DATASET, "the other files of the data set are not all copied: repeat with --resume"
        )
    for name, one in carried.items():
        if not (folder / name).is_file():
            findings.report(name, f"the {one.how} file is missing: run again with --resume")
        elif sha256_file(folder / name) != one.sha256:
            findings.report(
                name, f"the {one.how} file was changed: its sha256 differs from the run's"
            )
    return set(carried)


def _check_listed(
    folder: Path, records: list[Record], carried: set[str], findings: Findings
) -> None:
    """Report images that no record lists, and leftovers of a killed run."""
    good = [record for record in records if record.status != "error"]
    listed = {r.output for r in good} | {r.mask for r in good} | carried

    def unreadable(error: OSError) -> None:
        findings.report(Path(error.filename).relative_to(folder).as_posix(), "cannot be read")

    for place, _, files in os.walk(folder, onerror=unreadable):
        for file in sorted(files):
            name = (Path(place) / file).relative_to(folder).as_posix()
            if fnmatch(file, TEMPORARY):
                findings.report(name, "is left over from a killed run: protect with --resume")
            elif format_named(file) is not None and name not in listed:
                findings.report(name, "is not listed in the manifest: remove it, or protect it")


def _close_change(one: Change, other: Change) -> bool:
    return _close(one.inside, other.inside, 1e-6) and _close(one.outside, other.outside, 1e-6)


def _close(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=0, abs_tol=tolerance)


def _text(change: Change) -> str:
    return f"{change.inside:g} inside and {change.outside:g} outside the mask"
