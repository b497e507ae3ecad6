"""Where the real recordings lie, and the ones that mutants are made from."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

from lob_pipeline.core.errors import BadInputError
from lob_pipeline.mutation.frames import BOOK_KINDS, TRADE, Frame, Recording
from lob_pipeline.mutation.wire import wire_of
from lob_pipeline.mutation.wrapped import stamp_of
from lob_pipeline.venues.detect import detect_file

ENVIRONMENT = "LOB_REAL_DATA"
BYBIT = "bybit_linear_ws"
USDM = "binance_usdm"
SPOT = "binance_spot"
CHECKED = "checksum_venues"


def recordings_root(named: Path | None = None) -> Path:
    """Return the folder of the recordings: the option, ``LOB_REAL_DATA``, or ``../shared/data`` beside the checkout.

    Raises ``BadInputError`` when there is none.
    """
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = named or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else beside)
    if not (root / BYBIT).is_dir() and not (root / USDM).is_dir():
        raise BadInputError(
            f"{root} holds no recordings ({BYBIT}/, {USDM}/): name their folder with --recordings or {ENVIRONMENT}"
        )
    return root


def bybit_ws(root: Path, symbol: str) -> Recording:
    """Return a Bybit websocket recording: book and trades, each with its receive times."""
    market, folder = f"bybit-linear.{symbol}", root / BYBIT
    wire, frames, names = wire_of("bybit-linear"), [], []
    for topic in (f"orderbook.200.{symbol}", f"publicTrade.{symbol}"):
        name = f"{topic}.ndjson"
        names.append(name)
        stamps = (folder / f"{topic}.recv_ts.txt").read_bytes().split(b"\n")
        lines = (folder / name).read_bytes().split(b"\n")
        frames += [wire.parse(line, name, recv) for line, recv in zip(lines, stamps, strict=False) if line]
    info = {"instruments-info.json": (folder / "instruments-info.json").read_bytes()}
    return Recording(f"bybit-{symbol}", market, tuple(frames), (tuple(names),), info)


def binance_lines(path: Path, until: bytes = b"") -> Iterator[bytes]:
    """Yield the lines of a gzipped recording, line ends removed, up to the receive stamp ``until``."""
    with gzip.open(path) as handle:
        for line in handle:
            if until and line[: len(until)] > until:
                return
            if line.strip():
                yield line.rstrip(b"\n")


def binance(root: Path, folder: str, market: str, names: tuple[str, ...], until: str = "") -> Recording:
    """Return raw Binance files that follow each other, up to the receive stamp that begins with ``until``."""
    wire, frames = wire_of(market.split(".")[0]), list[Frame]()
    files = tuple(name.removesuffix(".gz") + ".ndjson" for name in names)
    for name, file in zip(names, files, strict=True):
        frames += [wire.parse(line, file, b"") for line in binance_lines(root / folder / name, until.encode())]
    return Recording(f"{folder}-{names[0].removesuffix('.gz')}", market, tuple(frames), (files,))


def checked(root: Path, name: str, market: str) -> Recording:
    """Return one market of a wrapped OKX or Kraken recording, by receive time; tick and lot as the recording tells."""
    import zstandard

    venue, symbol = market.split(".")
    path, file, wire = root / CHECKED / f"{name}.jsonl.zst", f"{name}.ndjson", wire_of(venue)
    with path.open("rb") as handle:
        lines = zstandard.ZstdDecompressor().stream_reader(handle).read().split(b"\n")
    wanted = symbol.replace("-", "/") if venue == "kraken" else symbol
    frames = [wire.parse(lines[0], file, b"")]
    for line in lines[1:]:
        if wanted.encode() in line and line.startswith(b'{"t":"recv"'):
            frame = wire.parse(line, file, b"")
            if frame.kind in (*BOOK_KINDS, TRADE) and _symbol(frame) == wanted:
                frames.append(frame)
    frames[1:] = sorted(frames[1:], key=lambda frame: float(stamp_of(frame.prefix)))
    tick, lot = detect_file(path).grids.get(symbol, (None, None))
    return Recording(f"{name}-{symbol}".lower(), market, tuple(frames), ((file,),), tick=tick, lot=lot)


def _symbol(frame: Frame) -> str:
    return str(frame.body[-1]) if isinstance(frame.body, list) else str(frame.body["arg"]["instId"])
