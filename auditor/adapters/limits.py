"""Upper bounds for what an adapter file may contain. A file beyond one is refused, never truncated."""

from __future__ import annotations

MAX_FILE_BYTES = 4 * 1024**3
"""Rank-128 adapters of the largest public bases take about 1.2 GB."""
MAX_HEADER_BYTES = 25_000_000
"""The Hub's own client stops at the same size."""
MAX_TENSORS = 50_000
MAX_KEY_CHARS = 512
MAX_DIMS = 8
MAX_METADATA_ENTRIES = 4_096
MAX_SIDECAR_BYTES = 1_000_000
"""For adapter_config.json."""
MAX_CLAIM_CHARS = 256
MAX_TRIGGERS = 16
MAX_RANK = 1_024
MAX_SCALE = 64.0
"""For |alpha / rank|; real files stay below 8."""
