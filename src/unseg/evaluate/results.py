"""Result files: one JSON a run, found again by what was run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unseg.errors import UnsegError


@dataclass(frozen=True)
class Result:
    """One run. ``config`` is everything that matters; ``key`` is its hash.

    Args:
        key: hex sha256 of ``config``.
        config: task, victim, condition, defence (names and settings), seed, part and data checksum.
        metric: name of the task's figure.
        value: that figure on the clean test images.
        scores: all figures of the task.
        losses: training loss over each tenth of the schedule.
        change: largest and mean change of the training pixels by the condition, in 8-bit steps.
        seconds: time of the condition, the training and the test.
        provenance: seed, command, git revision, versions and data checksum.
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

    def named(self, part: str) -> str:
        """Name of the run's ``task``, ``victim``, ``condition`` or ``defence``."""
        return str(self.config[part]["name"])

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

    def find(self, key: str, split: str | None = None) -> Result | None:
        """The result with this key, or None.

        Args:
            key: of the configuration.
            split: checksum of which image trains and which tests. A result with another one is
                of other parts of the same files; those of earlier versions have none.
        """
        for path in sorted(self.folder.glob(f"*-{key[:12]}.json")):
            result = read_result(path)
            known = result.provenance.get("split_sha256")
            if result.key == key and (split is None or known in (split, None)):
                return result
        return None

    def all(self) -> list[Result]:
        """Every result in the folder, sorted by file name."""
        return [read_result(path) for path in sorted(self.folder.glob("*.json"))]

    def save(self, result: Result) -> Path:
        """Write atomically: an interrupted suite leaves no half-written file."""
        path = self.folder / result.file_name
        # Shards of a suite, started twice by mistake, would write the same result.
        part = path.with_suffix(f".json.{os.getpid()}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_text(
                json.dumps(asdict(result), indent=1, allow_nan=False) + "\n", encoding="utf-8"
            )
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise UnsegError(
                f"{path} cannot be written ({error}): give a writable folder as -o"
            ) from error
        return path


def read_result(path: Path) -> Result:
    """Read one result file.

    Raises:
        UnsegError: when it is damaged or its key does not match its configuration.
    """
    try:
        result = Result(**json.loads(path.read_text(encoding="utf-8")))
        matches = content_key(result.config) == result.key
        for part in ("task", "victim", "condition", "defence"):
            result.named(part)
        for part, name in (("task", "part"), ("defence", "label")):
            result.config[part][name]
        result.config["seed"]
        if not isinstance(result.value, int | float):
            raise TypeError("its value is no number")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnsegError(
            f"{path} is no result file ({type(error).__name__}): move it out of the folder of "
            "results"
        ) from error
    if not matches:
        raise UnsegError(f"{path} was edited: its key does not match its config; delete it")
    return result
