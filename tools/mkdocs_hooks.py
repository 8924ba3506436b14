"""Hooks of mkdocs: links that leave docs/ lead to the repository, whose files are not part of the site."""

import re
from typing import Any

__all__ = ["on_page_markdown"]

REPOSITORY = "https://github.com/lightpose/lightpose/blob/main"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with `](../FILE)` replaced by the address of FILE in the repository."""
    return re.sub(r"\]\(\.\./([^)\s]+)\)", rf"]({REPOSITORY}/\1)", markdown)
