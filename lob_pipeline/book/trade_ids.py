"""Trade ids: each once; where they are numbers, without gaps and rising with the stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from lob_pipeline.book.state import Int64Array
from lob_pipeline.core.outcome import CheckOutcome, judge


class TradeIds:
    """Judges the day's ids. ``ids``: (rows, different ids), None where it was not counted.

    ``numbers``: the ids as int64, None where they are no numbers (Bybit's are UUIDs).
    """

    def __init__(self, ids: tuple[int, int] | None, numbers: Int64Array | None) -> None:
        self.rows = len(numbers) if numbers is not None else ids[0] if ids is not None else 0
        self.numeric = numbers is not None and len(numbers) > 0
        self.gaps = self.missing = self.falls = self.duplicates = 0
        if numbers is not None and len(numbers):
            steps = np.diff(np.unique(numbers))
            self.gaps, self.missing = int((steps > 1).sum()), int((steps - 1).sum())
            self.duplicates = len(numbers) - len(steps) - 1
            self.falls = int((np.diff(numbers) < 0).sum())
        elif ids is not None:
            self.duplicates = ids[0] - ids[1]

    def outcomes(self) -> list[CheckOutcome]:
        """Return ``trade_ids_unique``, and the warning ``trade_ids_complete`` where ids are numbers."""
        out = [
            judge(
                "trade_ids_unique",
                self.duplicates == 0,
                examined=self.rows,
                judged=self.rows,
                message=f"{self.duplicates} of {self.rows} trades have the id of another" if self.duplicates else "",
            )
        ]
        if self.numeric:
            out.append(
                judge(
                    "trade_ids_complete",
                    self.gaps == 0 and self.falls == 0,
                    examined=self.rows,
                    judged=self.rows,
                    severity="warning",
                    message=f"{self.missing} trade ids are missing at {self.gaps} places, ids fall {self.falls} times",
                )
            )
        return out

    def facts(self) -> dict[str, Any]:
        """Return the certificate's ``trade_ids``."""
        return {
            "trade_ids": {
                "numeric": self.numeric,
                "gaps": self.gaps,
                "missing": self.missing,
                "falls": self.falls,
                "duplicates": self.duplicates,
            }
        }
