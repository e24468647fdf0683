"""Three spellings of our docstrings that the documentation would show wrongly.

Griffe takes the first of ``{"a", "b"}`` for the default, whatever stands behind the braces,
Markdown shows both colons of a ``::`` that announces a block, and takes ``<q, k>`` for a tag.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

CHOICES = re.compile(r"^(?P<head> *[\w, ]+ : )\{(?P<choices>[^}\n]+)\}", re.MULTILINE)
ANNOUNCED = re.compile(r":: *$", re.MULTILINE)
# Code between backticks and inner products outside of it; blocks are told apart line by line.
SPAN_OR_PRODUCT = re.compile(r"(?P<span>(`+)(?!`).*?(?<!`)\2(?!`))|<(?=/?[A-Za-z])")


def spelled_out(match: re.Match[str]) -> str:
    """Return the line with "a or b" in place of the braces."""
    return match["head"] + match["choices"].replace(", ", " or ")


def inner_products(text: str) -> str:
    """Return the text with the `<` of inner products escaped, but for code and blocks."""
    lines, block = list[str](), -1
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent <= block:
            block = -1
        if block < 0 and not line.lstrip().startswith(">>>"):
            line = SPAN_OR_PRODUCT.sub(lambda found: found["span"] or "&lt;", line)
        if block < 0 and line.rstrip().endswith("::"):
            block = indent
        lines.append(line)
    return "\n".join(lines)


class Docstrings(griffe.Extension):
    """Rewrites docstrings before they are parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            text = CHOICES.sub(spelled_out, inner_products(obj.docstring.value))
            text = re.sub(r"^ *:: *\n", "", text, flags=re.MULTILINE)
            obj.docstring.value = ANNOUNCED.sub(":", text)
