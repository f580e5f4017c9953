"""A network's shape as Hugging Face's config.json and back; what the file says that we do not compute is refused."""

from typing import Any, Literal

from xgen.core.errors import UserError
from xgen.model.config import ModelConfig
from xgen.tokenizer.specials import END_OF_TEXT, NUM_ROWS

StorageType = Literal["float32", "bfloat16"]

SIZES = {
    "vocab_size": "vocab_size",
    "dim": "hidden_size",
    "ffn_dim": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
}
"""ModelConfig's names and Hugging Face's."""

FIXED: dict[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
}
"""What makes the network LLaMA's; Hugging Face's defaults for LlamaForCausalLM are the same."""

OLD_ROPE_BASE = 10_000.0
"""The base that transformers used before config.json could name one, so in the released XGen-7B."""


def config_json(config: ModelConfig, context_length: int, dtype: StorageType) -> dict[str, Any]:
    """Describe a network for LlamaForCausalLM.

    There is no padding token: the released config names id 0, which is "!". `rope_theta` and `torch_dtype` are what
    readers before transformers 5 look for, `rope_parameters` and `dtype` what later ones do.
    """
    if (config.norm, config.ffn, config.circuit) != ("rms_norm", "swiglu", "sequential"):
        raise UserError(
            f"a network of {config.norm}, {config.ffn} and a {config.circuit} circuit",
            "LLaMA's rms_norm, swiglu and sequential circuit",
            "Only LLaMA's architecture can be exported.",
        )
    _require_our_rows(config.vocab_size)
    return {
        "architectures": ["LlamaForCausalLM"],
        **FIXED,
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "num_key_value_heads": config.num_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": context_length,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "initializer_range": config.init_std,
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": END_OF_TEXT,
        "pad_token_id": None,
        "use_cache": True,
        "torch_dtype": dtype,
        "dtype": dtype,
    }


def generation_config_json() -> dict[str, Any]:
    """End at <|endoftext|>, and fill a batch's shorter answers with it."""
    return {"bos_token_id": END_OF_TEXT, "eos_token_id": END_OF_TEXT, "pad_token_id": END_OF_TEXT}


def read_config(plain: Any) -> tuple[ModelConfig, int]:
    """Return the network's shape and its context length; UserError for anything that is not LLaMA as we compute it."""
    if not isinstance(plain, dict):
        raise UserError("config.json holds no object", "the config of a LlamaForCausalLM", "Check the folder.")
    _require_llama(plain)
    sizes = {ours: _positive(plain, theirs, int) for ours, theirs in SIZES.items()}
    _require_our_rows(sizes["vocab_size"])
    config = ModelConfig(
        **sizes,
        norm_eps=_positive(plain, "rms_norm_eps", float),
        rope_base=_rope_base(plain),
        init_std=_positive({"initializer_range": 0.02} | plain, "initializer_range", float),
    )
    for name, expected in (("num_key_value_heads", config.num_heads), ("head_dim", config.head_dim)):
        if plain.get(name) not in (None, expected):
            raise _refused(name, plain[name], expected)
    return config, _positive(plain, "max_position_embeddings", int)


def _require_llama(plain: dict[str, Any]) -> None:
    architectures = plain.get("architectures") or ["LlamaForCausalLM"]
    if architectures != ["LlamaForCausalLM"]:
        raise _refused("architectures", architectures, ["LlamaForCausalLM"])
    if "model_type" not in plain:
        raise _refused("model_type", None, "llama")
    for name, expected in FIXED.items():
        if plain.get(name, expected) != expected:
            raise _refused(name, plain[name], expected)
    if plain.get("quantization_config") is not None:
        raise _refused("quantization_config", plain["quantization_config"], None)


def _rope_base(plain: dict[str, Any]) -> float:
    """Take the base from where it is; any kind of scaled positions is another network."""
    scaling = plain.get("rope_scaling")
    parameters = plain.get("rope_parameters") or {}
    for name, rope in (("rope_scaling", scaling or {}), ("rope_parameters", parameters)):
        kind = rope.get("rope_type", rope.get("type", "default")) if isinstance(rope, dict) else rope
        if kind != "default" or rope.get("partial_rotary_factor", 1) != 1:
            raise _refused(name, rope, "no scaling")
    bases = {_positive(holder, "rope_theta", float) for holder in (plain, parameters) if "rope_theta" in holder}
    if len(bases) > 1:
        raise _refused("rope_theta", plain["rope_theta"], parameters["rope_theta"])
    return bases.pop() if bases else OLD_ROPE_BASE


def _positive(plain: dict[str, Any], name: str, kind: type) -> Any:
    value: Any = plain.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, kind)) or not 0 < value < float("inf"):
        raise _refused(name, value, "a positive number")
    return kind(value)


def _require_our_rows(vocab_size: int) -> None:
    if vocab_size != NUM_ROWS:
        raise _refused("vocab_size", vocab_size, f"{NUM_ROWS}, the rows of XGen's tokenizer")


def _refused(name: str, found: Any, expected: Any) -> UserError:
    return UserError(
        f"the model's config has {name} {found}",
        f"{expected}",
        "xgen reads and writes LLaMA-shaped models with XGen's tokenizer.",
    )
