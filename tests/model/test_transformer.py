"""What a layer keeps and what it computes again is a choice of time and memory: the gradients are the same."""

import dataclasses

import jax
import numpy as np
from jax.extend import core

from model.networks import FLOAT32, SMALL, batch_of, on_device, params_of
from xgen.model.transformer import REMATS
from xgen.train.step import loss_of


def gradient_of(remat: str):
    batch = on_device(batch_of(2, 24))
    compute = dataclasses.replace(FLOAT32, remat=remat)
    return jax.grad(lambda params: loss_of(params, batch, batch.weights, SMALL, compute))


def test_gradients_of_every_policy_are_those_of_keeping_everything():
    params = params_of()
    expected = jax.jit(gradient_of("none"))(params)
    for remat in ("attention", "dots"):  # tests of parity compute all of a layer again
        found = jax.jit(gradient_of(remat))(params)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-6, err_msg=f"{name} with {remat}")


def test_each_policy_computes_again_what_it_says_and_no_more():
    def products(jaxpr: core.Jaxpr) -> int:
        inner = sum(products(part) for equation in jaxpr.eqns for part in core.jaxprs_in_params(equation.params))
        return inner + sum(equation.primitive.name == "dot_general" for equation in jaxpr.eqns)

    counts = {remat: products(jax.make_jaxpr(gradient_of(remat))(params_of()).jaxpr) for remat in REMATS}
    assert counts["dots"] == counts["none"]
    assert counts["attention"] == counts["none"] + 6, (
        "q, k, v, o, gate, up; what heads read is kept, down is not needed"
    )
    assert counts["full"] == counts["none"] + 8, "and the two products of attention"
