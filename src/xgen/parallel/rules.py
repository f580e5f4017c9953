"""Which mesh axis holds which meaning: one mapping a layout, read for weights and for batches alike."""

from collections.abc import Mapping

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xgen.core.errors import UserError, suggest
from xgen.parallel.mesh import DATA, MODEL

Layout = Mapping[str, str | None]

LAYOUTS: dict[str, Layout] = {
    # Rows of a batch over "data"; heads, feed-forward and vocabulary over "model", so that a layer needs two sums.
    "data_and_model": {
        "row": DATA,
        "position": None,
        "layer": None,
        "dim": None,
        "head": MODEL,
        "ffn": MODEL,
        "vocab": MODEL,
    }
}


def layout_named(name: str) -> Layout:
    """Return a layout, or name the nearest one that exists."""
    if name not in LAYOUTS:
        raise UserError(f"there is no layout '{name}'", "an entry of parallel/rules.py", suggest(name, LAYOUTS))
    return LAYOUTS[name]


def sharding(mesh: Mesh, layout: Layout, meanings: tuple[str, ...]) -> NamedSharding:
    """Say where an array lives whose dimensions have these meanings; one axis holds at most one dimension."""
    axes = [layout[meaning] for meaning in meanings]
    used = [axis for axis in axes if axis is not None]
    assert len(set(used)) == len(used), f"{meanings} uses a mesh axis twice under {layout}"
    return NamedSharding(mesh, PartitionSpec(*axes))
