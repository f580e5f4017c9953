"""Small benchmarks of our own in the formats of others, and a judge that is a program behind a socket."""

import random
import re
from pathlib import Path

from xgen.core.ledger import write_json, write_json_lines, write_text
from xgen.judges import mt_bench

PROMPT = (
    "<|im_start|>system\nRank.\n<|im_end|>\n<|im_start|>user\n"
    "Rank model_1 and model_2.\n{instruction}|{output_1}|{output_2}\n<|im_end|>"
)
GRADES = "Coherence: [[{}]]\nRelevance: [[{}]]\nAccuracy: [[{}]]"


def write_benchmarks(folder: Path) -> list[str]:
    """Write files for every judged task; returns the options that name them."""
    rows = [{"instruction": f"Say {i}.", "output": f"It is {i}.", "dataset": "made"} for i in range(4)]
    write_json(folder / "alpaca" / "reference_outputs.json", rows)
    write_text(folder / "alpaca" / "alpaca_eval.txt", PROMPT)
    categories = ("extraction", "math", "coding", "reasoning")  # one temperature: one batch
    questions = [
        {"question_id": number, "category": category, "turns": [f"{category}?", "And?"]}
        for number, category in enumerate(categories, start=81)
    ]
    bench = folder / "mt_bench"
    write_json_lines(bench / "question.jsonl", questions)
    write_json_lines(
        bench / "judge_prompts.jsonl",
        [
            {
                "name": name,
                "system_prompt": "Judge.",
                "output_format": "[[rating]]" if name.startswith("single") else "[[A]]",
                "prompt_template": f"{name.split('-')[0]}:" + (" {answer_1}" if "single" in name else " {answer_a_1}"),
            }
            for name in mt_bench.PROMPTS
        ],
    )
    for place, name in (("reference_answer", "gpt-4"), ("model_answer", "gpt-3.5-turbo")):
        answers = [
            {"question_id": row["question_id"], "choices": [{"index": 0, "turns": ["One.", "Two."]}]}
            for row in questions
        ]
        write_json_lines(bench / place / f"{name}.jsonl", answers)
    write_text(folder / "texts" / "history" / "rome.txt", "Rome was not built in a day. " * 30)
    meeting = {"meeting": [{"role": "PM", "utt": {"word": ["Hello", "."]}}], "summary": ["They met."]}
    write_json_lines(folder / "ami" / "split_0.jsonl", [{"id": f"m{i}", **meeting} for i in range(4)])
    named = {"alpaca-eval": "alpaca", "mt-bench": "mt_bench", "long-texts": "texts", "ami": "ami"}
    return [part for option, place in named.items() for part in (f"--files.{option}", str(folder / place))]


def verdict(asked: dict) -> str:
    """Judge, write and summarize as a sensible model would, the same for the same prompt."""
    prompt = asked["messages"][-1]["content"]
    draw = random.Random(prompt)
    if "Rank model_1" in prompt:
        first = draw.choice((1, 2))
        return f"[{{'model': 'model_1', 'rank': {first}}}, {{'model': 'model_2', 'rank': {3 - first}}}]"
    if prompt.startswith("single"):
        return f"Fair. Rating: [[{draw.randrange(1, 11)}]]"
    if prompt.startswith("pair"):
        return f"[[{draw.choice('ABC')}]]"
    if "display only the top 3" in prompt:
        return "1. Why?\n2. How?\n3. When?"
    if "exactly three lines" in prompt:
        return GRADES.format(*(draw.randrange(4) for _ in range(3)))
    return "A summary, or an answer. " + re.sub(r"\W+", " ", prompt[-40:])
