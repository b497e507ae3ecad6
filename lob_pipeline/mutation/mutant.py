"""What a defect is here: a number of the catalogue, doses, and where it applies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lob_pipeline.mutation.frames import Recording
from lob_pipeline.mutation.wire import Wire


@dataclass(frozen=True)
class Mutant:
    """A mutated recording.

    ``at``: index of the first damaged frame of the clean one; ``clean``: what to compare with where that is no base.
    """

    recording: Recording
    at: int
    clean: Recording | None = None


DEPTHS = "depths"
"""What a base has that holds two depths of one book, recorded side by side."""

Strength = Literal["full", "small", "disguised"]
Make = Callable[[Recording, Wire, np.random.Generator], Mutant | None]
"""Makes one mutant at a random place; None where the recording has no such place."""


@dataclass(frozen=True)
class Dose:
    """One strength of a defect. ``make``: its mutator.

    ``strength``: ``full`` (as the defect happens: everything, or a span), ``small`` (down to one message, one level,
    one trade), ``disguised`` (ids rewritten too, so that no chain tells and only an independent source can).
    ``trades``: better put where trades are many enough to be judged. ``needs``: what a base must have for this dose.
    """

    name: str
    make: Make
    strength: Strength = "full"
    trades: bool = False
    needs: str = ""


@dataclass(frozen=True)
class Defect:
    """One line of the catalogue.

    ``how``: the corruption in words. ``doses``: strongest first. ``not_on``: venue -> why it cannot occur there.
    ``needs``: what a base recording must have (``midnight``), see ``bases``.
    """

    number: int
    title: str
    how: str
    doses: Sequence[Dose]
    not_on: dict[str, str] = field(default_factory=dict)
    needs: str = ""


def span(rng: np.random.Generator, indices: Sequence[int], share: float = 0.2) -> list[int]:
    """Return a random contiguous part of the indices; none where that would be less than two: one is no span."""
    length = int(len(indices) * share)
    if length < 2:
        return []
    begin = int(rng.integers(0, max(1, len(indices) - length)))
    return list(indices[begin : begin + length])


def one(rng: np.random.Generator, indices: Sequence[int]) -> list[int]:
    """Return one of the indices, none where there are none."""
    return [indices[int(rng.integers(0, len(indices)))]] if len(indices) else []
