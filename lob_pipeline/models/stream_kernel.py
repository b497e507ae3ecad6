"""One row through the network in compiled float32: cached keys and values, no torch, no fused or reordered sums.

Every sum runs in a fixed order: over inputs by their number, over the window by age (oldest first), never by the place
in the ring. So a forecast is, bit for bit, a function of the last ``receptive_field`` rows, whoever calls and whenever
the cache began. Products are accumulated over output lanes (``out[j] += x[i]·w[i, j]``), which vectorises as it stands.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lob_pipeline.core.borrow import borrowed
from lob_pipeline.core.jit import njit
from lob_pipeline.datasets.normalise import normalise_row
from lob_pipeline.models.answers import AnswerRule, answer_row

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Layers(NamedTuple):
    """Weights, C order, inputs first (transposed from torch's); the leading axis is the layer where there is one."""

    input_w: Floats  # (F, d)
    input_b: Floats  # (d,)
    norm1: Floats  # (layers, 2, d) scale, shift
    qkv_w: Floats  # (layers, d, 3 d)
    qkv_b: Floats  # (layers, 3 d)
    age_bias: Floats  # (layers, heads, window)
    out_w: Floats  # (layers, d, d)
    out_b: Floats  # (layers, d)
    norm2: Floats  # (layers, 2, d)
    up_w: Floats  # (layers, d, ff)
    up_b: Floats  # (layers, ff)
    down_w: Floats  # (layers, ff, d)
    down_b: Floats  # (layers, d)
    norm: Floats  # (2, d)
    gate_w: Floats  # (d, blocks); zeros without a gate
    gate_b: Floats  # (blocks,)
    head_up_w: Floats  # (d, blocks · hidden)
    head_up_b: Floats  # (blocks · hidden,)
    head_down_w: Floats  # (blocks · hidden, outputs)
    head_down_b: Floats  # (blocks, outputs)


class Scale(NamedTuple):
    """The normaliser's arrays: bool (F,), float32 (F,), float32 (F,)."""

    asinh: npt.NDArray[np.bool_]
    mean: Floats
    scale: Floats


class Cache(NamedTuple):
    """The stream's state: keys (layers, d, window), values (layers, window, d), and rows seen since the reset (1,)."""

    keys: Floats
    values: Floats
    seen: npt.NDArray[np.int64]


@njit(cache=True)
def _affine(x: Floats, w: Floats, b: Floats, out: Floats) -> None:
    """out = b + x @ w with w (inputs, outputs); inputs are added in order, eight to a pass."""
    inputs, outputs = w.shape
    for j in range(outputs):
        out[j] = b[j]
    i = 0
    while i + 8 <= inputs:
        x0, x1, x2, x3, x4, x5, x6, x7 = x[i], x[i + 1], x[i + 2], x[i + 3], x[i + 4], x[i + 5], x[i + 6], x[i + 7]
        w0, w1, w2, w3, w4, w5, w6, w7 = w[i], w[i + 1], w[i + 2], w[i + 3], w[i + 4], w[i + 5], w[i + 6], w[i + 7]
        for j in range(outputs):
            total = out[j] + x0 * w0[j] + x1 * w1[j] + x2 * w2[j] + x3 * w3[j]
            out[j] = total + x4 * w4[j] + x5 * w5[j] + x6 * w6[j] + x7 * w7[j]
        i += 8
    while i < inputs:
        x0, w0 = x[i], w[i]
        for j in range(outputs):
            out[j] += x0 * w0[j]
        i += 1


@njit(cache=True)
def _layer_norm(x: Floats, scale_shift: Floats, out: Floats) -> None:
    """Layer normalisation with torch's epsilon 1e-5; both sums run in order."""
    n = x.size
    total = np.float32(0.0)
    for j in range(n):
        total += x[j]
    mean = total / np.float32(n)
    total = np.float32(0.0)
    for j in range(n):
        total += (x[j] - mean) * (x[j] - mean)
    inverse = np.float32(1.0) / np.float32(math.sqrt(total / np.float32(n) + np.float32(1e-5)))
    for j in range(n):
        out[j] = (x[j] - mean) * inverse * scale_shift[0, j] + scale_shift[1, j]


@njit(cache=True)
def _softmax(x: Floats) -> None:
    """Softmax in place; the sum runs from the first to the last."""
    top = x[0]
    for j in range(1, x.size):
        top = max(top, x[j])
    total = np.float32(0.0)
    for j in range(x.size):
        x[j] = np.float32(math.exp(np.float32(x[j] - top)))
        total += x[j]
    share = np.float32(1.0) / total
    for j in range(x.size):
        x[j] *= share


@njit(cache=True)
def _attend(
    qkv: Floats, keys: Floats, values: Floats, age_bias: Floats, seen: int, by_slot: Floats, by_age: Floats, out: Floats
) -> None:
    """Store this row's key and value in slot ``seen mod window``; out = attention over what the window holds."""
    d, window = keys.shape
    heads = age_bias.shape[0]
    width = d // heads
    here = seen % window
    for j in range(d):
        keys[j, here] = qkv[d + j]
        values[here, j] = qkv[2 * d + j]
    count = min(seen + 1, window)
    shrink = np.float32(1.0) / np.float32(math.sqrt(np.float32(width)))
    for head in range(heads):
        by_slot[:] = np.float32(0.0)
        for j in range(head * width, (head + 1) * width):
            q, key = qkv[j] * shrink, keys[j]
            for slot in range(window):
                by_slot[slot] += q * key[slot]
        scores = by_age[:count]  # oldest first
        for i in range(count):
            age = count - 1 - i
            slot = here - age
            scores[i] = by_slot[slot if slot >= 0 else slot + window] + age_bias[head, age]
        _softmax(scores)
        part = out[head * width : (head + 1) * width]
        part[:] = np.float32(0.0)
        for i in range(count):
            slot = here - (count - 1 - i)
            value, share = values[slot if slot >= 0 else slot + window, head * width : (head + 1) * width], scores[i]
            for j in range(width):
                part[j] += share * value[j]


@njit(cache=True)
def _relu(x: Floats) -> None:
    for j in range(x.size):
        x[j] = max(x[j], np.float32(0.0))


@njit(cache=True)
def _head(x: Floats, w: Layers, gate: Floats, hidden: Floats, raw: Floats) -> None:
    """Gate, experts and answers of one final state; what an expert computes is weighted by its gate, then summed."""
    blocks = gate.size
    _affine(x, w.gate_w, w.gate_b, gate)
    _softmax(gate)
    _affine(x, w.head_up_w, w.head_up_b, hidden)
    _relu(hidden)
    each = hidden.size // blocks
    raw[:] = np.float32(0.0)
    for e in range(blocks):
        share = gate[e]
        for j in range(each):
            hidden[e * each + j] *= share
        for j in range(raw.size):
            raw[j] += share * w.head_down_b[e, j]
    _affine(hidden, w.head_down_w, raw.copy(), raw)


@njit(cache=True)
def run_rows(
    w: Layers,
    normaliser: Scale,
    rule: AnswerRule,
    cache: Cache,
    rows: Floats,
    valid: Mask,
    forecast: Floats,
    ready: Mask,
) -> None:
    """Take raw feature rows (n, F) through the network in order; write forecasts (n, 15) and readiness (n,).

    An invalid row, or one with a number that is not finite, gives NaN and empties the cache.
    """
    layers, d, window = cache.keys.shape
    inputs = w.input_w.shape[0]
    x, normed = np.empty(d, np.float32), np.empty(d, np.float32)
    mixed, part = np.empty(d, np.float32), np.empty(d, np.float32)
    row, qkv, up = np.empty(inputs, np.float32), np.empty(3 * d, np.float32), np.empty(w.up_b.shape[1], np.float32)
    by_slot, by_age = np.empty(window, np.float32), np.empty(window, np.float32)
    gate, hidden = np.empty(w.gate_b.size, np.float32), np.empty(w.head_up_b.size, np.float32)
    raw = np.empty(w.head_down_b.shape[1], np.float32)
    for n in range(rows.shape[0]):
        usable = valid[n]
        for j in range(inputs):
            usable = usable and math.isfinite(rows[n, j])
        if not usable:
            cache.seen[0] = 0
            forecast[n] = np.nan
            ready[n] = False
            continue
        normalise_row(rows[n], normaliser.asinh, normaliser.mean, normaliser.scale, row)
        _affine(row, w.input_w, w.input_b, x)
        for layer in range(layers):
            _layer_norm(x, w.norm1[layer], normed)
            _affine(normed, w.qkv_w[layer], w.qkv_b[layer], qkv)
            keys, values = cache.keys[layer], cache.values[layer]
            _attend(qkv, keys, values, w.age_bias[layer], cache.seen[0], by_slot, by_age, mixed)
            _affine(mixed, w.out_w[layer], w.out_b[layer], part)
            for j in range(d):
                x[j] += part[j]
            _layer_norm(x, w.norm2[layer], normed)
            _affine(normed, w.up_w[layer], w.up_b[layer], up)
            _relu(up)
            _affine(up, w.down_w[layer], w.down_b[layer], part)
            for j in range(d):
                x[j] += part[j]
        _layer_norm(x, w.norm, normed)
        _head(normed, w, gate, hidden, raw)
        answer_row(raw, rule, forecast[n])
        cache.seen[0] += 1
        ready[n] = cache.seen[0] >= window


__all__ = ["Cache", "Layers", "Scale", "borrowed", "run_rows"]
