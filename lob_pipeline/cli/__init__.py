"""The ``lob`` command: thin. A command converts its words, calls one function of ``stages``, prints what came back."""

from __future__ import annotations

from lob_pipeline.cli.app import main

__all__ = ["main"]
