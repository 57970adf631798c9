"""unseg train and unseg card, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unseg.cli.train import load_frozen_base, parse_overrides
from unseg.errors import UnsegError
from unseg.models.registry import load_generator
from unseg.models.sam.base import SamBase, architecture
from unseg.models.weights.io import module_sha256, save_base
from unseg.train.config import preset

SMALL = ["generator_size=64", "surrogate_size=64", "surrogate_width=32", "head_width=8",
         "epochs=4", "epoch_steps=1", "batch_size=2", "loss_points=64",
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


def run(arguments: list[str], launcher: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*launcher, "-m", "unseg", *arguments],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_train_resume_and_card(material: Path, tmp_path: Path, in_process) -> None:
    output = tmp_path / "run"
    first = in_process(*command(material, output, "--steps", "2"))
    assert first.returncode == 0, first.stderr
    again = in_process(*command(material, output))
    assert again.returncode == 2 and "--resume" in again.stderr
    rest = in_process(*command(material, output, "--resume"))
    assert rest.returncode == 0, rest.stderr
    log = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["phase"] != "validation"] == [1, 2, 3, 4]
    assert list((output / "tensorboard").iterdir()) and list((output / "samples").iterdir())
    assert (output / "cache").is_dir()
    generator = load_generator(str(output / "best.safetensors"))
    assert generator.image_size == 64
    card = in_process("card", output, "-o", tmp_path / "card")
    assert card.returncode == 0, card.stderr
    text = (tmp_path / "card" / "README.md").read_text()
    assert "corpus (8 images)" in text and "| epsilon | 8.0 |" in text
    with Image.open(tmp_path / "card" / "curves.png") as picture:
        assert picture.width > 500


def test_two_processes_share_one_training(material: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu",
                "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no",
                "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    done = run(command(material, tmp_path / "run"), launcher)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 process(es)" in done.stdout
    text = (tmp_path / "run" / "log.jsonl").read_text()
    log = [json.loads(line) for line in text.splitlines()]
    # Only one process writes: every step stands once.
    assert [x["step"] for x in log if x["phase"] != "validation"] == [1, 2, 3, 4]
    assert (tmp_path / "run" / "last.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "huge"], "no preset named huge"),
        (["--set", "epsilom=3"], "expected name=value"),
        (["--set", "epochs=many"], "is not a int"),
        (["--set", "base=vit_b"], "holds mobile_sam but the settings want vit_b"),
        (["--mixed-precision", "fp8"], "no, fp16 or bf16"),
    ],
)
def test_wrong_options_are_one_clear_line(
    material: Path, tmp_path: Path, in_process, more: list[str], message: str
) -> None:
    done = in_process(*command(material, tmp_path / "run", *more))
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_overrides_have_the_fields_types() -> None:
    pairs = ["textures=3,4.5", "generator_prompts=mask,box", "flip=0", "jitter_after=false"]
    config = parse_overrides(preset("cpu"), pairs)
    assert config.textures == (3.0, 4.5) and config.generator_prompts == ("mask", "box")
    assert config.flip == 0.0 and config.jitter_after is False
    with pytest.raises(UnsegError, match="textures=wide"):
        parse_overrides(config, ["textures=wide"])


def test_the_ablations_are_settings(material: Path) -> None:
    pairs = ["epsilon=1", "epsilon_background=0.25", "label_modification=true",
             "generator_prompts=box,point", "surrogate_prompts=mask"]  # fmt: skip
    config = parse_overrides(preset("cpu"), pairs)
    assert (config.budget.foreground, config.budget.background) == (1, 0.25)
    assert config.label_modification and config.generator_prompts == ("box", "point")
    with pytest.raises(UnsegError, match="generator_init is none: use sam or random"):
        parse_overrides(config, ["generator_init=none"])

    def weights(*more: str) -> str:
        config = parse_overrides(preset("cpu"), ["generator_size=64", *more])
        base = load_frozen_base(str(material / "base.safetensors"), config)
        assert base.image_size == 64 and not any(p.requires_grad for p in base.parameters())
        return module_sha256(base)

    random = weights("generator_init=random")
    assert len({weights(), random, weights("generator_init=random", "seed=1")}) == 3
    assert weights("generator_init=random") == random
