"""The network: a causal sliding-window Transformer encoder (pre-norm) and a head that answers at every position.

Position enters only as a bias per head and age (0 = the row itself … window − 1), so a stream of any length works and
the streaming step may keep keys and values. Attention is computed in bands: blocks of queries against the rows that
their windows can reach, never length × length. Parameters are named so that ``models/stream.py`` finds them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lob_pipeline.models.config import ModelConfig

QUERY_BLOCK = 32  # queries a band: measured best of 16, 32, 64, 128 at windows of 32 and 64


class BandedAttention(nn.Module):
    """Attention of each row to itself and the window − 1 rows before it, with a learned bias per head and age."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.d_model
        self.heads, self.window = config.heads, config.window
        self.qkv = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d)
        self.age_bias = nn.Parameter(torch.zeros(config.heads, config.window))

    def forward(self, x: Tensor) -> Tensor:
        """Map float (batch, length, d) to the same shape; row i sees rows max(0, i − window + 1) … i."""
        batch, length, d = x.shape
        block, window = min(QUERY_BLOCK, length), self.window
        bands = -(-length // block)
        pad = bands * block - length
        qkv = self.qkv(x).view(batch, length, 3, self.heads, d // self.heads)
        q, k, v = (functional.pad(t, (0, 0, 0, 0, 0, pad)) for t in qkv.unbind(2))
        # (batch, bands, heads, block | reach, d_head)
        q = q.view(batch, bands, block, self.heads, -1).transpose(2, 3)
        k, v = (functional.pad(t, (0, 0, 0, 0, window - 1, 0)).unfold(1, block + window - 1, block) for t in (k, v))
        scores = torch.matmul(q, k * (1.0 / math.sqrt(d // self.heads))) + self._bias(bands, block)
        mixed = torch.matmul(scores.softmax(-1), v.transpose(-1, -2))
        mixed = mixed.transpose(2, 3).reshape(batch, bands * block, d)[:, :length]
        return self.out(mixed)

    def _bias(self, bands: int, block: int) -> Tensor:
        """Return the bias (bands, heads, block, reach): −inf outside the window and before the first row."""
        window, device = self.window, self.age_bias.device
        query = torch.arange(block, device=device)[:, None]
        key = torch.arange(block + window - 1, device=device)[None, :] - (window - 1)
        age = query - key
        bias = self.age_bias[:, age.clamp(0, window - 1)].masked_fill((age < 0) | (age >= window), -math.inf)
        first = torch.arange(bands, device=device)[:, None] * block
        absent = (key + first) < 0
        return bias[None].masked_fill(absent[:, None, None, :], -math.inf)


class Block(nn.Module):
    """One encoder layer: x + attention(norm x), then x + feed-forward(norm x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.d_model
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = BandedAttention(config)
        self.up, self.down = nn.Linear(d, config.d_ff), nn.Linear(config.d_ff, d)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (batch, length, d) to the same shape."""
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.down(functional.relu(self.up(self.norm2(x)))))


class Head(nn.Module):
    """The head: a gated mixture of experts, all computed densely; without a gate it is one wide block.

    The router works in float32 whatever the rest does. Answers are Σ gate · expert, linear in each expert's output.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        blocks, hidden, d = config.blocks, config.d_hidden, config.d_model
        self.blocks = blocks
        self.gate = nn.Linear(d, blocks) if config.head == "moe" else None
        self.up = nn.Linear(d, blocks * hidden)
        self.down = nn.Parameter(torch.empty(blocks, hidden, config.outputs).normal_(0.0, 0.5 / math.sqrt(hidden)))
        self.down_bias = nn.Parameter(torch.zeros(blocks, config.outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map float (…, d) to answers (…, outputs) and the router's logits float32 (…, experts) or None."""
        hidden = functional.relu(self.up(x))
        if self.gate is None:
            return hidden @ self.down[0] + self.down_bias[0], None
        with torch.autocast(x.device.type, enabled=False):
            logits = functional.linear(x.float(), self.gate.weight.float(), self.gate.bias.float())
            gate = logits.softmax(-1)
        share = gate.to(hidden.dtype)
        weighted = (hidden.unflatten(-1, (self.blocks, -1)) * share.unsqueeze(-1)).flatten(-2)
        return weighted @ self.down.flatten(0, 1) + share @ self.down_bias, logits


class Network(nn.Module):
    """Features to fifteen raw numbers (logits and standardised bps) at every position."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.inputs, config.d_model)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.head = Head(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map normalised float (batch, length, inputs) to raw (batch, length, outputs) and router logits or None."""
        return self.head(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Map normalised float (batch, length, inputs) to the final normalised states (batch, length, d)."""
        x = self.dropout(self.input(x))
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def build(config: ModelConfig, seed: int) -> Network:
    """Return a freshly initialised network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(config)
