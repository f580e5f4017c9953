"""The devices of a run as a grid with named axes."""

from math import prod

import jax
from jax.sharding import AxisType, Mesh

from xgen.core.errors import UserError

DATA, FSDP, MODEL, CONTEXT = "data", "fsdp", "model", "context"


def make_mesh(data_axis: int, model_axis: int, fsdp_axis: int = 1, context_axis: int = 1) -> Mesh:
    """Lay the devices out as data x fsdp x context x model; a single device is the grid of ones.

    Neighbors along the last axis are the nearest, since tensor parallelism talks most. One process may leave devices
    unused; several have to use all, or some of them would have nothing to do.
    """
    sizes = {DATA: data_axis, FSDP: fsdp_axis, CONTEXT: context_axis, MODEL: model_axis}
    needed, found = prod(sizes.values()), jax.device_count()
    shape = " x ".join(f"{name} {size}" for name, size in sizes.items())
    if needed > found or min(sizes.values()) < 1 or (jax.process_count() > 1 and needed != found):
        exactly = f"exactly {found}" if jax.process_count() > 1 else f"at most {found}"
        raise UserError(
            f"a mesh of {needed} devices ({shape}) where there are {found} devices",
            "a mesh that matches the devices",
            f"Set the sizes execution.data-axis, fsdp-axis, context-axis and model-axis: their product is {exactly}.",
        )
    devices = jax.devices()[:needed]
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * 4, devices=devices)
