"""Bybit's trade archive, read completely: the header, and the rows that ``venues.bybit_csv_kernel`` leaves over."""

from __future__ import annotations

from decimal import Decimal

from lob_pipeline.core.tables import FLAG_RPI
from lob_pipeline.core.units import NS_PER_S
from lob_pipeline.venues import bybit_csv_kernel as kernel
from lob_pipeline.venues import job as card
from lob_pipeline.venues.job import Job
from lob_pipeline.venues.lines import Reader, UnreadableError, add_trade, shown

_MEANINGS = {
    "timestamp": kernel.TIME,
    "symbol": kernel.SYMBOL,
    "side": kernel.TAKER,
    "size": kernel.SIZE,
    "price": kernel.PRICE,
    "trdMatchID": kernel.ID,
    "RPI": kernel.RPI,
}
_REQUIRED = ("timestamp", "symbol", "side", "size", "price", "trdMatchID")


def is_header(line: bytes) -> bool:
    """Whether ``line`` is the header of a trade archive."""
    names = line.decode("utf-8", "replace").removesuffix("\r").split(",")
    return set(_REQUIRED) <= set(names)


def _read_header(line: bytes, job: Job) -> None:
    names = line.decode("ascii").removesuffix("\r").split(",")
    if len(set(names)) != len(names) or len(names) > kernel.MAX_COLUMNS:
        raise UnreadableError("a header of different column names", shown(line.decode("ascii")))
    for k, name in enumerate(names):
        job.card[card.FIELDS + k] = _MEANINGS.get(name, kernel.IGNORED)


def read_line(line: bytes, offset: int, job: Job) -> None:
    """Append the row of one line to the job's. Raises ``UnreadableError``, and then has appended nothing.

    The first line must be the header: it is written to the job's card and yields no row.
    """
    meanings = [int(m) for m in job.card[card.FIELDS :] if m]
    line = line.removesuffix(b"\r")
    odd = [k for k, c in enumerate(line) if not 32 <= c <= 126 or c == 34]
    if odd:
        raise UnreadableError("unquoted printable ASCII text", f"byte {line[odd[0]]:#04x}", odd[0])
    if not meanings:
        if not is_header(line):
            raise UnreadableError("a header with " + ",".join(_REQUIRED), shown(line.decode("ascii")))
        _read_header(line, job)
        return
    cells = line.decode("ascii").split(",")
    if len(cells) != len(meanings):
        raise UnreadableError(f"{len(meanings)} columns as in the header", f"{len(cells)}: {shown(line.decode())}")
    cell = dict(zip(meanings, cells, strict=True))
    reader = Reader(line, job)
    if cell[kernel.SYMBOL] != job.instrument.market.symbol:
        raise reader.wrong(f"symbol {job.instrument.market.symbol}", cell[kernel.SYMBOL])
    if cell[kernel.TAKER] not in ("Buy", "Sell"):
        raise reader.wrong("side Buy or Sell", cell[kernel.TAKER])
    if not cell[kernel.ID]:
        raise UnreadableError("a trade id", "an empty cell")
    rpi = cell.get(kernel.RPI, "0")
    if rpi not in ("0", "1"):
        raise reader.wrong("RPI 0 or 1", rpi)
    row = (
        _seconds(reader, cell[kernel.TIME]),
        -1,
        cell[kernel.ID],
        1 if cell[kernel.TAKER] == "Buy" else -1,
        reader.ticks(cell[kernel.PRICE]),
        reader.lots(cell[kernel.SIZE]),
        FLAG_RPI if rpi == "1" else 0,
    )
    job.card[card.N_ROUNDED] += reader.rounded
    add_trade(job, offset, int(job.card[card.RECV_NS_HERE]), *row)


def _seconds(reader: Reader, text: str) -> int:
    """Return decimal seconds (1.733e9 too, as some archives print them) in nanoseconds."""
    try:
        value = Decimal(text)
    except ArithmeticError as error:
        raise reader.wrong("a time in seconds", text) from error
    if not value.is_finite() or not 10**9 <= value < 9 * 10**9 or value * NS_PER_S != int(value * NS_PER_S):
        raise reader.wrong("a time in seconds (10 digits, at most 9 decimals)", text)
    return int(value * NS_PER_S)
