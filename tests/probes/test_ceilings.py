"""The machine's ceilings: a real matrix product and a real copy."""

import math

import pytest
import torch

from linbench.probes import ceilings
from linbench.run.record import Ceilings


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_product_and_a_copy_are_timed(dtype):
    """Operations and bytes are those of the buffers; every call has its seconds."""
    found = Ceilings.model_validate(ceilings.measure("cpu", dtype))
    assert found.gemm_flops == 2 * 1024**3
    assert found.copy_bytes == 2 * 128 * 2**20
    for seconds in (found.gemm_seconds, found.copy_seconds):
        assert len(seconds) >= 3
        assert all(math.isfinite(s) and s > 0 for s in seconds)
    assert found.reason is None


def test_no_memory_gives_a_reason_and_no_numbers(monkeypatch):
    """What cannot be measured is null with a reason, and the case keeps its record."""
    monkeypatch.setitem(ceilings.COPY_BYTES, "cpu", 2**60)
    found = Ceilings.model_validate(ceilings.measure("cpu", "float32"))
    assert found.gemm_flops is None
    assert "memory" in found.reason
    assert torch.is_grad_enabled()
