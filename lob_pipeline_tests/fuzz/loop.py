"""The loop: change an input that reached new code, keep what reaches more, judge every one."""

from __future__ import annotations

import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from lob_pipeline_tests.fuzz.targets import Target, examine

HANG_S = 10.0
"""An input of a few kilobytes that takes longer than this, traced, is one that does not end."""
_MOST_BYTES = 4096
_TOKENS = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r\n", b"\\", b"\\u0000", b"\\n", b" ", b"\t", b"\0", b"\xff",
    b"0", b"-1", b"1e9", b"1E-9", b"1e400", b"0.1", b".5", b"5.", b"00", b"9223372036854775807", b"9223372036854775808",
    b"99999999999999999999", b"18446744073709551616", b"0.00000000000000000001", b"1700000000000", b"9999999999999",
    b"1700000000000000000", b"9999999999999999999", b"null", b"true", b"false", b"nan", b"inf", b"[]", b"{}", b'""',
)  # fmt: skip


class HangError(Exception):
    """An input took too long."""


@dataclass
class Finding:
    """An input that broke a rule."""

    rule: str
    detail: str
    data: bytes


@dataclass
class Result:
    """What a run did. ``kept``: inputs that reached new code with the digest of their outcome."""

    runs: int = 0
    seed_edges: int = 0
    edges: int = 0
    findings: list[Finding] = field(default_factory=list)
    kept: list[tuple[bytes, str]] = field(default_factory=list)


class Coverage:
    """Line-to-line steps inside of ``venues``, as ``sys.settrace`` tells them."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int, int]] = set()
        self.fresh = 0
        self._last = 0

    def start(self) -> None:
        """Begin to watch."""
        self.fresh = 0
        sys.settrace(self._call)

    def stop(self) -> int:
        """Stop; return how many steps were new."""
        sys.settrace(None)
        return self.fresh

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        if "/venues/" not in frame.f_code.co_filename:
            return None
        self._last = 0
        return self._line

    def _line(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "line":
            step = (frame.f_code.co_filename, self._last, frame.f_lineno)
            self._last = frame.f_lineno
            if step not in self.seen:
                self.seen.add(step)
                self.fresh += 1
        return self._line


def mutate(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return ``data`` changed in one to four ways."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        at = rng.randrange(len(out) + 1)
        how = rng.random()
        if how < 0.15 and out:
            out[min(at, len(out) - 1)] ^= 1 << rng.randrange(8)
        elif how < 0.3:
            out[at : at + rng.choice((0, 0, 1, 4))] = rng.choice(_TOKENS)
        elif how < 0.45:
            _change_a_number(out, rng)
        elif how < 0.55:
            del out[at : at + rng.choice((1, 1, 2, 8, 40))]
        elif how < 0.7:
            _change_lines(out, rng)
        elif how < 0.85:
            source = rng.choice(others) if others and rng.random() < 0.6 else bytes(out)
            start = rng.randrange(len(source) + 1)
            out[at : at + rng.choice((0, 0, 16))] = source[start : start + rng.choice((2, 8, 40, 200))]
        elif how < 0.93:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 8))))
        else:
            del out[at:]
    return bytes(out[:_MOST_BYTES])


def _change_a_number(out: bytearray, rng: random.Random) -> None:
    digits = [k for k in range(len(out)) if 48 <= out[k] <= 57]
    if not digits:
        return
    at = rng.choice(digits)
    end = at
    while end < len(out) and 48 <= out[end] <= 57:
        end += 1
    out[at:end] = str(rng.choice((0, 1, 9, 10, 99, 10**12, 2**63 - 1, 2**63, 10**18, rng.randrange(10**9)))).encode()


def _change_lines(out: bytearray, rng: random.Random) -> None:
    lines = bytes(out).split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    how = rng.random()
    if how < 0.35:
        lines.insert(other, lines[at])
    elif how < 0.6:
        lines[at], lines[other] = lines[other], lines[at]
    elif how < 0.85:
        del lines[at]
    elif other != at:
        lines[at] += lines[other]
        del lines[other]
    out[:] = b"\n".join(lines)


def _late(_number: int, _frame: FrameType | None) -> None:
    raise HangError


def run(target: Target, seeds: list[bytes], seconds: float, seed: int, folder: Path) -> Result:
    """Fuzz a target for ``seconds``; the same seed gives the same inputs as far as it gets."""
    rng, coverage, result = random.Random(seed), Coverage(), Result()
    queue: list[bytes] = []
    ends = time.monotonic() + seconds
    rules: set[str] = set()
    signal.signal(signal.SIGALRM, _late)

    def one(data: bytes) -> bool:
        digest, broken = "", []
        coverage.start()
        signal.setitimer(signal.ITIMER_REAL, HANG_S)
        try:
            digest, found = examine(target, data, folder)
            broken = [(b.rule, b.detail) for b in found]
        except HangError:
            broken = [("every input ends", f"more than {HANG_S} s")]
        except Exception as error:
            sys.settrace(None)
            where = traceback.extract_tb(error.__traceback__)[-1]
            broken = [(f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}", str(error)[:300])]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            fresh = coverage.stop()
        result.runs += 1
        for rule, detail in broken:
            if rule not in rules:
                rules.add(rule)
                result.findings.append(Finding(rule, detail, data))
        if fresh and not broken:
            result.kept.append((data, digest))
        return fresh > 0

    for data in seeds:
        one(data)
        queue.append(data)
    result.seed_edges = len(coverage.seen)
    while time.monotonic() < ends:
        recent = queue[-8:] if rng.random() < 0.5 else queue
        data = mutate(rng.choice(recent), queue, rng)
        if one(data):
            queue.append(data)
    result.edges = len(coverage.seen)
    return result
