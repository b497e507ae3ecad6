"""What OKX and Kraken answer, and the topics of their messages. Both are played once, as recorded.

A book as it stands cannot be sent: its checksum would have to be made anew. Who subscribes late waits for the
recording's next snapshot, if it has one.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lob_pipeline.sim.talk import Said

_OKX_ARG = re.compile(rb'"arg":\s?\{"channel":\s?"([^"]+)",\s?"instId":\s?"([^"]+)"')
_KRAKEN_TAIL = re.compile(rb'"([a-zA-Z]+(?:-\d+)?)",\s?"([^"]+)"\]\Z')


def okx_topic(payload: bytes) -> str:
    """Return ``channel:instrument`` of an OKX message, empty for talk."""
    found = _OKX_ARG.search(payload) if b'"event"' not in payload[:60] else None
    return f"{found[1].decode()}:{found[2].decode()}" if found else ""


def kraken_topic(payload: bytes) -> str:
    """Return ``book-100:XBT/USD`` of a Kraken v1 message, empty for talk."""
    found = _KRAKEN_TAIL.search(payload) if payload[:1] == b"[" else None
    return f"{found[1].decode()}:{found[2].decode()}" if found else ""


def hear_okx(said: dict[str, Any]) -> Said:
    """Answer one message of OKX's v5 public protocol: each topic of a request by a line of its own."""
    op = said.get("op")
    args = [arg for arg in said.get("args") or [] if isinstance(arg, dict)]
    topics = [f"{arg.get('channel')}:{arg.get('instId')}" for arg in args]
    if op not in ("subscribe", "unsubscribe"):
        error = {"event": "error", "code": "60012", "msg": f"Invalid request: {json.dumps(said)}", "connId": "loopback"}
        return Said([json.dumps(error).encode()])
    number = {"id": said["id"]} if "id" in said else {}
    lines = [json.dumps({**number, "event": op, "arg": arg, "connId": "loopback"}).encode() for arg in args]
    return Said(lines, subscribed=topics) if op == "subscribe" else Said(lines, unsubscribed=topics)


def hear_kraken(said: dict[str, Any]) -> Said:
    """Answer one message of Kraken's v1 protocol: each pair of a request by a line of its own."""
    event = said.get("event")
    number = {"reqid": said["reqid"]} if "reqid" in said else {}
    if event == "ping":
        return Said([json.dumps({"event": "pong", **number}).encode()])
    wanted = said.get("subscription")
    if event not in ("subscribe", "unsubscribe") or not isinstance(wanted, dict):
        return Said([json.dumps({"event": "error", "errorMessage": "Malformed request", **number}).encode()])
    channel = str(wanted.get("name"))
    if channel == "book":
        channel = f"book-{wanted.get('depth', 10)}"
    status = {"event": "subscriptionStatus", "status": f"{event}d", "subscription": wanted, "channelName": channel}
    pairs = [str(pair) for pair in said.get("pair") or []]
    lines = [json.dumps({"channelID": i, **status, "pair": pair, **number}).encode() for i, pair in enumerate(pairs)]
    topics = [f"{channel}:{pair}" for pair in pairs]
    return Said(lines, subscribed=topics) if event == "subscribe" else Said(lines, unsubscribed=topics)
