"""Which mesh axis holds which meaning: one mapping a layout, read for weights, activations and batches alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xgen.core.errors import UserError, suggest
from xgen.parallel.mesh import CONTEXT, DATA, FSDP, MODEL

Layout = Mapping[str, tuple[str, ...]]
"""Mesh axes of each meaning; a meaning that is not named is whole on every device."""

_BY_ROW: Layout = {"row": (DATA,)}
_TENSOR: Layout = {"head": (MODEL,), "ffn": (MODEL,), "vocab": (MODEL,)}  # a layer needs two sums over "model"
_SHARDED: Layout = {"row": (DATA, FSDP), "dim": (FSDP,)}  # weights and moments in parts, gathered layer by layer

LAYOUTS: dict[str, Layout] = {
    "data": _BY_ROW,
    "data_and_model": {**_BY_ROW, **_TENSOR},
    "fsdp": _SHARDED,
    "fsdp_and_model": {**_SHARDED, **_TENSOR},
    "fsdp_and_context": {**_SHARDED, "position": (CONTEXT,)},
    "all": {**_SHARDED, **_TENSOR, "position": (CONTEXT,)},
}


@dataclass(frozen=True)
class Placement:
    """A layout on a mesh: where every array of a run lives."""

    mesh: Mesh
    layout: Layout

    @property
    def platform(self) -> str:
        """The kind of device: of those that a program is compiled for, which need not be here."""
        return self.mesh.devices.flat[0].platform

    def spec(self, *meanings: str) -> PartitionSpec:
        """Say which axes hold the dimensions of an array with these meanings."""
        return sharding(self.mesh, self.layout, meanings).spec

    def of(self, *meanings: str) -> NamedSharding:
        return sharding(self.mesh, self.layout, meanings)

    def parts(self, meaning: str) -> int:
        """Count the parts that a dimension of this meaning is split into."""
        return prod(self.mesh.shape[axis] for axis in self.layout.get(meaning, ()))

    def require_whole_parts(self, meaning: str, size: int, what: str) -> None:
        """Refuse a dimension that the mesh cannot split evenly."""
        parts = self.parts(meaning)
        if size % parts:
            raise UserError(
                f"{what} is {size:,}, split into {parts} parts by mesh axes {self.layout[meaning]}",
                "parts of equal size",
                "Change the size of an axis (execution.*-axis), the layout, or the recipe.",
            )


def layout_named(name: str) -> Layout:
    """Return a layout, or name the nearest one that exists."""
    if name not in LAYOUTS:
        raise UserError(f"there is no layout '{name}'", "an entry of parallel/rules.py", suggest(name, LAYOUTS))
    return LAYOUTS[name]


def placement_of(mesh: Mesh, name: str) -> Placement:
    """Put a named layout on a mesh; an axis of several devices that the layout never uses is refused."""
    layout = layout_named(name)
    used = {axis for axes in layout.values() for axis in axes}
    idle = [axis for axis, size in mesh.shape.items() if size > 1 and axis not in used]
    if idle:
        raise UserError(
            f"the layout '{name}' uses the mesh axes {sorted(used)}, and {idle} have more than one device",
            "a layout that uses every axis of the mesh",
            f"Set execution.{idle[0]}-axis to 1, or take another layout: {', '.join(LAYOUTS)}.",
        )
    return Placement(mesh, layout)


def sharding(mesh: Mesh, layout: Layout, meanings: tuple[str, ...]) -> NamedSharding:
    """Say where an array lives whose dimensions have these meanings; one axis holds at most one dimension."""
    axes = [layout.get(meaning, ()) for meaning in meanings]
    used = [axis for group in axes for axis in group]
    if len(set(used)) != len(used):
        raise UserError(
            f"a layout that names a mesh axis twice for one array: {dict(zip(meanings, axes, strict=True))}",
            "each axis once among the dimensions of an array",
            "Correct the layout in parallel/rules.py.",
        )
    return NamedSharding(mesh, PartitionSpec(*(group or None for group in axes)))
