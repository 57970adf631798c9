"""``unseg export --onnx``: onnxruntime makes the generator's noise, and the key is not in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

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
from unseg.protect.benchmark import photograph
from unseg.protect.noises.generator import GeneratorNoise
from unseg.protect.protector import Protector

Cli = Callable[..., tuple[int, str, str]]
SECRET = Key.of_text("an owner's secret")


@pytest.fixture(scope="module")
def generator() -> NoiseGenerator:
    made = load_generator()
    made.key = SECRET
    return made


@pytest.fixture(scope="module")
def exported(generator: NoiseGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "generator.onnx"
    export_onnx(generator, path)
    return path


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


def test_the_key_is_not_in_the_file(
    generator: NoiseGenerator, exported: Path, tmp_path: Path
) -> None:
    data = exported.read_bytes()
    assert SECRET.secret not in data and SECRET.secret.hex().encode() not in data
    model = onnx.load(exported)
    assert [one.name for one in model.graph.input] == list(INPUTS)
    assert [one.name for one in model.graph.output] == list(OUTPUTS)
    # Another key writes the same network.
    generator.key = Key.of_text("another")
    try:
        export_onnx(generator, tmp_path / "b.onnx")
    finally:
        generator.key = SECRET
    first, second = (
        {one.name: one.raw_data for one in onnx.load(path).graph.initializer}
        for path in (exported, tmp_path / "b.onnx")
    )
    assert first == second


def test_a_protector_takes_it(exported: Path) -> None:
    pixels = photograph(128, 96, seed=2)
    mask = np.zeros((96, 128), bool)
    mask[20:80, 30:100] = True
    protector = Protector([GeneratorNoise(OnnxGenerator(exported, SECRET))])
    made = protector.protect(pixels, mask)
    assert 1 <= made.change.inside <= 8 and made.change.outside == 0


def test_what_cannot_be_exported_says_so(tmp_path: Path, exported: Path) -> None:
    grid = NoiseGenerator(load_shipped_base(256), HeadConfig())
    with pytest.raises(UnsegError, match="draws no textures"):
        export_onnx(grid, tmp_path / "x.onnx")
    with pytest.raises(UnsegError, match="exists already"):
        export_onnx(load_generator(), exported)
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(UnsegError, match="expected a file written by unseg export"):
        OnnxGenerator(tmp_path / "broken.onnx")


def test_the_command_writes_and_checks(cli: Cli, tmp_path: Path) -> None:
    code, text, err = cli("export", "--onnx", tmp_path / "g.onnx")
    assert code == 0, err
    assert "of the noise has the same sign" in text and (tmp_path / "g.onnx").stat().st_size > 1e7
    code, _, err = cli("export", "--onnx", tmp_path / "g.onnx")
    assert code == 2 and "exists already" in " ".join(err.split())
