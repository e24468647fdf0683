"""Two spellings of our docstrings that the documentation would show wrongly.

Griffe takes the first of ``{"a", "b"}`` for the default, whatever stands behind the braces, and
Markdown shows both colons of a ``::`` that announces a block.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

CHOICES = re.compile(r"^(?P<head> *[\w, ]+ : )\{(?P<choices>[^}\n]+)\}", re.MULTILINE)
ANNOUNCED = re.compile(r":: *$", re.MULTILINE)


def spelled_out(match: re.Match[str]) -> str:
    """Return the line with "a or b" in place of the braces."""
    return match["head"] + match["choices"].replace(", ", " or ")


class Docstrings(griffe.Extension):
    """Rewrites docstrings before they are parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            text = CHOICES.sub(spelled_out, obj.docstring.value)
            text = re.sub(r"^ *:: *\n", "", text, flags=re.MULTILINE)
            obj.docstring.value = ANNOUNCED.sub(":", text)
