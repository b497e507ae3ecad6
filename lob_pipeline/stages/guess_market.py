"""Which market a recording is of, told from its content."""

from __future__ import annotations

from pathlib import Path

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.core.instrument import Market
from lob_pipeline.venues.detect import FileInfo, detect_file

_BESIDE = (".recv_ts.txt", ".md", "instruments-info.json", "truth.json", ".sha256")


def recorded_files(paths: list[Path], market: Market | None) -> list[Path]:
    """Return the recorded files: a folder stands for the recordings in it (of ``market``, where it is named).

    Raises ``BadInputError`` for a path that is absent and for a folder without a recording.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [p for p in sorted(path.iterdir()) if p.is_file() and not p.name.endswith(_BESIDE)]
        if market is not None:
            inside = [p for p in inside if market in detect_file(p).markets]
        if not inside:
            raise BadInputError(f"{path} holds no recording{f' of {market}' if market else ''}: name a recorded file")
        found.extend(inside)
    return found


def market_of(files: list[Path], market: Market | None) -> tuple[Market, str]:
    """Return the market of the files and, where it is a guess, one sentence that says so.

    Raises ``BadInputError`` when they hold several symbols or share no market.
    """
    if market is not None:
        return market, ""
    infos = [detect_file(path) for path in files]
    symbols = sorted({s for info in infos for s in info.symbols})
    if len(symbols) > 1:
        likely = sorted({str(m) for info in infos for m in info.markets})
        raise BadInputError(
            f"{', '.join(str(f) for f in files)}: several symbols ({', '.join(symbols)}); choose one with --market, "
            f"for example --market {likely[0]}"
        )
    shared = [m for m in _markets(infos) if all(m in _markets([info]) for info in infos)]
    if not shared:
        raise BadInputError(
            f"{', '.join(str(f) for f in files)}: the content does not tell the market; name it with --market"
        )
    others = ", ".join(str(m) for m in shared[1:])
    guess = f"taken as {shared[0]}; its messages could also be of {others}: say so with --market" if others else ""
    return shared[0], guess


def _markets(infos: list[FileInfo]) -> list[Market]:
    return list(dict.fromkeys(m for info in infos for m in info.markets))
