"""``unseg export``: the generator for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE.onnx", help="The file to write.")],
    model: Annotated[
        str, typer.Option(help="Generator: default, a shipped name or a .safetensors file.")
    ] = "default",
    check: Annotated[
        bool,
        typer.Option(
            help="Run the file with onnxruntime, if that is installed, and compare the noise."
        ),
    ] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace FILE.onnx if it exists.")] = False,
) -> None:
    """Write the generator's network as an ONNX file.

    The waves are drawn outside of it, with your key, which the file does not hold.

    Examples:

      unseg export --onnx generator.onnx

      unseg export --onnx generator.onnx --model mine.safetensors --no-check
    """
    from importlib.util import find_spec

    from unseg.errors import UnsegError
    from unseg.models.export import compared, export_onnx
    from unseg.models.registry import load_generator

    generator = load_generator(model)
    facts = export_onnx(generator, onnx, overwrite=overwrite)
    typer.echo(f"{onnx}: {facts['model_id']}, {onnx.stat().st_size / 1e6:.0f} MB")
    if not check:
        return
    if find_spec("onnxruntime") is None:
        typer.echo("not run, as onnxruntime is not installed: pip install onnxruntime")
        return
    same, apart = compared(generator, onnx)
    typer.echo(f"run by onnxruntime: {same:.2%} of the noise has the same sign, {apart:.1e} apart")
    if same < 0.99:
        raise UnsegError(f"{onnx} does not make the generator's noise: please report this")
