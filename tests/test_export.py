"""``unseg export --onnx``: onnxruntime makes the generator's noise; the key is not in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from unseg.cli.main import app
from unseg.errors import UnsegError
from unseg.key import Key
from unseg.models.export import (
    INPUTS,
    OUTPUTS,
    OnnxGenerator,
    agreement,
    export_onnx,
)
from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.registry import load_generator, load_shipped_base
from unseg.protect.drawn import photograph
from unseg.protect.noises.generator import GeneratorNoise
from unseg.protect.protector import Protector

SECRET = Key.of_text("an owner's secret")


@pytest.fixture(scope="module")
def generator() -> NoiseGenerator:
    made = load_generator()
    made.key = SECRET
    return made


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the command writes it, which runs it, too."""
    path = tmp_path_factory.mktemp("onnx") / "generator.onnx"
    result = CliRunner().invoke(app, ["export", "--onnx", str(path)])
    assert result.exit_code == 0, result.output
    assert "of the noise has the same sign" in result.output
    return path


@pytest.fixture
def small() -> NoiseGenerator:
    torch.manual_seed(0)
    head = HeadConfig(textures=(12.0, 18.0), codebook=(8.0, 12.0), background=False)
    return NoiseGenerator(load_shipped_base(256), head).eval()


def scene(width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.from_numpy(photograph(width, height, seed=5)).permute(2, 0, 1).float()
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    masks[0, height // 5 : height * 4 // 5, width // 4 : width // 2] = True
    masks[1] = True  # nearly all of the image: its texture follows what parts look like
    return image, masks


@pytest.mark.parametrize("size", [(160, 120), (90, 140)])
def test_onnxruntime_makes_the_shipped_generators_noise(
    generator: NoiseGenerator, exported: Path, size: tuple[int, int]
) -> None:
    image, masks = scene(*size)
    file = OnnxGenerator(exported, SECRET)
    same, apart = agreement(generator.noise(image, masks), file.noise(image, masks), masks)
    assert same > 0.995 and apart < 0.01
    other, _ = agreement(
        generator.noise(image, masks), OnnxGenerator(exported).noise(image, masks), masks
    )
    assert other < 0.9  # the public key's waves are others


def test_codes_ask_for_the_same_textures(generator: NoiseGenerator, exported: Path) -> None:
    image, masks = scene(96, 72)
    file = OnnxGenerator(exported, SECRET)
    for codes in ([3, 1], [20, 40]):
        wanted, found = generator.noise(image, masks, codes), file.noise(image, masks, codes)
        assert agreement(wanted, found, masks)[0] > 0.995


def test_the_key_is_not_in_the_file(small: NoiseGenerator, tmp_path: Path) -> None:
    written = []
    for name in ("an owner", "another"):
        small.key = Key.of_text(name)
        export_onnx(small, tmp_path / f"{name}.onnx")
        data = (tmp_path / f"{name}.onnx").read_bytes()
        assert small.key.secret not in data and small.key.secret.hex().encode() not in data
        written.append(onnx.load(tmp_path / f"{name}.onnx"))
    first, second = written
    assert [one.name for one in first.graph.input] == list(INPUTS)
    assert [one.name for one in first.graph.output] == list(OUTPUTS)
    assert first.SerializeToString() == second.SerializeToString()


def test_a_small_generator_is_exported_as_well(small: NoiseGenerator, tmp_path: Path) -> None:
    """Of untrained weights, whose cells choose a texture each: the way from cells to pixels."""
    small.key = SECRET
    export_onnx(small, tmp_path / "small.onnx")
    image, masks = scene(150, 110)
    file = OnnxGenerator(tmp_path / "small.onnx", SECRET)
    same, _ = agreement(small.noise(image, masks), file.noise(image, masks), masks)
    assert same > 0.99


def test_a_protector_takes_it(exported: Path) -> None:
    pixels = photograph(128, 96, seed=2)
    mask = np.zeros((96, 128), bool)
    mask[20:80, 30:100] = True
    protector = Protector([GeneratorNoise(OnnxGenerator(exported, SECRET))])
    made = protector.protect(pixels, mask)
    assert 1 <= made.change.inside <= 8 and made.change.outside == 0


def test_what_cannot_be_exported_says_so(tmp_path: Path, small: NoiseGenerator) -> None:
    grid = NoiseGenerator(small.base, HeadConfig())
    with pytest.raises(UnsegError, match="draws no textures"):
        export_onnx(grid, tmp_path / "x.onnx")
    (tmp_path / "there.onnx").write_bytes(b"no network")
    with pytest.raises(UnsegError, match="exists already"):
        export_onnx(small, tmp_path / "there.onnx")
    with pytest.raises(UnsegError, match="expected a file written by unseg export"):
        OnnxGenerator(tmp_path / "there.onnx")
