"""unseg train and unseg card, as a user gives them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unseg.models.registry import load_generator, shipped_base_sha256
from unseg.models.sam.base import SamBase, architecture
from unseg.models.weights.io import module_sha256, save_base, save_tensors
from unseg.train.base import load_frozen_base
from unseg.train.config import NoiseSettings, preset
from unseg.train.settings import override

Cli = Callable[..., tuple[int, str, str]]

SMALL = ["generator_size=64", "surrogates=small", "visibility=0",
         "surrogate_size=64", "surrogate_width=32", "head_width=8",
         "epochs=4", "epoch_steps=1", "optimisation.batch_size=2", "loss.points_sampled=64",
         "validation_share=0.25"]  # fmt: skip


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of eight pictures and a random base."""
    folder = tmp_path_factory.mktemp("train")
    for part in ("im", "gt"):
        (folder / "corpus" / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(8):
        mask = np.zeros((40, 56), np.uint8)
        mask[8:30, 10 : 30 + index] = 255
        pixels = rng.integers(0, 255, (40, 56, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "corpus" / "im" / f"{index}.png")
        Image.fromarray(mask).save(folder / "corpus" / "gt" / f"{index}.png")
    torch.manual_seed(0)
    save_base(SamBase(architecture("mobile_sam"), 64), folder / "base.safetensors")
    return folder


def command(material: Path, output: Path, *more: str) -> list[str]:
    settings = [part for pair in SMALL for part in ("--set", pair)]
    return ["train", "--corpus", str(material / "corpus"), "--base",
            str(material / "base.safetensors"), "-o", str(output), "--cpu", *settings,
            *more]  # fmt: skip


def run(arguments: list[str], launcher: list[str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*(launcher or [sys.executable]), "-m", "unseg", *arguments],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_train_resume_and_card(material: Path, tmp_path: Path, cli: Cli) -> None:
    output = tmp_path / "run"
    code, out, _ = cli(*command(material, output, "--steps", "2", "--resume"))
    assert code == 0 and f"{output} has no checkpoint yet: starting anew" in out
    assert "6 training and 2 validation images, 1 process on cpu, 4 steps, seed 42" in out
    assert "step 2/2 generator loss" in out and "ETA 0:00" in out
    code, _, err = cli(*command(material, output))
    assert code == 2 and "already holds a run: add --resume" in err
    code, _, err = cli(*command(material, output, "--resume"))
    assert code == 0, err
    log = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["phase"] != "validation"] == [1, 2, 3, 4]
    assert list((output / "tensorboard").iterdir()) and list((output / "samples").iterdir())
    assert (output / "cache").is_dir()
    generator = load_generator(str(output / "best.safetensors"))
    assert generator.image_size == 64 and generator.config.codebook == (12.0,)
    code, _, err = cli("card", output, "-o", tmp_path / "card")
    assert code == 0, err
    text = (tmp_path / "card" / "README.md").read_text()
    assert "corpus (8 images)" in text and "| `noise.epsilon` | 8 |" in text
    assert "| `models.codebook` | 12 |" in text
    assert json.loads((output / "run.json").read_text())["base"] in text
    with Image.open(tmp_path / "card" / "curves.png") as picture:
        assert picture.width > 500


def test_ctrl_c_saves_and_says_how_to_go_on(material: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    line = command(material, output, "--set", "epoch_steps=2000", "--save-every", "100000")
    with subprocess.Popen(
        [sys.executable, "-m", "unseg", *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        log = output / "log.jsonl"
        deadline = time.monotonic() + 120
        while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    done = json.loads(log.read_text().splitlines()[-1])["step"]
    assert err.splitlines()[-1] == (
        f"saved after step {done}: repeat the command with --resume to continue"
    )
    assert "Traceback" not in err
    assert torch.load(output / "state.pt", weights_only=True)["step"] == done
    assert (output / "last.safetensors").exists()


def test_ctrl_c_before_the_first_step_is_one_line_too(
    material: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("unseg.train.bilevel.fit_centres", interrupted)
    code, _, err = cli(*command(material, tmp_path / "run"))
    assert code == 130 and err == "stopped: repeat the command with --resume to continue\n"


def test_two_processes_share_one_training(material: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu",
                "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
                "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    done = run(command(material, tmp_path / "run"), launcher)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 processes on cpu" in done.stdout
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    # Only one process writes: every step stands once.
    assert [x["step"] for x in log if x["phase"] != "validation"] == [1, 2, 3, 4]
    assert (tmp_path / "run" / "last.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "huge"], "no preset named huge"),
        (["--set", "epsilom=3"], "expected name=value"),
        (["--set", "epochs=many"], "is not a whole number"),
        (["--set", "codebook=1"], "models.codebook is 1: use periods"),
        (["--set", "base=vit_b"], "holds mobile_sam but the settings ask for vit_b"),
        (["--mixed-precision", "fp8"], "no, fp16 or bf16"),
        (["--steps", "0"], "--steps 0: give at least 1"),
        (["--threads", "-1"], "--threads -1: give 0 or more"),
    ],
)
def test_wrong_options_are_one_clear_line(
    material: Path, tmp_path: Path, cli: Cli, more: list[str], message: str
) -> None:
    code, _, err = cli(*command(material, tmp_path / "run", *more))
    assert code == 2 and message in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_card_needs_a_run_of_today(tmp_path: Path, cli: Cli) -> None:
    code, _, err = cli("card", tmp_path, "-o", tmp_path / "card")
    assert code == 2 and "expected a folder written by unseg train" in err
    (tmp_path / "log.jsonl").write_text("")
    facts = {"format": "unseg-generator-4", "base": "", "settings": "{}",
             "training": json.dumps({"config": {"epsilon": 8}})}  # fmt: skip
    save_tensors({}, tmp_path / "best.safetensors", facts)
    code, _, err = cli("card", tmp_path, "-o", tmp_path / "card")
    assert code == 2 and "no training record that this version reads" in err
    assert not (tmp_path / "card").exists()


def test_the_ablations_are_settings(material: Path) -> None:
    pairs = ["epsilon=1", "epsilon_background=0.25", "label_modification=true",
             "visibility=0",
             "generator_prompts=box,point", "surrogate_prompts=mask"]  # fmt: skip
    config = override(preset("shipped"), pairs)
    assert config.noise == NoiseSettings(1.0, 0.25, True)
    assert config.prompts.generator_prompts == ("box", "point")

    def weights(*more: str) -> str:
        config = override(preset("shipped"), ["generator_size=64", *more])
        base = load_frozen_base(str(material / "base.safetensors"), config)
        assert base.image_size == 64 and not any(p.requires_grad for p in base.parameters())
        return module_sha256(base)

    random = weights("generator_init=random")
    assert len({weights(), random, weights("generator_init=random", "seed=1")}) == 3
    assert weights("generator_init=random") == random
    shipped = load_frozen_base("default", override(preset("shipped"), ["generator_size=64"]))
    assert module_sha256(shipped) == shipped_base_sha256()
