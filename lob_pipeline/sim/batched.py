"""The same events as a venue with a clock would show them: every step the levels that have changed since the last."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.columns import Columns
from lob_pipeline.core.tables import KIND_DELTA, KIND_SNAPSHOT


def batched(events: Columns, step_ns: int) -> Columns:
    """Return unbatched ``l2_events`` (``UnbatchedFeed``) as one message a step, stamped at the step's end.

    A level that is back at what was last shown is left out, and a step without changes is silent. No ``seq``: what is
    ordered is time.
    """
    time_ns, side = np.asarray(events["ts_event_ns"], np.int64), np.asarray(events["side"], np.int8)
    price, lots = np.asarray(events["price_ticks"], np.int64), np.asarray(events["size_lots"], np.int64)
    step = time_ns // step_ns
    order = np.lexsort((np.arange(len(step)), step, price, side))  # level by level, step by step, row by row
    level = np.stack([side[order], price[order]])
    other_level = np.append(np.any(np.diff(level, axis=1) != 0, axis=0), True)
    last = order[other_level | np.append(np.diff(step[order]) != 0, True)]
    new_level = np.insert(np.any(np.diff(np.stack([side[last], price[last]]), axis=1) != 0, axis=0), 0, True)
    shown = np.where(new_level, 0, np.concatenate([[0], lots[last][:-1]]))
    kept = last[lots[last] != shown]
    kept = kept[np.lexsort((kept, step[kept]))]
    first: npt.NDArray[np.bool_] = np.insert(np.diff(step[kept]) != 0, 0, True)
    number = np.cumsum(first)
    kind = np.where(number == 1, KIND_SNAPSHOT, KIND_DELTA).astype(np.int8)
    return {
        "ts_event_ns": (step[kept] + 1) * step_ns,
        "ts_recv_ns": np.zeros(len(kept), np.int64),
        "update_id": number,
        "prev_update_id": np.where(kind == KIND_SNAPSHOT, -1, number - 1),
        "seq": np.full(len(kept), -1, np.int64),
        "kind": kind,
        "side": side[kept],
        "price_ticks": price[kept],
        "size_lots": lots[kept],
        "first_in_message": first,
    }
