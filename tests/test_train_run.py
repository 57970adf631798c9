"""A training run: its folder, resuming, interruption, and the weights that it writes."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from rich.console import Console

from tiny_training import TINY, make_corpus, random_base, trainer_for, weights_of
from unseg.cli.progress import training_progress
from unseg.errors import UnsegError
from unseg.models.registry import load_generator, read_metadata
from unseg.models.sam.base import SamBase
from unseg.models.weights.io import module_sha256
from unseg.train.run_folder import RunInterrupted
from unseg.train.settings import override


@pytest.fixture(scope="module")
def base() -> SamBase:
    return random_base()


@pytest.fixture()
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


def interrupt_at(step: int) -> Callable[[str, int, int, Mapping[str, float]], None]:
    """A report during which Ctrl-C is pressed."""

    def report(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        if done == step and phase in ("surrogate", "generator", "head"):
            os.kill(os.getpid(), signal.SIGINT)

    return report


def log_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_an_interrupted_run_ends_as_a_whole_one(
    base: SamBase, corpus: Path, tmp_path: Path
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    whole = trainer_for(base, corpus, tmp_path / "whole")
    whole.run(validation_images=2, validate_every=10, save_every=10)
    first = trainer_for(base, corpus, tmp_path / "parts")
    with pytest.raises(RunInterrupted, match="after step 7"):
        first.run(validation_images=2, validate_every=10, save_every=10, report=interrupt_at(7))
    assert signal.getsignal(signal.SIGINT) == handler
    second = trainer_for(base, corpus, tmp_path / "parts")
    second.run(resume=True, stop_after=10, validation_images=2, validate_every=10)
    # Killed after step 13: what was logged since the checkpoint of step 10 is dropped.
    with (tmp_path / "parts" / "log.jsonl").open("a") as log:
        log.write('{"step": 13, "phase": "surrogate", "loss": 9}\n{"step": 1')
    third = trainer_for(base, corpus, tmp_path / "parts")
    assert third.run(resume=True, validation_images=2, validate_every=10).step == 20
    for name, tensor in weights_of(whole).items():
        assert torch.equal(tensor, weights_of(third)[name]), name
    for a, b in zip(
        whole.surrogates.plain(0).parameters(), third.surrogates.plain(0).parameters(), strict=True
    ):
        assert torch.equal(a, b)
    assert log_of(tmp_path / "parts") == log_of(tmp_path / "whole")
    lines = [line for line in log_of(tmp_path / "parts") if line["phase"] != "validation"]
    assert [line["step"] for line in lines] == list(range(1, 21))
    assert {"loss", "iou", "noise_std", "noise_hf"} <= set(lines[0])
    assert (tmp_path / "parts" / "samples" / "step-000020.png").exists()


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(
    base: SamBase, corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "log.jsonl").write_text('{"step": 1, "phase": "surrogate", "loss": 9}\n')
    with pytest.raises(UnsegError, match="already holds a run: add --resume"):
        trainer_for(base, corpus, folder).run(stop_after=1)
    trainer_for(base, corpus, folder).run(resume=True, stop_after=1, validation_images=1)
    assert [line["step"] for line in log_of(folder)] == [1, 1]
    assert log_of(folder)[0]["loss"] != 9


def test_another_run_is_not_resumed(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer_for(base, corpus, folder).run(stop_after=1, validation_images=1)
    run = json.loads((folder / "run.json").read_text())
    assert run["format"] == 2 and run["base"] == module_sha256(base)
    assert run["settings"] == TINY.as_dict() and run["trainer"] == "unseg train"
    other = trainer_for(base, corpus, folder, override(TINY, ["epsilon=4", "robust=0"]))
    with pytest.raises(UnsegError, match=r"other settings \(data\.robust, noise\.epsilon\)"):
        other.run(resume=True)
    torch.manual_seed(1)
    changed = SamBase(base.architecture, base.image_size).eval()
    with pytest.raises(UnsegError, match="another base"):
        trainer_for(changed, corpus, folder).run(resume=True)
    for part in ("im", "gt"):
        (corpus / part / "9.png").unlink()
    with pytest.raises(UnsegError, match="other files"):
        trainer_for(base, corpus, folder).run(resume=True)


def test_a_state_of_another_kind_is_refused(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer = trainer_for(base, corpus, folder)

    def refused(message: str) -> None:
        with pytest.raises(UnsegError, match=message):
            trainer.run(resume=True)

    torch.save({"config": "{}", "progress": "{}"}, folder / "state.pt")
    refused("has format 1, and this version of unseg reads 2")
    facts = {"format": 3, "trainer": "unseg train"}
    torch.save({"facts": json.dumps(facts), "step": 1}, folder / "state.pt")
    refused("has format 3, and this version of unseg reads 2")
    facts = {"format": 2, "trainer": "unseg train-salience", "progress": {}}
    torch.save({"facts": json.dumps(facts), "step": 1}, folder / "state.pt")
    refused("was written by unseg train-salience, not by unseg train")
    (folder / "state.pt").write_bytes(b"no state")
    refused(r"state\.pt is not a checkpoint of unseg train")


def test_what_is_written_is_what_was_trained(base: SamBase, corpus: Path, tmp_path: Path) -> None:
    trainer = trainer_for(base, corpus, tmp_path / "run")
    trainer.run(stop_after=6, validation_images=2, validate_every=3)
    trained = trainer.generator.state_dict()
    for name in ("best", "last"):
        assert (tmp_path / "run" / f"{name}.safetensors").is_file()
    written = load_generator(str(tmp_path / "run" / "last.safetensors"))
    assert written.config.textures == TINY.models.textures and not written.config.background
    assert trained.keys() == written.state_dict().keys()
    for name, tensor in written.state_dict().items():
        if not name.startswith("base."):  # which is stored in half precision
            assert torch.equal(tensor, trained[name]), name
    record = read_metadata(tmp_path / "run" / "last.safetensors")["training"]
    assert record["settings"] == TINY.as_dict() and record["progress"]["step"] == 6
    assert record["base"] == {"name": "mobile_sam", "sha256": module_sha256(base)}


@pytest.mark.parametrize("phase", ["surrogate", "generator", "features", "head"])
def test_the_progress_fits_eighty_columns(phase: str) -> None:
    out = io.StringIO()
    console = Console(
        file=out, width=80, force_terminal=True, color_system=None, legacy_windows=False
    )
    with training_progress(console) as report:
        report(phase, 1, 26730, {"loss": 12.3456, "iou": 0.5, "noise_std": 0.7})
        report(phase, 26000, 26730, {"loss": 12.3456, "iou": 0.5, "noise_std": 0.7})
        report(
            "validation", 26000, 26730,
            {"iou_protected": 0.5, "iou_clean": 0.25, "gap": 0.25, "noise_std": 0.7},
        )  # fmt: skip
    text = out.getvalue()
    lines = [part for line in text.splitlines() for part in line.split("\r")]
    plain = [part.split("\x1b[2K")[-1].split("\x1b[?25")[0] for part in lines]
    assert max(map(len, plain)) <= 80 and "…" not in text
    last = next(line for line in reversed(plain) if "26000/26730" in line and phase in line)
    assert "ETA 0:00" in last and "loss 12.346 iou 0.500" in last
    assert "step 26000/26730 validation protected 0.500 clean 0.250 gap 0.250" in plain


def test_lines_are_printed_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    with training_progress(Console(file=out, width=80)) as report:
        for step in range(1, 121):
            report("generator", step, 120, {"loss": 0.412, "iou": 0.83, "noise_std": 0.7})
        report("features", 50, 80, {})
        report("collapse", 120, 120, {"noise_std": 0.01})
    lines = out.getvalue().splitlines()
    assert lines[:4] == [
        "step 50/120 generator loss 0.412 iou 0.830 ETA 0:00",
        "step 100/120 generator loss 0.412 iou 0.830 ETA 0:00",
        "step 120/120 generator loss 0.412 iou 0.830 ETA 0:00",
        "features 50/80 ETA -:--",
    ]
    assert "collapsed to a constant shift" in lines[4]
