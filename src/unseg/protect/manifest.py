"""OUT/unseg-manifest.jsonl, a record an image, and OUT/unseg-run.json, the run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from unseg.errors import UnsegError
from unseg.files import cannot_write, write_atomically
from unseg.masks.labels import LabelRules
from unseg.noise import Budget
from unseg.protect.visibility import DEFAULT, Visibility

MANIFEST = "unseg-manifest.jsonl"
RUN = "unseg-run.json"
MASKS = "unseg-masks"

MaskSource = Literal["file", "proposal", "whole-image"]


class BudgetRecord(BaseModel):
    """The bound, in 8-bit steps."""

    foreground: float = Field(ge=0, le=255, allow_inf_nan=False)
    background: float = Field(ge=0, le=255, allow_inf_nan=False)


class ChangeRecord(BaseModel):
    """Largest change inside and outside the mask, in 8-bit steps, read back from the file."""

    inside: float
    outside: float


class SurvivalRecord(BaseModel):
    """See :class:`unseg.protect.quality.Survival`."""

    correlation: float
    energy: float


class Record(BaseModel):
    """What happened to one image. Names are relative, with ``/``; see docs/protect.md."""

    model_config = ConfigDict(extra="ignore")

    source: str
    output: str
    status: Literal["protected", "error"]
    error: str | None = None
    source_sha256: str | None = None
    output_sha256: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    format: str | None = None
    lossless: bool | None = None
    mask_source: MaskSource | None = None
    mask_note: str | None = None
    mask_file: str | None = None
    mask_file_sha256: str | None = None
    mask: str | None = None
    mask_sha256: str | None = None
    target: str | None = None
    prompts: int | None = None
    foreground_share: float | None = None
    budget: BudgetRecord
    change: ChangeRecord | None = None
    within_budget: bool | None = None
    psnr: float | None = None
    ssim: float | None = None
    survival: SurvivalRecord | None = None
    model: str
    model_sha256: str
    settings_sha256: str | None = None
    seconds: float = 0.0

    @field_validator("source", "output", "mask")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        """A manifest must not lead out of its folder."""
        if value is not None:
            path = PurePosixPath(value)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{value!r} is not a relative name inside the folder")
        return value


@dataclass(frozen=True)
class Settings:
    """What decides the files a run writes.

    Args:
        budget: the bound, in 8-bit steps.
        format: ``png``, ``webp`` or ``same``.
        rules: what the labels of a mask mean.
        masks: folder with masks, or None.
        batch: images in one pass of the model.
        visibility: how much of the bound is used where the noise would be seen most.
        salience: checksum of the weights that propose masks, empty for the generator's base.
    """

    budget: Budget = Budget()
    format: str = "png"
    rules: LabelRules = LabelRules()  # noqa: RUF009 (frozen)
    masks: Path | None = None
    batch: int = 1
    visibility: Visibility = DEFAULT
    salience: str = ""

    def describe(self) -> dict[str, Any]:
        """The settings as JSON, for the run's file."""
        return {
            "budget": asdict(self.budget),
            "format": self.format,
            **asdict(self.rules),
            "masks": None if self.masks is None else self.masks.as_posix(),
            "batch": self.batch,
            "visibility": self.visibility,
            "salience": self.salience,
        }

    def digest(self, model_sha256: str, mask_file_sha256: str | None) -> str:
        """Checksum of all that an image's protected form depends on, the image itself excepted."""
        parts = {
            "unseg": metadata.version("unseg"),
            "budget": asdict(self.budget),
            "format": self.format,
            "visibility": self.visibility,
            "rules": asdict(self.rules),
            "masks": self.masks is not None,
            "mask": mask_file_sha256,
            "salience": self.salience if mask_file_sha256 is None else "",
            "model": model_sha256,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Manifest:
    """The manifest of an output folder, appended to as images are finished."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST

    def read(self) -> tuple[list[Record], list[str]]:
        """Records, and a line on each that is damaged (a killed run may have left the last).

        Raises:
            UnsegError: when there is no manifest.
        """
        try:
            lines = self.path.read_text("utf-8", errors="replace").splitlines()
        except OSError as error:
            raise UnsegError(
                f"{self.path} cannot be read ({error.strerror or error}): expected a folder that "
                "unseg protect wrote"
            ) from error
        records, damaged = [], []
        for number, line in enumerate(lines, 1):
            try:
                records.append(Record.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "line"
                damaged.append(f"{MANIFEST} line {number} is damaged ({where}: {first['msg']})")
        return records, damaged

    def append(self, record: Record) -> None:
        """Add a record; it is on disk when this returns.

        Raises:
            UnsegError: when the file cannot be written.
        """
        try:
            with self.path.open("ab") as stream:
                stream.write(_line(record))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def replace(self, records: Iterable[Record]) -> None:
        """Write all records anew, sorted by output and source."""
        ordered = sorted(records, key=lambda record: (record.output, record.source))
        write_atomically(self.path, b"".join(map(_line, ordered)))


def write_run(folder: Path, content: dict[str, Any]) -> None:
    """Write OUT/unseg-run.json."""
    write_atomically(folder / RUN, (json.dumps(content, indent=2) + "\n").encode())


def read_run(folder: Path) -> dict[str, Any]:
    """Read OUT/unseg-run.json.

    Raises:
        UnsegError: when it is missing or no JSON object.
    """
    path = folder / RUN
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UnsegError(
            f"{path} cannot be read ({error}): expected a folder that unseg protect wrote"
        ) from error
    if not isinstance(content, dict):
        raise UnsegError(f"{path} is not a JSON object: expected a file that unseg protect wrote")
    return content


def _line(record: Record) -> bytes:
    return (json.dumps(record.model_dump()) + "\n").encode()
