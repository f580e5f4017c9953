"""The probe before a run: it lets true attention pass and refuses what differs, mixes documents, or is not there."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from model.networks import FLOAT32
from xgen.core.errors import UserError
from xgen.core.types import Batch
from xgen.model.attention import blockwise
from xgen.model.variants import ATTENTIONS
from xgen.pipelines.pretrain import documents_apart
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.train.probe import require_true_attention


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16_matmuls"])
def test_blockwise_passes(apart, precision):
    compute = dataclasses.replace(FLOAT32, precision=precision, attention_block=64)
    require_true_attention(compute, 16, apart)


def blind_to_segments(q, k, v, view, einsum):
    blind = view._replace(own_BL=jnp.zeros_like(view.own_BL), seen_BT=jnp.zeros_like(view.seen_BT))
    return blockwise(q, k, v, blind, einsum)


def wrong_by_a_hundredth(*arguments):
    return 1.01 * blockwise(*arguments)


def test_what_differs_or_mixes_documents_is_refused(monkeypatch):
    monkeypatch.setitem(ATTENTIONS, "blind", blind_to_segments)
    monkeypatch.setitem(ATTENTIONS, "wrong", wrong_by_a_hundredth)
    blind, wrong = (dataclasses.replace(FLOAT32, attention=name, attention_block=64) for name in ("blind", "wrong"))
    require_true_attention(blind, 16, documents_apart=False)
    for compute, apart in ((blind, True), (wrong, False)):
        with pytest.raises(UserError, match="differs from its definition"):
            require_true_attention(compute, 16, apart)


@pytest.mark.parametrize("name", ["cudnn", "splash"])
def test_a_kernel_of_another_device_is_refused_and_nothing_takes_its_place(name):
    with pytest.raises(UserError, match=f"the attention '{name}' on cpu"):
        require_true_attention(dataclasses.replace(FLOAT32, attention=name), 128, documents_apart=False)


def test_each_document_is_a_segment_and_ends_with_its_token():
    tokens = np.array([[5, 6, END_OF_TEXT, 7, END_OF_TEXT, 8]], np.int32)
    batch = Batch(tokens, tokens, np.ones((1, 6), np.float32), tokens, np.zeros_like(tokens))
    assert documents_apart(batch).segments.tolist() == [[0, 0, 0, 1, 1, 2]]
