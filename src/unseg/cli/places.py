"""Options on where images lie and who does the work: folders, addresses, shards, engines."""

from __future__ import annotations

import typer

from unseg.storage.stores import as_place

INPUTS = typer.Argument(
    metavar="INPUT",
    parser=as_place,
    help="Images, or folders of them; addresses such as s3://bucket/photos; WebDataset shards.",
)
OUTPUT = typer.Option(
    "--output",
    "-o",
    metavar="PATH",
    parser=as_place,
    help="Folder or address to write to; it mirrors the tree of each input folder. For a single "
    "image, this may be a file name.",
)
MASKS = typer.Option(
    metavar="PATH",
    parser=as_place,
    help="Folder of masks named like the images (unseg masks draws them), or annotations as with "
    "--boxes. Images without are protected where --find says, which protects less.",
)
ENGINE = typer.Option(
    metavar="serial|ray|NAME",
    help="Who does the work: serial, this process; ray, a pool of processes on this machine or a "
    "cluster; or your own module:Name.",
)
WORKERS = typer.Option(
    min=1,
    help="With --engine ray, how many processes hold the model. Default: one for each GPU, or "
    "else for each processor.",
)
MANIFEST = typer.Option(help="parquet writes the manifest in Parquet, too, for large runs.")
