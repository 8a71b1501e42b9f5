"""Batches that do not fit are halved; what is no lack of memory is left alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auditor.common.device_memory import in_batches, memory_named, out_of_memory
from auditor.errors import MemoryTooSmall

SAID = "CUDA out of memory. Tried to allocate 8.00 GiB. GPU 0 has a total capacity of 23.69 GiB"


@given(count=st.integers(0, 70), size=st.integers(1, 40), fits=st.integers(1, 40))
def test_every_row_is_done_once_in_batches_that_fit(count: int, size: int, fits: int) -> None:
    done: list[int] = []
    told: list[int] = []

    def run(rows: slice) -> None:
        if rows.stop - rows.start > fits:
            raise torch.OutOfMemoryError(SAID)
        done.extend(range(rows.start, rows.stop))

    last = in_batches(count, size, run, on_smaller=told.append)
    assert done == list(range(count))
    assert told == sorted(told, reverse=True) and last == (told[-1] if told else size)
    assert min(count, last) <= fits


def test_a_row_that_does_not_fit_is_said_with_what_it_asked_for() -> None:
    def run(rows: slice) -> None:
        raise torch.OutOfMemoryError(SAID)

    with pytest.raises(MemoryTooSmall, match=r"The base sdxl does not fit .* 8\.00 GiB"), memory_named("The base sdxl"):
        in_batches(5, 4, run)


def test_other_errors_pass_and_cost_no_second_try() -> None:
    calls: list[slice] = []

    def run(rows: slice) -> None:
        calls.append(rows)
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"), memory_named("The base"):
        in_batches(5, 4, run)
    assert len(calls) == 1


def test_what_the_libraries_raise_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
