"""The result of one check. Every check in every room returns this and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["passed", "refused", "not_judged"]
Severity = Literal["gate", "warning"]


@dataclass(frozen=True)
class CheckOutcome:
    """What a check saw and what it says.

    ``rows_examined`` counts rows that were read, ``rows_judged`` those that could be judged (valid, warm).
    A check with fewer judged rows than ``minimum_judged`` never passes: it is ``not_judged``.
    A ``gate`` that is ``refused`` keeps the partition out of the lake; a ``warning`` is recorded and shown.
    """

    name: str
    status: Status
    rows_examined: int
    rows_judged: int
    minimum_judged: int = 1
    severity: Severity = "gate"
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status == "passed" and self.rows_judged < self.minimum_judged:
            raise ValueError(
                f"check {self.name!r} cannot pass on {self.rows_judged} rows (minimum {self.minimum_judged})"
            )

    @property
    def refuses(self) -> bool:
        """Whether this outcome keeps the partition out of the lake."""
        return self.severity == "gate" and self.status == "refused"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CheckOutcome:
        """Rebuild an outcome from ``to_json``."""
        return cls(**data)


def judge(
    name: str,
    ok: bool,
    *,
    examined: int,
    judged: int,
    minimum: int = 1,
    severity: Severity = "gate",
    message: str = "",
    facts: dict[str, Any] | None = None,
) -> CheckOutcome:
    """Build an outcome: ``refused`` when not ``ok``, else ``not_judged`` below the minimum, else ``passed``.

    Nothing passes on no row: a minimum is at least 1.
    """
    minimum = max(1, minimum)
    status: Status = "refused" if not ok else ("passed" if judged >= minimum else "not_judged")
    return CheckOutcome(name, status, examined, judged, minimum, severity, message, facts or {})
