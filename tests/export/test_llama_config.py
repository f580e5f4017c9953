"""config.json says what the released XGen-7B said, and refuses every network that we would compute differently."""

import dataclasses
import json

import pytest

from xgen.core.errors import UserError
from xgen.export.llama_config import config_json, generation_config_json, read_config
from xgen.recipes.xgen_7b import XGEN_7B

RELEASED = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 51200,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-06,
    "initializer_range": 0.02,
    "tie_word_embeddings": False,
    "bos_token_id": 50256,
    "eos_token_id": 50256,
    "pad_token_id": 0,
    "torch_dtype": "float32",
    "transformers_version": "4.29.2",
    "use_cache": True,
}
"""The config.json of XGen-7B-8K-base, revision 8c8fad8."""


def test_the_7b_config_is_the_released_one_but_for_the_padding_token_that_was_an_exclamation_mark():
    ours = config_json(XGEN_7B.model, XGEN_7B.context_length, "float32")
    assert {key: value for key, value in RELEASED.items() if ours.get(key) != value}.keys() == {
        "pad_token_id",
        "transformers_version",
    }
    assert ours["pad_token_id"] is None
    assert ours["rope_theta"] == ours["rope_parameters"]["rope_theta"] == 10_000.0
    assert generation_config_json()["eos_token_id"] == 50256


def test_the_released_config_reads_as_the_recipe():
    assert read_config(RELEASED) == (XGEN_7B.model, 8192)
    assert read_config(config_json(XGEN_7B.model, 8192, "bfloat16")) == (XGEN_7B.model, 8192)


@pytest.mark.parametrize(
    "change",
    [
        {"rope_theta": 5e5},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {"rope_theta": 500_000, "rope_scaling": None},
        {"rope_scaling": {"rope_type": "default", "rope_theta": 5e5}, "rope_theta": 5e5},
    ],
)
def test_another_rotary_base_is_read_wherever_it_stands(change):
    assert read_config(RELEASED | change)[0] == dataclasses.replace(XGEN_7B.model, rope_base=5e5)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "mistral"},
        {"architectures": ["LlamaModel"]},
        {"hidden_act": "gelu"},
        {"attention_bias": True},
        {"mlp_bias": True},
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 8},
        {"head_dim": 64},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}},
        {"rope_scaling": "linear"},
        {"rope_parameters": [1]},
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
        {"rope_theta": 10_000.0, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {"vocab_size": 32_000},
        {"quantization_config": {"bits": 4}},
        {"hidden_size": "4096"},
        {"num_hidden_layers": True},
        {"num_attention_heads": 32.0},
        {"rms_norm_eps": float("nan")},
        {"rms_norm_eps": None},
        {"max_position_embeddings": 0},
    ],
    ids=str,
)
def test_a_network_that_is_not_ours_is_refused_by_the_field_that_says_so(change):
    with pytest.raises(UserError) as refused:
        read_config(RELEASED | change)
    assert any(name in str(refused.value) for name in change)


@pytest.mark.parametrize(
    "name",
    [
        "model_type",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "vocab_size",
        "num_attention_heads",
        "max_position_embeddings",
        "rms_norm_eps",
    ],
)
def test_a_field_without_a_value_that_goes_without_saying_must_be_there(name):
    with pytest.raises(UserError, match=name):
        read_config({key: value for key, value in RELEASED.items() if key != name})


def test_a_config_that_is_no_object_is_refused():
    with pytest.raises(UserError, match="no object"):
        read_config(["LlamaForCausalLM"])


def test_variants_and_other_vocabularies_cannot_be_exported():
    for change in ({"norm": "layer_norm"}, {"ffn": "gelu"}, {"circuit": "parallel"}, {"vocab_size": 50_304}):
        with pytest.raises(UserError, match=str(next(iter(change.values())))):
            config_json(dataclasses.replace(XGEN_7B.model, **change), 8192, "float32")


@pytest.mark.parity
def test_transformers_reads_the_values_that_we_wrote(tmp_path):
    transformers = pytest.importorskip("transformers")
    model = dataclasses.replace(XGEN_7B.model, rope_base=123.0, norm_eps=3e-5)
    (tmp_path / "config.json").write_text(json.dumps(config_json(model, 4096, "bfloat16")))
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, transformers.LlamaConfig)
    assert config.rope_parameters["rope_theta"] == 123.0 and config.rms_norm_eps == 3e-5
    assert str(config.dtype).endswith("bfloat16") and config.max_position_embeddings == 4096
    assert config.num_key_value_heads == 32 and config.head_dim == 128 and config.pad_token_id is None
    assert read_config(json.loads(config.to_json_string(use_diff=False))) == (model, 4096)
