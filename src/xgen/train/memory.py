"""Out of memory, told in one sentence: what a recipe can change so that its step fits."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax.errors import JaxRuntimeError

from xgen.core.errors import UserError
from xgen.train.config import Execution
from xgen.train.stages import Stage


@contextmanager
def told_where_memory_ends(execution: Execution, stages: tuple[Stage, ...]) -> Iterator[None]:
    """Turn the devices' own error, from a compiler or while a step runs, into a UserError; others pass."""
    try:
        yield
    except JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        device = jax.devices()[0]
        limit = (device.memory_stats() or {}).get("bytes_limit")
        size = f" ({limit / 1e9:.1f} GB each)" if limit else ""
        raise UserError(
            f"the memory of {jax.device_count()} x {device.device_kind}{size} is exhausted "
            f"({str(error).splitlines()[0][:200]})",
            "weights, moments, gradients and the activations of a pass to fit",
            f"Try, in this order: {'; '.join(remedies(execution, stages))}. What is saved stays, and the same command "
            "with the change continues.",
        ) from None


def remedies(execution: Execution, stages: tuple[Stage, ...]) -> list[str]:
    """List what may still help, the cheapest first: what costs no speed, then recomputation, then more devices."""
    row = max(stage.context_length for stage in stages)
    found = []
    if execution.micro_batch_tokens > row:
        found.append(f"lower execution.micro-batch-tokens from {execution.micro_batch_tokens:,} to {row:,}, one row")
    if execution.loss_chunk > 1_024:
        found.append(f"lower execution.loss-chunk from {execution.loss_chunk:,} to 1,024")
    if execution.remat != "full":
        found.append("set execution.remat full, which computes activations again")
    found.append(
        f"spread weights and moments over more devices (execution.layout fsdp, execution.fsdp-axis above "
        f"{execution.fsdp_axis})"
    )
    found.append(f"share rows of {row:,} tokens among devices (execution.layout fsdp_and_context, context-axis)")
    return found
