"""The model card: what a stranger must know before using the weights, as Markdown with the header that hubs read."""

from collections.abc import Sequence
from dataclasses import dataclass

from xgen.tokenizer.chat import template_named

LIMITS = """\
- It repeats what its training texts say, including their errors and biases, and states falsehoods with ease.
- It was not made safe: test it for your use, and keep a person between its output and any decision.
- It reads at most {context_length:,} tokens; what goes beyond is not read.
- The embedding has 51,200 rows, the tokenizer 50,313 tokens: the rows above them were never trained."""

RESEARCH_ONLY = """\
## For research only

These weights come from an instruction-tuned model that was imported, not tuned here. XGen-7B-Inst was released for
research purposes only, and so is this: do not use it in a product, and keep its own licence and card with it.

"""

PROMPT = """\
## Prompt

Each turn reads as below, and an answer ends with `<|endoftext|>` (id 50256). A prompt ends at `Assistant:`, without a
space.

```
{form}
```

The chat template writes it. It cannot tell control tokens and markers from text: take `<|endoftext|>`, `### Human:` and
`### Assistant:` out of messages that you do not trust. In xgen itself no message can write any of them.

```python
messages = [{{"role": "user", "content": "What does this function do?"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0]))
```

"""


@dataclass(frozen=True)
class SourceTokens:
    """How many tokens of a source were trained on, repeats counted."""

    source: str
    licence: str
    tokens: int


@dataclass(frozen=True)
class StageResult:
    """One stage and its perplexity on held-out documents, with a 95 % interval."""

    name: str
    context_length: int
    tokens: int
    perplexity: float
    low: float
    high: float


@dataclass(frozen=True)
class Card:
    """All that the card says of one model."""

    name: str
    licence: str
    """An SPDX identifier."""
    num_parameters: int
    context_length: int
    tuned_on: str
    """The instruction data in words; empty for a base model."""
    template: str
    """The entry of TEMPLATES in tokenizer/chat.py that it was tuned with; empty for a base model."""
    sources: Sequence[SourceTokens]
    stages: Sequence[StageResult]
    origin: str = ""
    """The Hugging Face folder that the weights were imported from; empty for weights that were trained here."""
    research_only: bool = False
    """Whether that was an instruct model: the released one may be used for research only."""


def _prompt(template: str) -> str:
    if not template:
        return ""
    form = template_named(template)
    opening = form.system + form.after_system if form.system else ""
    return PROMPT.format(form=f"{opening}{form.human} {{prompt}}{form.assistant} {{response}}")


def _licence(card: Card) -> str:
    if card.research_only:
        return "license: other\nlicense_name: research-only"
    return f"license: {card.licence.lower()}"


def render(card: Card) -> str:
    """Write the card."""
    kind = f"tuned to follow instructions on {card.tuned_on}" if card.tuned_on else "a base model"
    kind += f", imported from {card.origin}" if card.origin else ""
    sources = [f"| {source.source} | {source.licence} | {source.tokens:,} |" for source in card.sources]
    stages = [
        f"| {stage.name} | {stage.context_length:,} | {stage.tokens:,} | {stage.perplexity:.2f} "
        f"({stage.low:.2f} to {stage.high:.2f}) |"
        for stage in card.stages
    ]
    return f"""---
{_licence(card)}
library_name: transformers
pipeline_tag: text-generation
tags:
- xgen
- llama
- long-context
---

# {card.name}

A causal language model of {card.num_parameters:,} parameters with a context of {card.context_length:,} tokens; {kind}.
Architecture: LLaMA. Made with xgen, which follows the XGen-7B technical report.

{RESEARCH_ONLY if card.research_only else ""}## Use

No code beyond transformers is needed.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
inputs = tokenizer("The world is", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0]))
```

{_prompt(card.template)}## Training data

| source | licence | tokens trained on |
|---|---|---:|
{chr(10).join(sources)}

## Stages

Perplexity on held-out documents, each read from its start to the context of the stage; in brackets 95 % intervals over
documents.

| stage | context | tokens | perplexity |
|---|---:|---:|---:|
{chr(10).join(stages)}

## Limits

{LIMITS.format(context_length=card.context_length)}
"""
