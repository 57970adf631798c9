"""The salience head: scenes, training, weights, and what it finds."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.masks.sources.salient import SalientMask
from unseg.models.loaded import Models
from unseg.models.registry import load_shipped_base
from unseg.models.salience import (
    SalienceConfig,
    SalienceHead,
    load_salience,
    salient_mask,
    write_salience,
)
from unseg.models.sam.base import SamBase, architecture
from unseg.models.weights.io import save_base, save_tensors
from unseg.train.corpus import scan
from unseg.train.run_folder import RunInterrupted
from unseg.train.salience.config import SalienceSettings
from unseg.train.salience.fit import SalienceTrainer, salience_loss
from unseg.train.salience.scenes import BACKGROUND, FOREGROUND, UNKNOWN, SceneMaker
from unseg.train.settings import override

SMALL = override(
    SalienceSettings(),
    ["scenes=6", "steps=24", "batch_size=4", "width=16", "image_size=64", "validation_share=0.25",
     "validation_images=2", "validate_every=8"],
)  # fmt: skip


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red discs on grey as cut-outs, blue pictures as scenery."""
    folder = tmp_path_factory.mktemp("salience")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:60, :48]
    for name, colour in (("discs", (110, 110, 110)), ("blue", (20, 40, 200))):
        for part in ("im", "gt"):
            (folder / name / part).mkdir(parents=True)
        for index in range(8):
            disc = (rows - 30) ** 2 + (columns - 20 - index) ** 2 < 180
            image = np.full((60, 48, 3), colour) + rng.integers(-9, 9, (60, 48, 3))
            if name == "discs":
                image[disc] = (230, 30, 30)
            Image.fromarray(image.astype(np.uint8)).save(folder / name / "im" / f"{index}.png")
            Image.fromarray(disc.astype(np.uint8) * 255).save(folder / name / "gt" / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def base() -> SamBase:
    torch.manual_seed(0)
    return SamBase(architecture("mobile_sam"), 64).requires_grad_(False).eval()


def test_scenes_follow_from_their_number_and_know_what_is_pasted(corpora: Path) -> None:
    maker = SceneMaker(scan([corpora / "discs"]), scan([corpora / "blue"]), 96, seed=1)
    seen: set[int] = set()
    shares: dict[int, list[bool]] = {FOREGROUND: [], BACKGROUND: [], UNKNOWN: []}
    for number in range(30):
        scene, again = maker.draw(number), maker.draw(number)
        np.testing.assert_array_equal(scene.image, again.image)
        np.testing.assert_array_equal(scene.truth, again.truth)
        assert scene.image.shape == (96, 96, 3) and scene.truth.shape == (96, 96)
        assert set(np.unique(scene.truth)) <= {BACKGROUND, UNKNOWN, FOREGROUND}
        seen |= set(np.unique(scene.truth).tolist())
        if scene.image.std(axis=2).max() > 5:  # some scenes are grey
            red = scene.image[..., 0] > 1.5 * scene.image[..., 1:].max(axis=2).astype(int)
            for value, parts in shares.items():
                parts += red[scene.truth == value].tolist()
    assert np.mean(shares[FOREGROUND]) > 0.9  # edges are soft
    assert np.mean(shares[BACKGROUND]) < 0.05 and np.mean(shares[UNKNOWN]) < 0.05
    assert seen == {BACKGROUND, UNKNOWN, FOREGROUND}
    assert not np.array_equal(maker.draw(0).image, maker.draw(1).image)


def test_a_whole_picture_stands_as_it_is(corpora: Path) -> None:
    scene = SceneMaker(scan([corpora / "discs"]), [], 60, seed=0).whole(3)
    with Image.open(corpora / "discs" / "im" / "3.png") as file:
        np.testing.assert_array_equal(scene.image[:, :48], np.array(file))
    assert (scene.truth[:, 48:] == UNKNOWN).all()
    assert set(np.unique(scene.truth[:, :48])) == {BACKGROUND, FOREGROUND}


def test_unknown_cells_teach_nothing() -> None:
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    positive = torch.tensor([[[[1.0, 0], [0, 0]]]])
    negative = torch.tensor([[[[0.0, 1], [0, 0]]]])
    salience_loss(logits, positive, negative, dice=0.5).backward()
    assert logits.grad is not None
    grad = logits.grad[0, 0]
    assert grad[0, 0] < 0 < grad[0, 1] and (grad[1] == 0).all()
    right = salience_loss(torch.tensor([[[[9.0, -9], [0, 0]]]]), positive, negative, 0.5)
    assert float(right) < 0.01


def test_every_weight_of_the_head_learns() -> None:
    head = SalienceHead(SalienceConfig(width=8))
    embedding = torch.randn(2, 256, 4, 4, generator=torch.Generator().manual_seed(0))
    logits = head(embedding)
    assert logits.shape == (2, 1, 8, 8)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())


def test_training_learns_and_an_interrupted_one_ends_the_same(
    corpora: Path, base: SamBase, tmp_path: Path
) -> None:
    discs, blue = scan([corpora / "discs"]), scan([corpora / "blue"])

    def run(folder: Path, stop: int = 0, kill: int = 0, resume: bool = False) -> list[dict]:
        def report(phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
            if phase == "head" and done == stop:
                os.kill(os.getpid(), signal.SIGINT)
            if phase == "head" and done == kill:
                raise MemoryError

        SalienceTrainer(base, discs, blue, SMALL, folder).run(
            resume=resume, report=report, record={}
        )
        return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]

    whole = run(tmp_path / "whole")
    steps = [line for line in whole if line["phase"] == "head"]
    assert [line["step"] for line in steps] == list(range(1, 25))
    assert [x["step"] for x in whole if x["phase"] == "validation"] == [8, 16, 24]
    assert steps[-1]["loss"] < 0.9 * steps[0]["loss"]
    with pytest.raises(RunInterrupted, match="after step 5"):
        run(tmp_path / "parts", stop=5)
    with pytest.raises(MemoryError):
        run(tmp_path / "parts", kill=11, resume=True)  # after the checkpoint of step 8
    with pytest.raises(UnsegError, match="already holds a run"):
        run(tmp_path / "parts")
    assert run(tmp_path / "parts", resume=True) == whole
    found, other = (
        load_salience(tmp_path / name / "salience.safetensors") for name in ("whole", "parts")
    )
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=0, atol=0)
    for trainer, message in (
        (SalienceTrainer(base, discs, [], SMALL, tmp_path / "parts"), "other files"),
        (
            SalienceTrainer(
                base, discs, blue, override(SMALL, ["learning_rate=1"]), tmp_path / "parts"
            ),
            r"other settings \(optimisation\.learning_rate\)",
        ),
    ):
        with pytest.raises(UnsegError, match=message):
            trainer.run(resume=True)
    (tmp_path / "parts" / "state.pt").write_bytes(b"nothing")
    with pytest.raises(UnsegError, match=r"state\.pt is not a checkpoint of unseg train-salience"):
        run(tmp_path / "parts", resume=True)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("steps=0", "optimisation.steps is 0: use 1 or more"),
        ("image_size=100", "models.image_size is 100: use a multiple of 64"),
        ("data.validation_share=1", "data.validation_share is 1"),
        ("loss.dice_weight=-1", "loss.dice_weight is -1: use 0 or more"),
    ],
)
def test_settings_that_cannot_train_are_refused(pair: str, message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        override(SMALL, [pair])


def test_weights_come_back_in_half_precision(base: SamBase, tmp_path: Path) -> None:
    head = SalienceHead(SalienceConfig(width=8, base=base.architecture.to_json()))
    write_salience(head, tmp_path / "a.safetensors", {"seed": 0})
    found = load_salience(tmp_path / "a.safetensors")
    assert found.config == head.config and len(found.sha256) == 64 and found.suits(base)
    for name, value in head.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value.half().float(), rtol=0, atol=0)
    save_base(base, tmp_path / "base.safetensors")
    with pytest.raises(UnsegError, match="is not an unseg-salience-1 file"):
        load_salience(tmp_path / "base.safetensors")
    save_tensors({}, tmp_path / "b.safetensors", {"format": "unseg-salience-1", "settings": "{}"})
    with pytest.raises(UnsegError, match="does not fit the head it describes"):
        load_salience(tmp_path / "b.safetensors")
    with pytest.raises(UnsegError, match="is not a file"):
        load_salience(tmp_path / "none.safetensors")


def test_a_head_of_another_base_is_refused(tmp_path: Path) -> None:
    head = SalienceHead(SalienceConfig(width=8, base="another"))
    write_salience(head, tmp_path / "a.safetensors", {})
    with pytest.raises(UnsegError, match="was trained on another base"):
        _ = Models(salience=str(tmp_path / "a.safetensors"), device="cpu").salience_head


def test_small_pieces_are_left_out(base: SamBase, monkeypatch: pytest.MonkeyPatch) -> None:
    head = SalienceHead(SalienceConfig(width=8, image_size=64))
    logits = torch.full((1, 1, 8, 8), -5.0)
    logits[..., 2:5, 2:5] = 5.0
    logits[..., 7, 7] = 5.0
    monkeypatch.setattr(SalienceHead, "forward", lambda self, embedding: logits)
    image = torch.zeros(3, 64, 64)
    mask, count = salient_mask(base, head, image, smallest=0.04)
    assert count == 1 and mask[24:32, 24:32].all() and not mask[48:].any()
    assert salient_mask(base, head, image, smallest=0.0)[1] == 2
    nothing, count = salient_mask(base, head, image, least=0.5)
    assert count == 0 and not nothing.any()


def test_the_shipped_head_suits_the_shipped_base_and_finds_nothing_on_a_wall() -> None:
    shipped, base = load_salience(), load_shipped_base(512)
    assert shipped.suits(base)
    wall = Photo(np.full((64, 64, 3), 90, np.uint8))
    assert SalientMask(base, shipped).find(wall, "wall.png") is None
    assert SalientMask(base, shipped).identity("wall.png") == shipped.sha256
    assert SalientMask.load(Models(salience="none", device="cpu")) is None


def test_a_person_stands_out() -> None:
    from skimage import data

    found = SalientMask(load_shipped_base(512), load_salience()).find(
        Photo(data.astronaut()), "astronaut.png"
    )
    assert found is not None
    mask = found.labels.values > 0
    assert mask.shape == (512, 512)
    assert mask[60:160, 190:260].mean() > 0.95  # face
    assert mask[330:480, 120:320].mean() > 0.9  # suit
    assert mask[150:250, 300:340].mean() < 0.1  # the dark wall behind


def test_train_as_a_user(
    corpora: Path, base: SamBase, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    save_base(base, tmp_path / "base.safetensors")
    pairs = ("data.scenes=4", "steps=2", "batch_size=2", "width=8", "image_size=64",
             "validate_every=1")  # fmt: skip
    output = tmp_path / "run"
    line = [
        "train-salience", "--cutouts", corpora / "discs", "--scenery", corpora / "blue",
        "--base", tmp_path / "base.safetensors", "-o", output, "--device", "cpu",
        *(part for pair in pairs for part in ("--set", pair)),
    ]  # fmt: skip
    code, out, err = cli(*line)
    assert code == 0, err
    assert "step 2/2 head loss" in out and "ETA" in out and "IoU" in out
    assert (output / "curves.png").stat().st_size > 5000
    card = (output / "README.md").read_text()
    assert "discs (8 images), blue (8 images)" in card and "| `data.scenes` | 4 |" in card
    code, _, err = cli(*line)
    assert code == 2 and "already holds a run" in err
    assert cli(*line, "--resume")[0] == 0


def test_masks_and_protect_name_their_salience(
    cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "flat.png")
    for name in ("protect", "masks"):
        code, text, _ = cli(name, "--help")
        assert code == 0 and "--salience" in text
    # A flat picture hides nothing, so hardly any noise is left at the default, which is warned of.
    line = ["protect", tmp_path / "flat.png", "-o", tmp_path / "out", "--visibility", "strong"]
    code, _, _ = cli(*line)
    assert code == 0
    run = json.loads((tmp_path / "out" / "unseg-run.json").read_text())
    assert run["settings"]["salience"] == "default"
