"""The choice of silent classes, and the options that name or choose them."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.sam.base import SamBase, architecture
from unseg.protect.silence import (
    Cells,
    Embedder,
    SimulatedTrainer,
    cells_of,
    choose_silent,
    spread,
    turned,
)


def look(means: list[tuple[float, float]], count: int = 150) -> Cells:
    """Classes as clouds in a plane, all over the image."""
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor(means).repeat_interleave(count, dim=0)
    features = centres + 0.3 * torch.randn(centres.shape, generator=rng)
    place = torch.rand(len(centres), 2, generator=rng)
    labels = torch.arange(len(means)).repeat_interleave(count)
    return Cells(torch.cat([features, place], dim=1), labels)


def test_silence_of_one_of_two_that_look_alike_hurts_a_trainer() -> None:
    cells = look([(-4, 0), (-3.8, 0), (4, 3), (4.2, 3)])
    trainer = SimulatedTrainer(turned(cells.features), cells.labels, 4)
    every = [pick for size in range(5) for pick in combinations(range(4), size)]
    left = {silent: trainer.left(silent) for silent in every}
    # Noise on all, or on none, says nothing; noise on one pair is what can be seen without it.
    assert left[0, 2] < 0.8 * left[()] and left[0,] < 0.6 * left[0, 1]
    assert left[()] == pytest.approx(left[0, 1, 2, 3], abs=0.1)
    assert choose_silent([cells]) == min(every, key=lambda silent: left[silent])


def test_the_choice_is_the_same_again_and_needs_two_classes() -> None:
    four = look([(-4, 0), (-3.8, 0), (4, 3), (4.2, 3)])
    assert choose_silent([four]) == choose_silent([four])
    assert choose_silent([look([(0, 0)])]) is None and choose_silent([]) is None


def test_of_two_classes_the_one_that_hurts_more_is_silent() -> None:
    few, many = look([(0, 0)], 100), look([(0.6, 0)], 900)
    cells = [few, Cells(many.features, many.labels + 1)]
    assert choose_silent(cells) == (0,)
    assert choose_silent([Cells(one.features, 1 - one.labels) for one in cells]) == (1,)


def test_rare_classes_are_not_silent() -> None:
    common, rare = look([(-4, 0), (-3.8, 0), (4, 3)], 400), look([(4.2, 3)], 5)
    chosen = choose_silent([common, Cells(rare.features, rare.labels + 9)])
    assert chosen is not None and 9 not in chosen


def test_cells_belong_to_the_class_that_covers_most_of_them() -> None:
    torch.manual_seed(0)
    base = SamBase(architecture("mobile_sam"), 64).eval()
    generator = NoiseGenerator(base, HeadConfig(width=8))
    assert isinstance(generator, Embedder)
    labels = np.full((48, 64), -1, np.int32)
    labels[:, :32] = 3
    labels[:, 32:48] = 7
    cells = cells_of(generator, torch.rand(3, 48, 64) * 255, labels)
    assert cells.labels.bincount().tolist() == [0, 0, 0, 6, 0, 0, 0, 3]
    assert cells.features.shape == (9, 258)
    nothing = cells_of(generator, torch.rand(3, 48, 64) * 255, np.full((48, 64), -1, np.int32))
    assert not len(nothing.labels)


def test_spread_is_even_and_bounded() -> None:
    assert spread(0) == [] and spread(3) == [0, 1, 2]
    assert len(spread(1000)) == 64 and {0, 999} <= set(spread(1000))


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images with four classes in bands, and their label maps."""
    folder = tmp_path_factory.mktemp("streets")
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    bands = np.arange(96)[:, None] // 24 * np.ones((1, 128), int)
    for i in range(2):
        colour = np.array([40, 60, 160, 180])[bands][..., None]
        image = np.clip(colour + rng.normal(0, 8, (96, 128, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
        Image.fromarray(bands.astype(np.uint8)).save(folder / "labels" / f"{i}.png")
    return folder


def changed(folder: Path, out: Path) -> list[bool]:
    """Of every class, whether its pixels changed in the first image."""
    before, after = (np.asarray(Image.open(p / "0.png")) for p in (folder / "images", out))
    bands = np.asarray(Image.open(folder / "labels" / "0.png"))
    return [bool((before != after)[bands == k].any()) for k in range(4)]


def protect(cli, folder: Path, out: Path, *options: object) -> tuple[int, dict, str]:
    line = ("protect", folder / "images", "-o", out, "--masks", folder / "labels", "--json")
    code, text, err = cli(*line, "--target", "class", "--background", "none", *options)
    return code, json.loads(text) if code == 0 else {}, err


def test_named_labels_are_silent(cli, streets: Path, tmp_path: Path) -> None:
    code, found, _ = protect(cli, streets, tmp_path / "out", "--silent", "1,2")
    assert code == 0 and found["settings"]["silent"] == [1, 2]
    assert changed(streets, tmp_path / "out") == [True, False, False, True]


def test_auto_chooses_and_a_continued_run_keeps_the_choice(
    in_process, streets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line = ("protect", streets / "images", "-o", out, "--masks", streets / "labels", "--json")
    in_process(*line)  # as one union, where nothing is chosen
    line = (*line, "--target", "class", "--background", "none")
    found = json.loads(in_process(*line, "--resume").stdout)
    chosen = found["settings"]["silent"]
    assert chosen and changed(streets, out) == [k not in chosen for k in range(4)]
    (out / "1.png").unlink()
    again = json.loads(in_process(*line, "--resume").stdout)
    assert again["settings"]["silent"] == chosen
    assert again["totals"]["kept_from_earlier_run"] == 1


def test_first_gives_every_class_its_own_texture(cli, streets: Path, tmp_path: Path) -> None:
    code, found, _ = protect(cli, streets, tmp_path / "out", "--silent", "first")
    assert code == 0 and found["settings"]["silent"] == "first"
    assert changed(streets, tmp_path / "out") == [False, True, True, True]


def test_silent_labels_need_classes(cli, streets: Path, tmp_path: Path) -> None:
    line = ("protect", streets / "images", "-o", tmp_path / "out", "--silent", "1")
    code, _, err = cli(*line)
    assert code == 2 and "--target class" in err
    code, _, err = cli(*line[:-1], "sky", "--target", "class")
    assert code == 2 and "--silent sky" in err
