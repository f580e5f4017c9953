"""The parameter table: counts, decay, start."""

import jax
import jax.numpy as jnp

from model.networks import SMALL, params_of
from xgen.model.params import abstract, count, decay_mask, table
from xgen.recipes.xgen_7b import XGEN_7B


def test_the_7b_shape_has_the_released_number_of_parameters():
    assert count(XGEN_7B.model) == 6_895_702_016


def test_twelve_rows_are_the_whole_network():
    assert len(table(SMALL)) == 12
    assert jax.tree.map(lambda x: (x.shape, x.dtype), params_of()) == jax.tree.map(
        lambda x: (x.shape, x.dtype), abstract(SMALL)
    )


def test_norms_are_never_decayed_also_where_layers_are_stacked():
    assert {name for name, decayed in decay_mask(SMALL).items() if not decayed} == {
        "attention_norm",
        "ffn_norm",
        "final_norm",
    }


def test_matrices_start_at_the_stated_deviation_and_norms_at_one():
    for row in table(SMALL):
        start = params_of()[row.name]
        if row.start == "ones":
            assert jnp.all(start == 1)
        else:
            assert abs(float(jnp.std(start)) - SMALL.init_std) < 0.1 * SMALL.init_std
            assert abs(float(jnp.mean(start))) < 0.1 * SMALL.init_std
