"""What every HTML page of the package shares: one file, no network, figures as JSON in which no tag can end.

Everything that came from a file or a command line is escaped by whoever makes the element. The page carries plotly's
script, so it weighs about 5 MB and needs nothing else. It follows the reader's light or dark setting.
"""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import Any

from lob_pipeline.evaluation.figures import Figure

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def json_for_script(data: Any) -> str:
    """Return JSON that is safe inside a script element: no ``<``, ``>``, ``&`` or line separator survives."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _asset(name: str) -> str:
    return resources.files("lob_pipeline.evaluation").joinpath("page", name).read_text("utf-8")


class Sheet:
    """Hands out figure elements and remembers their data for the end of the page."""

    def __init__(self, commands: dict[str, str]) -> None:
        self.commands = commands
        self.scripts: list[str] = []

    def made_by(self, key: str) -> str:
        """Return the sentence that names the command of a figure or table; empty where none is known."""
        return f" Made by <code>{escape(self.commands[key])}</code>." if key in self.commands else ""

    def element(self, key: str, spec: Figure, caption: str) -> str:
        """Return a figure with its caption and the command that makes it again."""
        name = f"figure-{len(self.scripts) + 1}"
        self.scripts.append(f'<script type="application/json" id="{name}">{json_for_script(spec)}</script>')
        height = int(spec["layout"]["height"])
        return (
            f'<figure><div class="plot" data-figure="{name}" style="height:{height}px"></div>'
            f"<figcaption>{escape(caption)}{self.made_by(key)}</figcaption></figure>"
        )

    def document(self, title: str, body: str) -> str:
        """Return the whole page as HTML text. ``body`` holds the elements that this sheet handed out."""
        from plotly.offline import get_plotlyjs  # takes most of a second: only where a page is written

        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{_asset("page.css")}</style>
</head>
<body>
{body}
{"".join(self.scripts)}
<script>{get_plotlyjs()}</script>
<script>{_asset("page.js")}</script>
</body>
</html>
"""


def bullet_list(items: list[str], kind: str) -> str:
    """Return escaped list items of one kind: ``yes``, ``no`` or ``none``."""
    return "".join(f'<li class="{kind}">{escape(item)}</li>' for item in items)


def fact(name: str, value: str, unit: str = "") -> str:
    """Return one entry of a list of facts."""
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(unit)}</small></dd></div>"
