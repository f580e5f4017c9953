"""The devices of a run as a grid with named axes."""

import jax
from jax.sharding import AxisType, Mesh

from xgen.core.errors import UserError

DATA, MODEL = "data", "model"


def make_mesh(data_axis: int, model_axis: int) -> Mesh:
    """Lay the devices out as data_axis x model_axis; a single device is the grid 1 x 1."""
    needed, found = data_axis * model_axis, jax.device_count()
    if needed > found or min(data_axis, model_axis) < 1:
        raise UserError(
            f"a mesh of {data_axis} x {model_axis} devices on a machine with {found}",
            "a mesh that the machine can hold",
            f"Set execution.data-axis and execution.model-axis so that their product is at most {found}.",
        )
    devices = jax.devices()[:needed]
    return jax.make_mesh((data_axis, model_axis), (DATA, MODEL), axis_types=(AxisType.Auto,) * 2, devices=devices)
