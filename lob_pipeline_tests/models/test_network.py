"""The encoder: bands equal the plain formula, the future and the far past change nothing, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lob_pipeline.models.config import ModelConfig, receptive_field
from lob_pipeline.models.network import BandedAttention, build
from lob_pipeline_tests.models.samples import tiny

torch.set_num_threads(1)


def naive_attention(module: BandedAttention, x: torch.Tensor) -> torch.Tensor:
    """Every row against every row, one head at a time, with the window cut out of the whole square."""
    batch, length, d = x.shape
    width = d // module.heads
    q, k, v = module.qkv(x).split(d, dim=-1)
    out = torch.zeros_like(x)
    for b in range(batch):
        for h in range(module.heads):
            part = slice(h * width, (h + 1) * width)
            for i in range(length):
                ages = range(min(i + 1, module.window))
                dots = [q[b, i, part] @ k[b, i - a, part] / math.sqrt(width) + module.age_bias[h, a] for a in ages]
                shares = torch.stack(dots).softmax(0)
                out[b, i, part] = sum(w * v[b, i - a, part] for w, a in zip(shares, ages, strict=True))
    return module.out(out)


@pytest.mark.parametrize(("window", "length"), [(1, 5), (8, 40), (8, 64), (40, 70), (64, 33)])
def test_bands_equal_the_plain_formula(window: int, length: int) -> None:
    torch.manual_seed(1)
    module = BandedAttention(ModelConfig(4, d_model=8, heads=2, window=window))
    torch.nn.init.normal_(module.age_bias)
    x = torch.randn(2, length, 8)
    with torch.no_grad():
        torch.testing.assert_close(module(x), naive_attention(module, x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("head", ["moe", "dense", "signed_edge"])
def test_the_future_changes_nothing(head: str) -> None:
    network = build(tiny(head)[0], 0).eval()
    x = torch.randn(1, 100, 10)
    changed = x.clone()
    changed[:, 60:] = torch.randn(1, 40, 10) * 9
    with torch.no_grad():
        before, after = network(x)[0], network(changed)[0]
    assert torch.equal(before[:, :60], after[:, :60])
    assert not torch.equal(before[:, 60], after[:, 60])


def test_rows_older_than_the_receptive_field_change_nothing() -> None:
    config = tiny()[0]
    network, reach = build(config, 0).eval(), receptive_field(config)
    x = torch.randn(1, 100, 10)
    changed = x.clone()
    changed[:, 49] += 1.0
    with torch.no_grad():
        moved = (network(x)[0] != network(changed)[0]).any(-1)[0]
    assert not moved[:49].any()
    assert moved[49 : 49 + reach].sum() > reach // 2
    assert not moved[49 + reach :].any()


def test_the_router_stays_in_float32_under_autocast() -> None:
    network = build(tiny()[0], 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(torch.randn(1, 16, 10))[1]
    assert logits is not None
    assert logits.dtype == torch.float32


def test_the_same_seed_builds_the_same_weights_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two = build(tiny()[0], 7).state_dict(), build(tiny()[0], 7).state_dict()
    assert torch.equal(torch.rand(3), expected)
    assert all(np.array_equal(one[k], two[k]) for k in one)
