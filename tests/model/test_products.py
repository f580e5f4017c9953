"""bfloat16 inputs, float32 results: forward, backward, and through the whole network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32, SMALL, batch_of, on_device, params_of
from xgen.model.products import bfloat16_matmuls, float32
from xgen.train.step import loss_of

BFLOAT16 = dataclasses.replace(FLOAT32, precision="bfloat16_matmuls")


def is_rounded(x: jax.Array) -> bool:
    return bool(jnp.all(x.astype(jnp.bfloat16).astype(jnp.float32) == x))


@pytest.mark.parametrize("spec", ["BLD,FD->BLF", "BLHK,BTHK->BHLT", "BHLT,BTHK->BLHK", "BHKT,BHTL->BHKL"])
def test_gradients_are_products_of_rounded_inputs_kept_in_float32(spec):
    sizes = {"B": 2, "L": 24, "D": 16, "F": 20, "H": 3, "K": 8, "T": 24}
    left, right = spec.split("->")[0].split(",")
    a, b = (jax.random.normal(jax.random.key(i), [sizes[c] for c in names]) for i, names in enumerate((left, right)))

    def total(product):
        return jax.grad(lambda a, b: jnp.sum(jnp.sin(product(spec, a, b))), argnums=(0, 1))(a, b)

    for found, exact in zip(total(bfloat16_matmuls), total(float32), strict=True):
        assert not is_rounded(found), "a gradient was rounded to bfloat16 on its way"
        assert float(jnp.linalg.norm(found - exact) / jnp.linalg.norm(exact)) < 2e-2


@pytest.mark.parametrize("spec", ["BLD,ED->BLE", "BHLK,BTHK->BHLT", "BHKT,BHTL->BHKL", "BLHK,BHLT->BTHK"])
def test_what_is_transposed_before_and_after_is_multiplied_in_both_passes(spec):
    """XLA's CPU draws transpositions into a product, and has no bfloat16 product for some of what comes out."""
    sizes = {"B": 2, "L": 16, "D": 17, "E": 8, "H": 3, "K": 16, "T": 64}
    shapes = [[sizes[name] for name in names] for names in spec.split("->")[0].split(",")]
    a, b = (jax.random.normal(jax.random.key(i), shape[::-1]) for i, shape in enumerate(shapes))

    def total(product):
        return jax.grad(lambda a, b: jnp.sum(jnp.sin(jnp.swapaxes(product(spec, a.T, b.T), -1, -2))), argnums=(0, 1))

    for found, exact in zip(jax.jit(total(bfloat16_matmuls))(a, b), total(float32)(a, b), strict=True):
        assert float(jnp.linalg.norm(found - exact) / jnp.linalg.norm(exact)) < 3e-2


def test_no_gradient_of_the_network_is_rounded_to_bfloat16():
    params, batch = params_of(), on_device(batch_of(4, 32))
    gradient_of = jax.jit(jax.grad(loss_of), static_argnums=(3, 4))
    exact = gradient_of(params, batch, batch.weights, SMALL, FLOAT32)
    found = gradient_of(params, batch, batch.weights, SMALL, BFLOAT16)
    for name, gradient in found.items():
        assert gradient.dtype == jnp.float32
        assert not is_rounded(gradient), name
        assert float(jnp.linalg.norm(gradient - exact[name]) / jnp.linalg.norm(exact[name])) < 0.05, name


def test_a_plain_cast_would_round_the_gradient_so_the_check_can_fail():
    a, b = jax.random.normal(jax.random.key(0), (8, 16)), jax.random.normal(jax.random.key(1), (20, 16))

    def cast(b):
        return jnp.sum(
            jnp.sin(
                jnp.einsum(
                    "LD,FD->LF", a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32
                )
            )
        )

    assert is_rounded(jax.grad(cast)(b))


def test_normalization_softmax_and_residuals_stay_in_float32():
    params, batch = params_of(), on_device(batch_of(2, 32))
    text = str(jax.make_jaxpr(lambda p: loss_of(p, batch, batch.weights, SMALL, BFLOAT16))(params))
    for operation in ("exp", "rsqrt", "log", "add", "mul", "reduce_sum", "reduce_max"):
        lines = [line for line in text.splitlines() if f"= {operation} " in line or f"= {operation}[" in line]
        assert lines, operation
        assert not [line for line in lines if "bf16" in line], operation
    assert np.any(["dot_general" in line and "f32" in line for line in text.splitlines()])
