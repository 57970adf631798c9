"""Data sets in their own folder layouts: one small file a layout, each a :class:`Reading`."""

from unseg.data.formats.base import Reading

__all__ = ["Reading"]
