"""Result files: one JSON a run, found again by what was run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError
from unseg.files import write_atomically

FORMAT = 2
"""Of result files; raised when an older reader would misread a newer file, or the reverse."""


@dataclass(frozen=True)
class Result:
    """One run. ``config`` is everything that matters; ``key`` is its hash.

    Args:
        key: hex sha256 of ``config``.
        config: task, victim, condition, defence (names, revisions and settings), seed, part, and
            checksums of the data and of which image trains and which tests.
        metric: name of the task's figure.
        value: that figure on the clean test images.
        scores: all figures of the task.
        losses: training loss over each tenth of the schedule.
        change: largest and mean change of the training pixels by the condition, in 8-bit steps.
        seconds: time of the condition, the training and the test.
        provenance: seed, command, git revision, versions and data checksum.
        visibility: of the noise: ``mean`` and ``lowest`` SSIMULACRA2, at most 100, over so many
            ``images`` of the training set; empty where there is no noise, and in results that are
            older than this figure.
        format: :data:`FORMAT`.
    """

    key: str
    config: dict[str, Any]
    metric: str
    value: float
    scores: dict[str, float]
    losses: list[float]
    change: dict[str, float]
    seconds: dict[str, float]
    provenance: dict[str, Any] = field(default_factory=dict)
    visibility: dict[str, float] = field(default_factory=dict)
    format: int = FORMAT

    def named(self, part: str) -> str:
        """Name of the run's ``task``, ``victim``, ``condition`` or ``defence``."""
        return str(self.config[part]["name"])

    @property
    def resolution(self) -> int | None:
        """What the victim sees, in pixels, where its settings say it.

        The short side of its photographs, or the side of the square they fit in.
        """
        size = self.config["victim"].get("size")
        return size if isinstance(size, int) else None

    @property
    def file_name(self) -> str:
        """Readable name that ends in the key's beginning."""
        parts = [self.named(p) for p in ("task", "victim", "condition")]
        parts += [self.config["defence"]["label"], f"s{self.config['seed']}", self.key[:12]]
        return re.sub(r"[^\w@.+-]+", "_", "-".join(parts)) + ".json"


def content_key(config: dict[str, Any]) -> str:
    """Hex sha256 of a JSON-ready configuration, independent of the order of its fields.

    Example:
        >>> content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
        True
    """
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class ResultStore:
    """A folder of result files.

    Args:
        folder: made when the first result is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: str) -> Result | None:
        """The result with this key, or None."""
        for path in sorted(self.folder.glob(f"*-{key[:12]}.json")):
            result = read_result(path)
            if result.key == key:
                return result
        return None

    def all(self) -> list[Result]:
        """Every result in the folder, sorted by file name."""
        return [read_result(path) for path in sorted(self.folder.glob("*.json"))]

    def save(self, result: Result) -> Path:
        """Write atomically: an interrupted suite leaves no half-written file.

        Raises:
            UnsegError: when the folder cannot be written.
        """
        path = self.folder / result.file_name
        text = json.dumps(_written(result), indent=1, allow_nan=False) + "\n"
        write_atomically(path, text.encode())
        return path


def read_result(path: Path) -> Result:
    """Read one result file.

    Raises:
        UnsegError: when it is damaged, of another format, or its key does not match its
            configuration.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = found.get("format", 1 if "key" in found else None)
        if known not in (None, FORMAT):
            raise UnsegError(_other_format(path, known))
        result = Result(**found)
        matches = content_key(result.config) == result.key
        for part in ("task", "victim", "condition", "defence"):
            result.named(part)
        for part, name in (("task", "part"), ("defence", "label")):
            result.config[part][name]
        result.config["seed"]
        figures = [result.value, *result.visibility.values()]
        if not all(isinstance(figure, int | float) for figure in figures):
            raise TypeError("its value is not a number")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnsegError(
            f"{path} is not a result file ({type(error).__name__}): move it out of the folder of "
            "results"
        ) from error
    if not matches:
        raise UnsegError(f"{path} was edited: its key does not match its config; delete it")
    return result


def _written(result: Result) -> dict[str, Any]:
    """The format comes first in a file."""
    found = asdict(result)
    return {"format": found.pop("format"), **found}


def _other_format(path: Path, known: Any) -> str:
    if isinstance(known, int) and known < FORMAT:
        return (
            f"{path} is a result file of format {known} and this version of unseg reads format "
            f"{FORMAT}: its settings have other names now. Read it with the version that wrote it, "
            "or run it again in another folder (-o)"
        )
    return (
        f"{path} is a result file of format {known} and this version of unseg reads format "
        f"{FORMAT}: install a newer version to read it"
    )
