"""Things that print and hash their own settings: victims, conditions and defences."""

from __future__ import annotations

from typing import Any, ClassVar


class Configured:
    """A named object whose behaviour follows from :meth:`settings` alone.

    ``settings`` goes into the content key of every result, so two objects with equal names and
    settings must behave alike.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    omitted: ClassVar[dict[str, Any]] = {}
    """Values that are left out of :meth:`settings`, so that results from before an attribute was
    added keep their keys."""

    def settings(self) -> dict[str, Any]:
        """JSON-ready settings: by default every public attribute set in the constructor."""
        public = {k: v for k, v in sorted(vars(self).items()) if not k.startswith("_")}
        return {k: v for k, v in public.items() if k not in self.omitted or v != self.omitted[k]}

    def __repr__(self) -> str:
        listed = ", ".join(f"{k}={v!r}" for k, v in self.settings().items())
        return f"{type(self).__name__}({listed})"
