"""Data sets in their own folder layouts: one small file a layout, each a :class:`Reading`."""

from unseg.datasets.base import Reading

__all__ = ["Reading"]
