"""OUT/unseg-manifest.jsonl, a record an image, and OUT/unseg-run.json, the run.

The parts of a run that was split have such files of their own, as ``unseg-run-2-of-8.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from unseg.errors import UnsegError
from unseg.files import append, tried, write_atomically
from unseg.protect.parquet import read_table, write_table
from unseg.protect.shard import Shard, shard_of

MANIFEST = "unseg-manifest.jsonl"
#: The same in a table, where it is asked for.
PARQUET = "unseg-manifest.parquet"
RUN = "unseg-run.json"
MASKS = "unseg-masks"

#: What a manifest is written as.
ManifestKind = Literal["jsonl", "parquet"]

#: Format of the manifest and the run's file; raised when either changes. Those of unseg 0.10 and
#: before have none, which is 1; the score of visibility came with 3.
FORMAT = 4


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
    found: dict[str, int] = Field(default_factory=dict)
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


def parts_of(folder: Path, whole: str) -> dict[Path, Shard]:
    """The files that the parts of a run left in a folder, sorted by their numbers.

    Args:
        folder: the output folder.
        whole: :data:`MANIFEST` or :data:`RUN`.
    """
    named = PurePosixPath(whole)
    found = {path: shard_of(path.name, whole) for path in folder.glob(f"{named.stem}-*-of-*")}
    parts = {path: shard for path, shard in found.items() if shard is not None}
    return dict(sorted(parts.items(), key=lambda pair: (pair[1].count, pair[1].number)))


def is_manifest(name: str) -> bool:
    """Whether a file is the manifest of a run, or of a part of one."""
    return name in (MANIFEST, PARQUET) or shard_of(name, MANIFEST) is not None


def holds_run(folder: Path) -> bool:
    """Whether a run, or a part of one, wrote into a folder."""
    return holds_manifest(folder) or (folder / RUN).exists() or bool(parts_of(folder, RUN))


def holds_manifest(folder: Path) -> bool:
    """Whether there are records in a folder, of a run or a part of one."""
    there = any((folder / name).exists() for name in (MANIFEST, PARQUET))
    return there or bool(parts_of(folder, MANIFEST))


class Manifest:
    """The manifest of an output folder, appended to as images are finished.

    Args:
        folder: the output folder.
        shard: the part of the run whose records are written; None is the whole run.
    """

    def __init__(self, folder: Path, shard: Shard | None = None) -> None:
        self.folder, self.shard = folder, shard
        self.path = folder / (MANIFEST if shard is None else shard.named(MANIFEST))
        self.table = self.path.with_suffix(".parquet")

    def read(self) -> tuple[list[Record], list[str]]:
        """Records, and a line on each that is damaged (a killed run may have left the last).

        They are the whole run's and those of all parts; a part's take the place of the whole
        run's on the same image. The table is read where the JSON lines are not there.

        Raises:
            UnsegError: when there is no manifest.
        """
        whole = self.folder / MANIFEST
        parts = list(parts_of(self.folder, MANIFEST))
        if not whole.exists() and (self.folder / PARQUET).exists():
            records, damaged = _read_parquet(self.folder / PARQUET)
        else:
            records, damaged = ([], []) if parts and not whole.exists() else self._read(whole)
        for path in parts:
            more, wrong = self._read(path)
            taken = {(record.source, record.output) for record in more}
            records = [one for one in records if (one.source, one.output) not in taken] + more
            damaged += wrong
        return records, damaged

    def own(self) -> list[Record]:
        """Records in this manifest's own file; none where it is not there."""
        return self._read(self.path)[0] if self.path.exists() else []

    def _read(self, path: Path) -> tuple[list[Record], list[str]]:
        try:
            text = tried(lambda: path.read_text("utf-8", errors="replace"))
        except OSError as error:
            raise UnsegError(
                f"{path} cannot be read ({error.strerror or error}): expected a folder that "
                "unseg protect wrote"
            ) from error
        records, damaged = [], []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                records.append(Record.model_validate_json(line))
            except ValidationError as error:
                damaged.append(f"{path.name} line {number} is damaged ({_first(error)})")
        return records, damaged

    def append(self, record: Record) -> None:
        """Add a record; it is on disk when this returns.

        Raises:
            UnsegError: when the file cannot be written.
        """
        append(self.path, _line(record))

    def replace(self, records: Iterable[Record], *, parquet: bool = False) -> None:
        """Write all records anew, sorted by output and source; a whole run's replace its parts'.

        Args:
            records: of the run.
            parquet: whether to write the table, too; one of other records does not stay.
        """
        ordered = sorted(records, key=lambda record: (record.output, record.source))
        if not parquet:
            tried(partial(self.table.unlink, missing_ok=True))
        write_atomically(self.path, b"".join(map(_line, ordered)))
        if parquet:
            write_table(self.table, (record.model_dump() for record in ordered))
        if self.shard is None:
            for whole in (MANIFEST, PARQUET, RUN):
                for path in parts_of(self.folder, whole):
                    tried(partial(path.unlink, missing_ok=True))


def _read_parquet(path: Path) -> tuple[list[Record], list[str]]:
    records, damaged = [], []
    for number, row in enumerate(read_table(path), 1):
        try:
            records.append(Record.model_validate(row))
        except ValidationError as error:
            damaged.append(f"{path.name} row {number} is damaged ({_first(error)})")
    return records, damaged


def _first(error: ValidationError) -> str:
    """Where the first thing is that is wrong with a record, and what."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "line"
    return f"{where}: {first['msg']}"


def write_run(folder: Path, content: dict[str, Any], shard: Shard | None = None) -> None:
    """Write OUT/unseg-run.json, or that of a part, with its format number."""
    content = {"format": FORMAT, **content}
    path = folder / (RUN if shard is None else shard.named(RUN))
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def read_run(folder: Path, shard: Shard | None = None) -> dict[str, Any]:
    """Read OUT/unseg-run.json, or that of a part.

    Raises:
        UnsegError: when it is missing, no JSON object, or of a newer format than is read here.
    """
    path = folder / (RUN if shard is None else shard.named(RUN))
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
