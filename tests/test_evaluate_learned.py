"""Defences that learn from clean photographs, on tiny data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from unseg.datasets.samples import Sample, to_tensor
from unseg.errors import UnsegError
from unseg.evaluate.build import build_defence
from unseg.evaluate.conditions.unseg import Unseg
from unseg.evaluate.defences.clean_images import CleanImages
from unseg.evaluate.defences.learned import restore
from unseg.evaluate.defences.purifier import Purifier, draw_noise
from unseg.evaluate.defences.remover import Remover
from unseg.evaluate.results import content_key
from unseg.noise import Budget

QUICK = {"images": 6, "steps": 40, "batch_size": 4, "crop": 32, "width": 8, "learning_rate": 1e-2}


class Checks(nn.Module):
    """Stands in for a generator: a checkerboard inside the mask, its negative outside."""

    model_id, sha256 = "checks", "0" * 64

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def noise(self, image: Tensor, masks: Tensor, codes: Sequence[int] = ()) -> Tensor:
        rows, columns = torch.meshgrid(*(torch.arange(s) for s in image.shape[-2:]), indexing="ij")
        board = ((rows + columns) % 2 * 2 - 1).float()
        return (board * (masks[:, None].float() * 2 - 1)).expand(-1, 3, -1, -1) * self.gain


def picture(seed: int, size: tuple[int, int] = (48, 56)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(rows / rng.uniform(9, 20) + columns / rng.uniform(9, 20)) for _ in range(3)]
    regions = np.zeros(size, dtype=np.uint8)
    regions[8:40, 10:30], regions[8:40, 30:50] = 3, 9
    return (128 + 60 * np.stack(waves, axis=-1)).astype(np.uint8), regions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "clean"
    for part in ("im", "gt"):
        (root / part).mkdir(parents=True)
    for i in range(8):
        image, regions = picture(i)
        Image.fromarray(image).save(root / "im" / f"clean{i}.png")
        Image.fromarray(regions).save(root / "gt" / f"clean{i}.png")
    return root


def victim(count: int = 3) -> list[Sample]:
    found = []
    for i in range(count):
        image, regions = picture(100 + i, (50, 61))
        found.append(Sample(f"photo{i}", image, regions > 0))
    return found


def error(images: list[np.ndarray], clean: list[Sample]) -> float:
    pairs = zip(images, clean, strict=True)
    return float(np.mean([np.abs(i.astype(int) - one.image)[one.mask].mean() for i, one in pairs]))


def test_the_remover_learns_the_public_generators_noise(folder: Path) -> None:
    source, clean = Checks(), victim()
    published = [Sample(one.name, Unseg(source).apply(one, 0), one.mask) for one in clean]
    defence = Remover(source=source, clean=folder, **QUICK)
    with pytest.raises(RuntimeError, match="remover has learned nothing yet: call prepare first"):
        defence.stored(clean[0].image)
    defence.prepare(published, seed=0)
    restored = [defence.stored(one.image) for one in published]
    assert restored[0].shape == clean[0].image.shape and restored[0].dtype == np.uint8
    before, after = error([one.image for one in published], clean), error(restored, clean)
    assert before > 1.5  # what the default visibility leaves on smooth pictures
    assert after < 0.3 * before


def test_the_purifier_removes_noise_it_was_not_told_of(folder: Path) -> None:
    clean = victim()
    # Grain in pixels is the easiest of its noises.
    rng = np.random.default_rng(0)
    noisy = [
        (one.image + rng.choice([-8, 8], one.image.shape)).clip(0, 255).astype(np.uint8)
        for one in clean
    ]
    defence = Purifier(clean=folder, **{**QUICK, "steps": 120})
    defence.prepare(victim(), seed=0)
    assert error([defence.stored(image) for image in noisy], clean) < 0.8 * error(noisy, clean)


def test_learning_repeats_and_is_done_once(folder: Path) -> None:
    first, again = (Purifier(clean=folder, **{**QUICK, "steps": 2}) for _ in range(2))
    first.prepare([], 0)
    again.prepare([], 1)
    assert again._network is first._network, "the run's seed and the published set do not matter"
    samples = first.clean_images().samples()
    network = first.learn(samples)
    x = torch.rand(1, 3, 16, 16) * 255
    torch.testing.assert_close(restore(network, x), restore(first.learn(samples), x))


def test_purifying_noise_is_bounded_and_varied() -> None:
    rng = torch.Generator().manual_seed(0)
    drawn = [draw_noise((40, 30), rng) for _ in range(30)]
    assert all(one.shape == (3, 40, 30) and one.abs().max() <= 1 for one in drawn)
    coarse = [float((one[:, :, 1:] == one[:, :, :-1]).float().mean()) for one in drawn]
    assert min(coarse) < 0.1 and max(coarse) > 0.8


def test_results_are_keyed_by_the_clean_photographs_not_their_place(
    folder: Path, tmp_path: Path
) -> None:
    def key(defence: Purifier | Remover) -> str:
        return content_key({"name": defence.name, **defence.settings()})

    moved = folder.rename(tmp_path / "elsewhere")
    here = key(Purifier(clean=moved, **QUICK))
    moved.rename(folder)
    assert key(Purifier(clean=folder, **QUICK)) == here
    assert key(Purifier(clean=folder, **{**QUICK, "images": 4})) != here
    image, _ = picture(55)
    Image.fromarray(image).save(folder / "im" / "clean0.png")
    assert key(Purifier(clean=folder, **QUICK)) != here
    one, other = (Remover(source=Checks(gain), clean=folder, **QUICK) for gain in (1.0, 0.5))
    assert key(one) != key(other)
    shipped = Remover(clean=folder, **QUICK).settings()
    assert len(shipped["generator_id"]) == 64 and "model" not in shipped


def test_clean_photographs_are_read_with_masks_and_regions(folder: Path) -> None:
    samples = CleanImages(folder, 3).samples()
    assert [one.name for one in samples] == ["clean0", "clean3", "clean6"]
    np.testing.assert_array_equal(samples[0].image, picture(0)[0])
    np.testing.assert_array_equal(samples[0].mask, picture(0)[1] > 0)
    assert set(np.unique(samples[0].labels)) == {0, 3, 9}


def test_the_clean_folder_is_an_argument(folder: Path, tmp_path: Path) -> None:
    for name in ("purifier", "remover"):
        with pytest.raises(
            UnsegError, match=r"give --clean-images a folder with im/.* does not train on"
        ):
            build_defence(name).settings()
        with pytest.raises(UnsegError, match=r"has no im/ folder: a corpus holds"):
            build_defence(name, tmp_path).settings()
        assert len(build_defence(name, folder).settings()["clean_sha256"]) == 64
    assert build_defence("jpeg75", folder).settings() == {"quality": 75}


def test_the_victims_own_photographs_are_refused(folder: Path) -> None:
    own = [Sample(f"clean{i}", *picture(i)[:1], picture(i)[1] > 0) for i in range(4)]
    with pytest.raises(UnsegError, match=r"4 of 4 training images are also in .*clean \(by name\)"):
        Purifier(clean=folder, **QUICK).prepare(own, 0)


def test_photographs_smaller_than_a_crop_are_refused(folder: Path) -> None:
    with pytest.raises(UnsegError, match="is 56x48, smaller than the crop of 96"):
        Purifier(clean=folder, **{**QUICK, "crop": 96}).prepare(victim(), 0)
    with pytest.raises(UnsegError, match="crop is 30: give a multiple of 16"):
        Purifier(clean=folder, **{**QUICK, "crop": 30})


def test_the_budget_is_the_trainers_guess(folder: Path) -> None:
    remover = Remover(source=Checks(), clean=folder, foreground=4, background=0, **QUICK)
    samples = remover.clean_images().samples()
    shown = remover.inputs(samples)[0]
    change = (shown - to_tensor(samples[0].image)).abs().amax(dim=0).numpy()
    budget = Budget(4, 0)
    assert change[samples[0].mask].max() == budget.foreground
    assert change[~samples[0].mask].max() == budget.background
