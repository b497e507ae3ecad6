"""What the UI shows of a partition that is not there: the reason, the certificate and the pages, one click away."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from lob_pipeline.checks import KeyOutcome, plain
from lob_pipeline.lake.home import Home
from lob_pipeline.pages import page_link
from lob_pipeline.partitions import parse_key

if TYPE_CHECKING:
    from lob_pipeline.stages.dossier import Dossier

def with_reason(context: dg.AssetExecutionContext, outcome: KeyOutcome, home: Home) -> KeyOutcome:
    """Add to a key that was not published what ``settle`` logs at its partition: reason, certificate, pages.

    A page that cannot be written is logged and left out: the reason itself is in the failure and in the lake.
    """
    if not outcome.bad:
        return outcome
    from lob_pipeline.stages.dossier import dossier, write_day_page

    try:
        found = dossier(home, *parse_key(outcome.key))
        docs = next((Path(page) for name, page in outcome.links if name == "data_docs"), None)
        page = write_day_page(home, found, docs)
    except Exception as error:
        context.log.warning(f"{outcome.key}: its page could not be written ({error}): {traceback.format_exc()}")
        return outcome
    metadata: dict[str, Any] = {"why_not": dg.MetadataValue.md(in_markdown(found, outcome.error))}
    metadata["page"] = page_link(str(page))
    metadata.update({name: page_link(target) for name, target in outcome.links})
    if found.certificate is not None:
        metadata["certificate"] = dg.MetadataValue.json(plain(found.certificate))
    return replace(outcome, reason=metadata)


def in_markdown(found: Dossier, error: str = "") -> str:
    """Return a dossier's answer as Markdown: headline, refused gates, what to do."""
    root = found.root
    refused = [g for g in root["gates"] if g["status"] == "refused" and g["severity"] == "gate"] if root else []
    lines = [f"**{_literal(found.headline)}**", ""]
    if error and root is None:
        lines += [_literal(error), ""]
    lines += [f"- `{g['name']}`: {_literal(g['message'] or 'refused')}" for g in refused]
    lines += ["", "What to do:", "", *(f"- {sentence}" for sentence in found.advice)]
    return "\n".join(lines)


def _literal(text: str) -> str:
    """Return text that Markdown shows as it is: it may quote what stood in a file."""
    return "".join("\\" + c if c in "\\`*_{}[]<>#|!" else c for c in text)
