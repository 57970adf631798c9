"""One image to one file: ``-o single.png`` writes that file, and its record beside it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from unseg import files
from unseg.errors import UnsegError
from unseg.images.formats import format_of
from unseg.protect.earlier import RECORD
from unseg.protect.folder_report import FolderReport
from unseg.protect.lock import hold
from unseg.protect.settings import OutputFormat, Settings

_FORMATS: dict[str, OutputFormat] = {
    "PNG": "png", "WEBP": "webp", "TIFF": "tiff", "JPEG": "jpeg", "DICOM": "same",
}  # fmt: skip


def is_single(inputs: Sequence[Path], out: Path) -> bool:
    """Whether an output is meant as a file: one image goes in, and it is named as an image."""
    kind = format_of(out.suffix)
    return len(inputs) == 1 and inputs[0].is_file() and kind is not None and not out.is_dir()


def protect_single(
    source: Path,
    target: Path,
    settings: Settings,
    run: Callable[[Path, Settings], FolderReport],
    *,
    overwrite: bool,
) -> FolderReport:
    """Protect one image into one file.

    Args:
        source: the image.
        target: the file to write; ``target.unseg.json`` beside it holds the image's record.
        settings: their format gives way to the target's suffix.
        run: protects the source into a folder.
        overwrite: whether files that are there are replaced.

    Raises:
        UnsegError: when the suffix is of no kind that is written, or the file is there.
    """
    kind = format_of(target.suffix)
    if kind is None or kind.name not in _FORMATS:
        raise UnsegError(
            f"{target}: files of this kind are not written: end the name in .png, .webp, .tif or "
            ".jpg"
        )
    if target.resolve() == source.resolve():
        raise UnsegError(
            f"{target} is the original, which is never touched: choose another name with -o"
        )
    with hold(target.with_name(f".unseg-{target.name}.lock"), str(target)):
        for path in (target, target.with_name(target.name + RECORD)):
            files.refuse_taken(target.parent, path.name, overwrite=overwrite)
        return _through_folder(target, replace(settings, format=_FORMATS[kind.name]), run)


def _through_folder(
    target: Path, settings: Settings, run: Callable[[Path, Settings], FolderReport]
) -> FolderReport:
    """Protect into a folder beside the target, and move what was written."""
    kind = format_of(target.suffix)
    record_file = target.with_name(target.name + RECORD)
    try:
        folder = Path(tempfile.mkdtemp(prefix=".unseg-", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise files.cannot_write(target, error) from error
    try:
        report = run(folder / "out", settings)
        [record] = report.records
        record = record.model_copy(update={"output": target.name})
        if record.status != "error":
            written = folder / "out" / report.records[0].output
            record = record.model_copy(update={"mask": None, "mask_sha256": None})
            if format_of(written.suffix) is not kind:
                raise UnsegError(
                    f"{target} would be written as {written.suffix}: give it that suffix"
                )
            content = {**report.description, "manifest_sha256": None, "record": record.model_dump()}
            files.write_atomically(record_file, (json.dumps(content, indent=2) + "\n").encode())
            files.move(written, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(report, out=target, records=[record])
