"""OUT/unseg-manifest.jsonl, a record an image, and OUT/unseg-run.json, the run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from unseg.errors import UnsegError
from unseg.files import cannot_write, write_atomically

MANIFEST = "unseg-manifest.jsonl"
RUN = "unseg-run.json"
MASKS = "unseg-masks"

#: Format of the manifest and the run's file; raised when either changes. Those of unseg 0.10 and
#: before have none, which is 1; the score of visibility came with 3.
FORMAT = 3


class BudgetRecord(BaseModel):
    """The bound, in steps of the range in use."""

    foreground: float = Field(ge=0, le=255, allow_inf_nan=False)
    background: float = Field(ge=0, le=255, allow_inf_nan=False)


class ChangeRecord(BaseModel):
    """Largest change inside and outside the mask, in steps, read back from the file."""

    inside: float
    outside: float


class SurvivalRecord(BaseModel):
    """See :class:`unseg.protect.quality.Survival`."""

    correlation: float
    energy: float


class Record(BaseModel):
    """What happened to one image. Names are relative, with ``/``; see docs/protect.md.

    ``unchanged`` is an image whose mask has no foreground: it is published as it is. ``range`` is
    lowest and highest of the samples in use, and ``step`` a 255th of it, in samples; ``location``
    says whether the written file tells where the picture was taken.
    """

    model_config = ConfigDict(extra="ignore")

    manifest_format: int = 1
    source: str
    output: str
    status: Literal["protected", "unchanged", "error"]
    error: str | None = None
    source_sha256: str | None = None
    output_sha256: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    range: tuple[int, int] | tuple[float, float] | None = None
    step: int | float | None = None
    location: bool = False
    format: str | None = None
    lossless: bool | None = None
    mask_source: str | None = None
    mask_note: str | None = None
    notes: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
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
    visibility_score: float | None = None
    survival: SurvivalRecord | None = None
    noise: str | None = None
    model: str
    model_sha256: str
    settings_sha256: str | None = None
    seconds: float = 0.0

    @field_validator("manifest_format")
    @classmethod
    def _known(cls, value: int) -> int:
        if value > FORMAT:
            raise ValueError(
                f"format {value} was written by a newer unseg; this one reads up to {FORMAT}"
            )
        return value

    @field_validator("source", "output", "mask")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        """A manifest must not lead out of its folder."""
        if value is not None:
            path = PurePosixPath(value)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{value!r} is not a relative name inside the folder")
        return value


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
    """Write OUT/unseg-run.json, with its format number."""
    content = {"format": FORMAT, **content}
    write_atomically(folder / RUN, (json.dumps(content, indent=2) + "\n").encode())


def read_run(folder: Path) -> dict[str, Any]:
    """Read OUT/unseg-run.json.

    Raises:
        UnsegError: when it is missing, no JSON object, or of a newer format than is read here.
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
    number = content.get("format", 1)
    if not isinstance(number, int) or number > FORMAT:
        raise UnsegError(
            f"{path} has format {number}, but this version of unseg reads up to {FORMAT}: install "
            "the version that wrote it, or a newer one"
        )
    return content


def _line(record: Record) -> bytes:
    return (json.dumps(record.model_dump()) + "\n").encode()
