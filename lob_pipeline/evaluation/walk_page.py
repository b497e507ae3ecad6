"""The walk-forward report: one HTML file that opens without a network, the verdict and its reason on top."""

from __future__ import annotations

from html import escape
from typing import Any


def render(walk: dict[str, Any]) -> str:
    """Return the page of a walk-forward (shape: ``evaluation.walk``) as HTML text."""
    verdict = walk["verdict"]
    return f"<!doctype html><title>{escape(walk['market'])}</title><h1>{escape(verdict['verdict'])}</h1>"
