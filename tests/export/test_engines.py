"""Other engines read our files: the same logits, the same greedy tokens, the same ids of a text.

Opt-in, each where its package is installed: docs/how-to/serve-elsewhere.md says how. The rotary base is not the usual
one, because an engine that ignores the file's would go unnoticed otherwise.
"""

import importlib
import json
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from export.conftest import COMPUTE, proof_of, random_params
from tokenizer.texts import mixed_texts
from xgen.export.gguf import GgufType, write_gguf
from xgen.export.huggingface import Release, write_folder
from xgen.export.verify import Proof
from xgen.model.config import ModelConfig
from xgen.serve.config import Sampling, Stops
from xgen.serve.engine import Engine
from xgen.tokenizer.encoding import encode
from xgen.tokenizer.specials import NUM_TOKENS

pytestmark = pytest.mark.engine

CONFIG = ModelConfig(2, 256, 4, 512, 51_200, 1e-6, 500_000.0, 0.02)
CONTEXT, NUM_NEW = 512, 64
NEAR = 5e-5
TEXTS = [*mixed_texts(100), "x != y ,  z", "-" * 64, "\n" + " " * 31 + "return", "\t\tif a:\n\t\t\tpass"]


class Model(NamedTuple):
    folder: Path
    params: dict[str, np.ndarray]
    proof: Proof
    greedy: list[int]
    """What our engine says after the tokens of the proof."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    folder = tmp_path_factory.mktemp("engines") / "model"
    # Small weights keep the logits near those of a trained network: 5e-5 is meant for such.
    params = {
        name: value if "norm" in name else value * np.float32(0.2) for name, value in random_params(CONFIG).items()
    }
    params["head"][NUM_TOKENS:] = 0  # our sampler never says a row that names no token; theirs know no such rows
    proof = proof_of(params, CONFIG)
    write_folder(folder, CONFIG, params, Release(CONTEXT, "# a model\n", "report"), proof)
    ours = Engine("ours", {name: jnp.asarray(value) for name, value in params.items()}, CONFIG, COMPUTE, CONTEXT)
    sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=NUM_NEW, seed=0)
    [found] = ours.sample([proof.tokens.tolist()], sampling, Stops(ids=()))
    return Model(folder, params, proof, list(found.tokens))


def logprobs(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def assert_near(found: np.ndarray, model: Model) -> None:
    difference = np.abs(found - model.proof.logits).max()
    print(f"largest difference of a logit {difference:.1e}, of {np.abs(model.proof.logits).max():.1f}")
    assert difference <= NEAR


class LlamaServer:
    """llama.cpp's own server over one GGUF file, with a float32 cache, asked over HTTP."""

    def __init__(self, path: Path) -> None:
        llama = pytest.importorskip("xllamacpp")
        values = llama.CommonParams()
        values.model.path, values.n_ctx, values.n_parallel, values.warmup = str(path), CONTEXT, 1, False
        values.cache_type_k = values.cache_type_v = llama.ggml_type.GGML_TYPE_F32
        values.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it rounds to 16 bits
        values.cpuparams.n_threads = values.cpuparams_batch.n_threads = 2
        self.server = llama.Server(values)

    def ask(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            self.server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def logprobs_after(self, tokens: list[int]) -> np.ndarray:
        answer = self.ask("/completion", prompt=tokens, n_predict=1, n_probs=CONFIG.vocab_size, temperature=0)
        found = np.full(CONFIG.vocab_size, np.nan)
        for entry in answer["completion_probabilities"][0]["top_logprobs"]:
            found[entry["id"]] = entry["logprob"]
        return found


def llama_server(model: Model, kind: GgufType) -> LlamaServer:
    path = model.folder.with_name(f"{kind}.gguf")
    if not path.exists():
        write_gguf(path, CONFIG, model.params, CONTEXT, kind, "report")
    return LlamaServer(path)


@pytest.fixture(scope="module")
def llama(model) -> LlamaServer:
    pytest.importorskip("gguf")
    return llama_server(model, "f32")


def test_llama_cpp_computes_our_log_probabilities(model, llama):
    found = llama.logprobs_after(model.proof.tokens.tolist())
    assert np.isfinite(found).all(), "every row of the vocabulary is told"
    difference = np.abs(found - logprobs(model.proof.logits[-1])).max()
    print(f"llama.cpp: {difference:.1e}")
    assert difference <= NEAR


def test_llama_cpp_continues_with_our_tokens(model, llama):
    answer = llama.ask(
        "/completion", prompt=model.proof.tokens.tolist(), n_predict=NUM_NEW, temperature=0, return_tokens=True
    )
    assert answer["tokens"] == model.greedy


def test_llama_cpp_gives_our_ids_and_every_text_back(llama):
    for text in TEXTS:
        ids = llama.ask("/tokenize", content=text, add_special=False, parse_special=False)["tokens"]
        assert ids == encode(text).tolist(), text
        assert llama.ask("/detokenize", tokens=ids)["content"] == text


def test_llama_cpp_is_nearer_with_more_bits(model, llama):
    tokens, expected = model.proof.tokens.tolist(), logprobs(model.proof.logits[-1])
    far = {
        kind: float(np.abs(llama_server(model, kind).logprobs_after(tokens) - expected).mean())
        for kind in ("f16", "bf16", "q8_0")
    }
    print(far)
    assert 0 < far["f16"] < far["bf16"] < far["q8_0"] < 0.1


def test_ctranslate2_computes_our_logits_and_continues_with_our_tokens(model, tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2")
    ctranslate2.converters.TransformersConverter(str(model.folder)).convert(str(tmp_path / "ct2"))
    generator = ctranslate2.Generator(str(tmp_path / "ct2"), device="cpu", compute_type="float32", intra_threads=2)
    names = {token: name for name, token in json_vocabulary(model.folder).items()}
    prompt = [names[token] for token in model.proof.tokens.tolist()]
    assert_near(np.asarray(generator.forward_batch([prompt]))[0], model)
    [result] = generator.generate_batch(
        [prompt], max_length=NUM_NEW, min_length=NUM_NEW, sampling_topk=1, include_prompt_in_result=False
    )
    assert result.sequences_ids[0] == model.greedy


def json_vocabulary(folder: Path) -> dict[str, int]:
    plain = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return plain["model"]["vocab"] | {entry["content"]: entry["id"] for entry in plain["added_tokens"]}


def test_mlx_computes_our_logits_and_continues_with_our_tokens(model):
    mx, mlx_lm = pytest.importorskip("mlx.core"), pytest.importorskip("mlx_lm")
    generate_step = importlib.import_module("mlx_lm.generate").generate_step
    network, tokenizer = mlx_lm.load(str(model.folder))
    tokens = model.proof.tokens.tolist()
    assert_near(np.asarray(network(mx.array([tokens])))[0], model)
    found = [
        int(token)
        for token, _ in zip(
            (token for token, _ in generate_step(mx.array(tokens), network)), range(NUM_NEW), strict=False
        )
    ]
    assert found == model.greedy
    assert tokenizer.encode(TEXTS[0], add_special_tokens=False) == encode(TEXTS[0]).tolist()


def test_vllm_tells_our_log_probabilities_and_continues_with_our_tokens(model):
    vllm = pytest.importorskip("vllm")
    engine = vllm.LLM(str(model.folder), dtype="float32", max_model_len=CONTEXT, enforce_eager=True)
    sampling = vllm.SamplingParams(temperature=0, max_tokens=NUM_NEW, ignore_eos=True, prompt_logprobs=1)
    tokens = model.proof.tokens.tolist()
    [answer] = engine.generate([{"prompt_token_ids": tokens}], sampling)
    assert list(answer.outputs[0].token_ids) == model.greedy
    expected = logprobs(model.proof.logits)
    for place, token in enumerate(tokens[1:]):
        assert abs(answer.prompt_logprobs[place + 1][token].logprob - expected[place, token]) <= NEAR


def test_transformers_of_any_version_computes_our_logits_and_continues_with_our_tokens(model):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    print(transformers.__version__)
    network = transformers.AutoModelForCausalLM.from_pretrained(model.folder)
    tokens = torch.tensor(model.proof.tokens[None].astype(np.int64))
    with torch.no_grad():
        assert_near(network(tokens).logits[0].numpy(), model)
        found = network.generate(
            tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=NUM_NEW
        )
    assert found[0, tokens.shape[1] :].tolist() == model.greedy
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.folder)
    for text in TEXTS:
        ids = tokenizer(text, split_special_tokens=True)["input_ids"]
        assert ids == encode(text).tolist()
        assert tokenizer.decode(ids) == text
