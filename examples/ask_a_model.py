"""Ask a model in a Hugging Face folder from Python: score answers, continue a prompt, quote quickly, sample.

Run: python examples/ask_a_model.py path/to/folder [--weights int8]. The weights are read one by one into the kind that
is asked for, which is the only copy in memory.
"""

import argparse
from pathlib import Path

from xgen.export.huggingface import open_folder
from xgen.model.config import Compute
from xgen.serve.config import Sampling, Stops
from xgen.serve.engine import Engine
from xgen.serve.weights import stored_one_by_one
from xgen.tokenizer.encoding import decode, encode

COMPUTE = Compute("float32", "blockwise", attention_block=128, loss_chunk=512, remat="none")
PROMPT = "def area(width, height):\n    return"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="float32", choices=("float32", "bfloat16", "int8"))
    parser.add_argument("--new-tokens", type=int, default=32)
    options = parser.parse_args()
    opened = open_folder(options.folder)
    weights = stored_one_by_one(opened.weights(), opened.config, options.weights)
    engine = Engine(options.folder.name, weights, opened.config, COMPUTE, opened.context_length)
    prompt = encode(PROMPT).tolist()

    answers = [" width * height", " the harbor"]
    for answer, found in zip(answers, engine.score([(prompt, encode(text).tolist()) for text in answers]), strict=True):
        print(f"log p({answer!r}) = {found.logprob:.2f}")

    warm = Sampling(temperature=0.8, top_p=0.95, max_new_tokens=options.new_tokens, seed=0)
    for number, found in enumerate(engine.sample([prompt], warm, Stops(texts=("\n\n",)), num_samples=2)):
        print(f"sample {number} ({found.finish}): {decode(list(found.tokens))!r}")

    [plain] = engine.generate([prompt * 4], options.new_tokens, seed=0)
    [quoted], passes = engine.by_lookup([prompt * 4], options.new_tokens)
    assert quoted.tokens == plain.tokens
    print(f"greedy: {len(plain.tokens)} tokens, the same with prompt lookup in {passes} passes")


if __name__ == "__main__":
    main()
