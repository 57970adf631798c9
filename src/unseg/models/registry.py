"""Generators by name or file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from unseg.errors import UnsegError
from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.sam.base import Architecture, SamBase
from unseg.models.textures import Codebook
from unseg.models.weights.io import read_tensors, save_tensors
from unseg.provenance import sha256_file

FORMAT = "unseg-generator-1"

REMEDY = "give a generator written by unseg train"

#: Names of the weights that ship with the package, the newest first. All but one are heads without
#: their frozen base, which is that one's: the package stays below 40 MB.
SHIPPED = tuple(f"unseg-mobile-sam-{number}" for number in (6, 5, 4, 3, 2, 1))
DEFAULT = SHIPPED[0]


def resolve(name_or_path: str) -> Path:
    """File of a generator.

    Args:
        name_or_path: ``default``, a shipped name, or a ``.safetensors`` file.

    Raises:
        UnsegError: when it is neither.
    """
    name = DEFAULT if name_or_path == "default" else name_or_path
    if name in SHIPPED:
        return Path(str(resources.files("unseg") / "assets" / f"{name}.safetensors"))
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise UnsegError(
        f"{name_or_path} is neither a file nor a model that ships with unseg: give a .safetensors "
        f"file written by unseg train, or one of {', '.join(['default', *SHIPPED])}"
    )


def write_generator(
    generator: NoiseGenerator,
    path: Path,
    *,
    training: dict[str, Any] | None = None,
    base_from: str = "",
) -> None:
    """Write a generator with its frozen base into one file, atomically.

    The encoder, 5.7 of its 10 million parameters, is stored in fp16; the rest, which is small or
    trained, in fp32.

    Args:
        generator: trained or not.
        path: a ``.safetensors`` file.
        training: settings, seed and data of the run, stored as metadata.
        base_from: a shipped generator with the same frozen base; the base is left out then.
    """
    tensors = {}
    for name, tensor in generator.state_dict().items():
        if base_from and name.startswith("base."):
            continue
        value = tensor.detach().cpu().contiguous().clone()
        small = name.startswith("base.encoder.") and value.dtype == torch.float32
        tensors[name] = value.half() if small else value
    metadata = {
        "format": FORMAT,
        "base": generator.base.architecture.to_json(),
        "settings": json.dumps(generator.settings()),
        "training": json.dumps(training or {}),
    }
    if base_from:
        metadata["base_from"] = base_from
    save_tensors(tensors, path, metadata, overwrite=True)


def write_head(
    file: Path,
    output: Path,
    base_from: str,
    gain: float = 1.0,
    stretch: float = 1.0,
    codebook: Sequence[float] = (),
) -> None:
    """Write a generator again without its frozen base.

    Args:
        file: a generator written by ``unseg train``.
        output: a ``.safetensors`` file.
        base_from: a shipped generator with the same base.
        gain: factor on the noise logits, written into the training record where it is not 1.
            Training needs waves that are not saturated, or it has no gradient; deployed ones may
            use the whole bound.
        stretch: factor on the periods of the textures, recorded likewise. A surrogate from scratch
            sees short waves best, victims with pretrained backbones hardly do.
        codebook: periods of a new codebook of today's colours, recorded likewise; nothing in a
            codebook is trained but what its entries stand for, which is kept.

    Raises:
        UnsegError: when the bases differ, ``file`` is no generator, or it has no codebook or one
            with another number of entries.
    """
    generator, other = load_generator(str(file)), load_generator(base_from)
    shared = other.base.state_dict()
    own = generator.base.state_dict()
    if own.keys() != shared.keys() or any(not torch.equal(own[k], shared[k]) for k in own):
        raise UnsegError(f"{file} has another base than {base_from}: give one with the same")
    training = read_metadata(file)["training"]
    if gain != 1:
        with torch.no_grad():
            generator.log_scale.add_(math.log(gain))
        training["gain_after_training"] = gain * training.get("gain_after_training", 1.0)
    if stretch != 1:
        periods = tuple(period * stretch for period in generator.config.textures)
        generator.config = replace(generator.config, textures=periods)
        training["stretch_after_training"] = stretch * training.get("stretch_after_training", 1.0)
    if codebook:
        generator.codebook = _renewed(generator.codebook, codebook, file)
        generator.config = replace(generator.config, codebook=tuple(codebook))
        training["codebook_after_training"] = list(codebook)
    write_generator(generator, output, training=training, base_from=base_from)


def _renewed(old: Codebook | None, periods: Sequence[float], file: Path) -> Codebook:
    if old is None:
        raise UnsegError(f"{file} has no codebook to renew: give a generator that has one")
    book = Codebook(old.centres.shape[1], periods)
    if len(book.centres) != len(old.centres):
        raise UnsegError(
            f"{file} has a codebook of {len(old.centres)} entries and {len(periods)} periods make "
            f"{len(book.centres)}: give as many periods as it was trained with"
        )
    book.centres.copy_(old.centres)
    return book


def read_metadata(path: Path) -> dict[str, Any]:
    """Settings and training record of a generator file.

    Raises:
        UnsegError: when the file is not one.
    """
    return _facts(read_tensors(path, REMEDY)[1], path)


def _facts(found: dict[str, str], path: Path) -> dict[str, Any]:
    if found.get("format") != FORMAT:
        raise UnsegError(
            f"{path} is a safetensors file of format {found.get('format', 'unknown')!r}, not "
            f"{FORMAT!r}: expected a generator written by unseg train"
        )
    return {
        "base": found["base"],
        "settings": json.loads(found["settings"]),
        "training": json.loads(found["training"]),
    }


def load_generator(name_or_path: str = "default", device: str = "cpu") -> NoiseGenerator:
    """Load a generator for use.

    Args:
        name_or_path: see :func:`resolve`.
        device: a torch device.

    Returns:
        The generator in evaluation mode; its ``model_id`` is the file's stem and the first 12 hex
        digits of its sha256, and ``sha256`` the whole.

    Raises:
        UnsegError: when the file is missing, damaged, or of another kind.
    """
    path = resolve(name_or_path)
    if not path.is_file():
        raise UnsegError(f"{path} is missing: install unseg again, its weights are part of it")
    tensors, found = read_tensors(path, REMEDY)
    metadata = _facts(found, path)
    if whole := found.get("base_from"):
        shared = read_tensors(resolve(whole), REMEDY)[0]
        tensors |= {name: t for name, t in shared.items() if name.startswith("base.")}
    base = SamBase(Architecture.from_json(metadata["base"]), metadata["settings"]["image_size"])
    generator = NoiseGenerator(base, HeadConfig.from_dict(metadata["settings"]["head"]))
    try:
        generator.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise UnsegError(
            f"{path} does not fit the model it describes: {str(error).splitlines()[1].strip()}"
        ) from error
    generator.sha256 = sha256_file(path)
    generator.model_id = f"{path.stem}@{generator.sha256[:12]}"
    return generator.to(device).eval()
