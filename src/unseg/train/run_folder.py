"""The folder of a training run: opening and resuming it, its state and its log.

Both trainers keep theirs alike: ``run.json`` (what the run is), ``state.pt`` (the last
checkpoint), ``log.jsonl`` (figures by step), and the weights that it makes.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from unseg.errors import UnsegError
from unseg.files import TEMPORARY, write_atomically
from unseg.train.settings import differing

FORMAT = 2
"""Of run folders. Those of versions up to 0.10.0 have no number."""

RUN, STATE, LOG = "run.json", "state.pt", "log.jsonl"

StepReport = Callable[[str, int, int, Mapping[str, float]], None]
"""Told the phase, how many of how many steps are done, and figures."""


@dataclass(frozen=True)
class RunIdentity:
    """What a run is; it goes on only where all of it is the same.

    Args:
        trainer: the command, such as ``unseg train``.
        settings: groups of settings, as JSON holds them.
        files: checksum over the names and sizes of the corpora's files.
        base: checksum of the frozen base's weights.
    """

    trainer: str
    settings: Mapping[str, Mapping[str, Any]]
    files: str
    base: str


class RunInterrupted(Exception):
    """A run was asked to stop, and has saved a checkpoint.

    Args:
        step: how many steps are done.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after step {step}")
        self.step = step


class RunFolder:
    """A run's folder.

    Args:
        path: the folder; it is made.
        identity: what the run is.
        writes: whether this process writes; of several, one does.

    Raises:
        UnsegError: when the folder cannot be made.
    """

    def __init__(self, path: Path, identity: RunIdentity, *, writes: bool = True) -> None:
        self.path, self.identity, self.writes = path, identity, writes
        make_folder(path)

    def begin(self, record: Mapping[str, Any], *, resume: bool) -> dict[str, Any] | None:
        """Open the folder for a run that starts, or goes on.

        Args:
            record: where the run came from, for ``run.json``.
            resume: go on from the last checkpoint.

        Returns:
            What :meth:`save` was given last; None for a run that starts anew, which one does that
            was stopped before its first checkpoint.

        Raises:
            UnsegError: when there is a run that is not to be resumed, its checkpoint is damaged
                or of another version, or the run is another one.
        """
        if not resume and self.writes:
            refuse_run(self.path)
        state = self._read_state() if resume and (self.path / STATE).exists() else None
        self._keep_log(0 if state is None else int(state["step"]))
        if self.writes:
            for stale in self.path.glob(TEMPORARY):  # of a run that was killed while it wrote
                stale.unlink(missing_ok=True)
            facts = {"format": FORMAT, **asdict(self.identity), "record": record}
            text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
            write_atomically(self.path / RUN, text.encode())
        return state

    def save(self, step: int, tensors: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
        """Write a checkpoint; a reader sees the last one or this one, never a part.

        Args:
            step: how many steps are done.
            tensors: what ``torch.save`` takes and reads back with weights only.
            progress: further facts, as JSON holds them.
        """
        facts = {"format": FORMAT, **asdict(self.identity), "progress": dict(progress)}
        state = {"facts": json.dumps(facts), "step": step, **tensors}
        write_atomically(self.path / STATE, lambda path: torch.save(state, path))

    def log(self, step: int, phase: str, figures: Mapping[str, float]) -> None:
        """Add a line to the log."""
        if self.writes:
            rounded = {name: round(value, 6) for name, value in figures.items()}
            with (self.path / LOG).open("a") as log:
                log.write(json.dumps({"step": step, "phase": phase, **rounded}) + "\n")

    def _keep_log(self, step: int) -> None:
        """Drop what an interrupted run logged after its last checkpoint."""
        if not self.writes:
            return
        path = self.path / LOG
        kept = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (json.JSONDecodeError, KeyError):
                continue
        write_atomically(path, "".join(line + "\n" for line in kept).encode())

    def _read_state(self) -> dict[str, Any]:
        path = self.path / STATE
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            facts = json.loads(state["facts"]) if "facts" in state else {"format": 1}
        except Exception as error:  # torch and json raise whatever a damaged file leads to
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UnsegError(
                f"{path} is not a checkpoint of {self.identity.trainer} ({first}): start again in "
                "a new folder"
            ) from error
        self._check(path, facts)
        return {**state, "progress": facts["progress"]}

    def _check(self, path: Path, facts: Mapping[str, Any]) -> None:
        if facts["format"] != FORMAT:
            raise UnsegError(
                f"{path} has format {facts['format']}, and this version of unseg reads {FORMAT}: "
                "resume it with the version that began it, or start in a new folder"
            )
        own = self.identity
        if facts["trainer"] != own.trainer:
            raise UnsegError(
                f"{path} was written by {facts['trainer']}, not by {own.trainer}: choose another "
                "folder"
            )
        same = "resume with the same ones, or start in a new folder"
        if changed := differing(own.settings, facts["settings"]):
            raise UnsegError(
                f"{path} was trained with other settings ({', '.join(changed)}): {same}"
            )
        if facts["files"] != own.files:
            raise UnsegError(f"{path} was trained on other files than the corpora hold now: {same}")
        if facts["base"] != own.base:
            raise UnsegError(f"{path} was trained on another base (--base): {same}")


def make_folder(path: Path) -> None:
    """Make a run's folder.

    Raises:
        UnsegError: when it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnsegError(f"-o {path} cannot be written: {error}") from error


def refuse_run(path: Path) -> None:
    """Refuse a folder that holds a run.

    Raises:
        UnsegError: when it does.
    """
    if any(path.glob("*.safetensors")) or any((path / n).exists() for n in (RUN, STATE, LOG)):
        raise UnsegError(
            f"{path} already holds a run: add --resume to continue it, or choose another folder"
        )


def has_checkpoint(path: Path) -> bool:
    """Whether a run in a folder has got as far as its first checkpoint."""
    return (path / STATE).exists()


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C ask for an end, after the step that is being done.

    A second one ends the program at once, as it does elsewhere.

    Yields:
        Whether an end was asked for.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread gets signals
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
