"""Generators by name or file, and the frozen base that ships with the package.

A generator's file holds what was learned, its settings and the record of its training. Where its
frozen base is the one that ships, the file names it by file name and checksum; else the base is
inside.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor

from unseg.errors import UnsegError
from unseg.models.generator import HeadConfig, NoiseGenerator
from unseg.models.sam.base import Architecture, SamBase
from unseg.models.weights.io import (
    build_base,
    halved,
    load_base,
    read_tensors,
    save_tensors,
    state_sha256,
    unfilled,
)
from unseg.provenance import sha256_file

FORMAT = "unseg-generator-4"

REMEDY = "give a generator written by unseg train"

DEFAULT = "unseg-mobile-sam-8"
SHIPPED = (DEFAULT,)
"""Names of the generators that ship with the package."""
RETIRED = {
    **{f"unseg-mobile-sam-{number}": "v0.10.0" for number in range(1, 6)},
    "unseg-mobile-sam-6": "v0.11.0",
    "unseg-mobile-sam-7": "v0.12.0",
}
"""Generators that shipped with earlier versions, and the git tags that hold them."""
BASE = "mobile-sam.safetensors"
"""The frozen base that ships with the package."""

PREFIX = "base."
"""Of the frozen base's tensors in a generator's file."""


def resolve(name_or_path: str) -> Path:
    """File of a generator.

    Args:
        name_or_path: ``default``, a shipped name, or a ``.safetensors`` file.

    Raises:
        UnsegError: when it is neither.
    """
    name = DEFAULT if name_or_path == "default" else name_or_path
    if name in SHIPPED:
        return _asset(f"{name}.safetensors")
    path = Path(name_or_path)
    if path.is_file():
        return path
    if name in RETIRED:
        raise UnsegError(
            f"{name} is retired: its weights and the code that runs them are in the repository at "
            f"the git tag {RETIRED[name]}"
        )
    raise UnsegError(
        f"{name_or_path} is neither a file nor a model that ships with unseg: give a .safetensors "
        f"file written by unseg train, or one of {', '.join(['default', *SHIPPED])}"
    )


def load_shipped_base(image_size: int = 1024) -> SamBase:
    """The frozen SAM that ships with the package: MobileSAM, in float32, frozen.

    Args:
        image_size: side of the model's input in pixels, a multiple of 64.

    Raises:
        UnsegError: when it is missing.
    """
    return load_base(_asset(BASE), image_size)


@lru_cache(maxsize=1)
def shipped_base_sha256() -> str:
    """Checksum of the shipped base's weights, as :func:`module_sha256` gives it."""
    tensors, _ = read_tensors(_asset(BASE), REMEDY)
    return state_sha256({name: value.float() for name, value in tensors.items()})


def write_generator(
    generator: NoiseGenerator, path: Path, *, training: dict[str, Any] | None = None
) -> None:
    """Write a generator, atomically.

    What was learned keeps its float32. The frozen base is the shipped one when it is that in half
    precision, and only named then; else it is in the file, in half precision.

    Args:
        generator: trained or not.
        path: a ``.safetensors`` file.
        training: settings, seed and data of the run, stored as metadata.
    """
    state = {name: value.detach().cpu() for name, value in generator.state_dict().items()}
    frozen = {n.removeprefix(PREFIX): state.pop(n) for n in list(state) if n.startswith(PREFIX)}
    half = halved(frozen)
    found = state_sha256({name: value.float() for name, value in half.items()})
    metadata = {
        "format": FORMAT,
        "base": generator.base.architecture.to_json(),
        "base_sha256": found,
        "settings": json.dumps(generator.settings(), sort_keys=True),
        "training": json.dumps(training or {}),
    }
    if found == shipped_base_sha256():
        metadata["base_file"] = BASE
    else:
        state |= {PREFIX + name: value for name, value in half.items()}
    save_tensors(state, path, metadata, overwrite=True)


def read_metadata(path: Path) -> dict[str, Any]:
    """Architecture of the base, settings and training record of a generator's file.

    Raises:
        UnsegError: when the file is not one.
    """
    return _facts(read_tensors(path, REMEDY)[1], path)


def load_generator(name_or_path: str = "default", device: str = "cpu") -> NoiseGenerator:
    """Load a generator for use.

    Args:
        name_or_path: see :func:`resolve`.
        device: a torch device.

    Returns:
        The generator in evaluation mode; its ``model_id`` is the file's stem and the first 12 hex
        digits of its sha256, and ``sha256`` the whole.

    Raises:
        UnsegError: when the file is missing, damaged, of another kind, or made for another base.
    """
    path = resolve(name_or_path)
    _present(path)
    tensors, found = read_tensors(path, REMEDY)
    facts = _facts(found, path)
    learned = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
    frozen = {n.removeprefix(PREFIX): v for n, v in tensors.items() if n.startswith(PREFIX)}
    size = facts["settings"]["image_size"]
    with unfilled():
        base = _base(frozen, found, size, path)
        generator = NoiseGenerator(base, HeadConfig.from_dict(facts["settings"]["head"]))
    whole = {name: tensor.float() for name, tensor in learned.items()}
    whole |= {PREFIX + name: tensor for name, tensor in base.state_dict().items()}
    try:
        generator.load_state_dict(whole)
    except RuntimeError as error:
        raise UnsegError(
            f"{path} does not fit the model it describes: {str(error).splitlines()[1].strip()}"
        ) from error
    generator.sha256 = sha256_file(path)
    generator.model_id = f"{path.stem}@{generator.sha256[:12]}"
    return generator.to(device).eval()


def _base(frozen: dict[str, Tensor], found: dict[str, str], size: int, path: Path) -> SamBase:
    """The base inside a generator's file, or the shipped one that it names.

    Raises:
        UnsegError: when it names another base than the one that ships.
    """
    design = Architecture.from_json(found["base"])
    if frozen:
        return build_base(design, frozen, size, str(path))
    named = found.get("base_file", "nothing")
    if named != BASE:
        raise UnsegError(
            f"{path} has no base inside and names {named}, which does not ship with unseg: {REMEDY}"
        )
    base = load_shipped_base(size)
    wanted = found["base_sha256"]
    if base.architecture != design or wanted != shipped_base_sha256():
        raise UnsegError(
            f"{path} was made for a base with sha256 {wanted[:12]}..., but the {BASE} that ships "
            f"with unseg has {shipped_base_sha256()[:12]}...: use the version that wrote it"
        )
    return base


def _facts(found: dict[str, str], path: Path) -> dict[str, Any]:
    kind = found.get("format", "unknown")
    if kind != FORMAT:
        number = kind.removeprefix("unseg-generator-")
        hint = f"not {FORMAT!r}"
        if version := {"1": "0.11.0", "2": "0.11.0", "3": "0.12.0"}.get(number):
            hint = f"whose textures were drawn another way: use version {version} or train again"
        elif number != kind:
            hint = "a newer version of unseg wrote it"
        raise UnsegError(
            f"{path} is a safetensors file of format {kind!r}, {hint}: expected a generator "
            "written by unseg train"
        )
    return {
        "base": found["base"],
        "settings": json.loads(found["settings"]),
        "training": json.loads(found["training"]),
    }


def _asset(name: str) -> Path:
    return Path(str(resources.files("unseg") / "assets" / name))


def _present(path: Path) -> None:
    if not path.is_file():
        raise UnsegError(f"{path} is missing: its weights are part of unseg, so install it again")
