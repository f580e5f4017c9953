"""Made-up run folders: a complete one with a tuned child, and a bare one that has only begun."""

import dataclasses
import math
from pathlib import Path

import pytest

from xgen.core.ledger import RunFolder
from xgen.recipes import tiny
from xgen.recipes.schema import to_plain
from xgen.train.stages import Stage, num_steps, place_of

# The plan of these pages is their own, so that the recipe may change without changing what they show.
PLAN = (("1a", 128, 219_136), ("1b", 256, 110_592), ("1c", 512, 49_152), ("2", 512, 32_768))
STAGES = [Stage(name, length, tokens, 2_048, f"stage-{name[0]}") for name, length, tokens in PLAN]
TINY = dataclasses.replace(tiny.TINY, stages=tuple(STAGES))

HOSTILE = "</pre><script>alert('x')</script><img src=\"https://evil.example/a.png\"> \x1b[31mred\u202e"

MANIFEST = {  # the parts of the prepared data's manifest that data/audit.py reads
    "sources": {
        "prose": {
            "read": {"documents": 900, "tokens": 1_200_000},
            "skipped": {"not UTF-8": 3},
            "fates": {
                "kept": {"documents": 700, "tokens": 800_000},
                "held out": {"documents": 150, "tokens": 390_000},
                "under 100 tokens": {"documents": 50, "tokens": 10_000},
            },
            "licences": {"MIT": 600, "Apache-2.0": 300},
        },
        "code": {
            "read": {"documents": 1_700, "tokens": 4_100_000},
            "skipped": {},
            "fates": {"kept": {"documents": 1_700, "tokens": 4_100_000}},
            "licences": {"PSF-2.0": 1_700},
        },
    },
    "stages": [
        {
            "name": stage.name,
            "context_length": stage.context_length,
            "rows": stage.num_rows,
            "tokens": stage.trained_tokens,
            "sources": {
                name: {
                    "wanted": fraction,
                    "tokens": round(fraction * stage.trained_tokens),
                    "documents": 321,
                    "draw": "part",
                    "repeats": 1.25,
                }
                for name, fraction in TINY.data.mixture(stage.mixture).fractions().items()
            },
        }
        for stage in TINY.stages
    ],
}


def metrics(count: int) -> list[dict]:
    """Lines of a training run whose loss falls from 10.9 and jumps where a stage begins."""
    lines = []
    for step in range(count):
        where = place_of(TINY.stages, step)
        wave = 0.12 * math.sin(7.3 * step) + 0.08 * math.sin(2.1 * step)
        jump = 0.5 * math.exp(-where.step_in_stage / 4) if where.stage_index else 0.0
        lines.append(
            {
                "step": step + 1,
                "stage": where.stage.name,
                "tokens": where.tokens_before + where.stage.batch_tokens,
                "loss": 5.9 + 5.0 * math.exp(-step / 35) + wave + jump,
                "grad_norm": 1.0,
                "learning_rate": 3e-3 * min(1.0, (step + 1) / 10) * (0.55 + 0.45 * math.cos(math.pi * step / 201)),
                "seconds": 0.75,
                "tokens_per_second": 2730.7,
            }
        )
    return lines


def perplexity_stage(name: str, context_length: int, start: float) -> dict:
    def part(value: float) -> dict:
        return {"perplexity": value, "low": value * 0.95, "high": value * 1.05}

    width = context_length // 16
    bins = [
        {
            "first": max(1, index * width),
            "last": (index + 1) * width - 1,
            "nll": 6.0,
            "standard_error": 0.02,
            **part(start * (0.45 + 0.55 * math.exp(-index / 4))),
        }
        for index in range(16)
    ]
    return {
        "name": name,
        "context_length": context_length,
        "tokens": 256 * (context_length - 1),
        "documents": 256,
        "bins": bins,
        "overall": part(start * 0.55),
        "first_eighth": part(start * 0.92),
        "last_eighth": part(start * 0.46),
    }


def write_metrics(run: RunFolder, lines: list[dict]) -> None:
    for line in lines:
        run.metrics.append(line)


@pytest.fixture
def bare(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "begun" / "runs" / "tiny-cab216e146", to_plain(TINY))
    write_metrics(run, metrics(12))
    return run


@pytest.fixture
def tuned(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(
        tmp_path / "runs" / "tiny-cab216e146-instruct-0011223344",
        to_plain(TINY),
        parent={"run": "tiny-cab216e146", "fingerprint": "cab216e146"},
    )
    write_metrics(run, [line | {"stage": "instruct", "loss": 5.0 - 0.02 * line["step"]} for line in metrics(40)])
    run.write_result("conversations", {"kept": 320, "dropped": {"longer than the context": 7}})
    run.write_result(
        "teaching",
        [
            [
                ("### Human: Write the docstring.\n\ndef add(a, b):\n    return a + b\n### Assistant:", False),
                (" Return the sum of a and b.<|endoftext|>", True),
            ]
        ],
    )
    run.write_result("samples", {"tuned": [{"prompt": "Continue.", "text": "import os", "finish": "stop"}]})
    return run


@pytest.fixture
def complete(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "runs" / "tiny-cab216e146", to_plain(TINY))
    write_metrics(run, metrics(num_steps(TINY.stages)))
    run.add_environment(
        {
            "time": "2026-11-22T13:00:00+00:00",
            "xgen": "0.1.0",
            "python": "3.11.2",
            "jax": "0.10.2",
            "platform": "cpu",
            "devices": ["cpu 0"],
            "cpu": "AMD EPYC 7B13",
            "cores": 2,
            "memory_gb": 15.6,
            "commit": "1f96e3c0aa55",
            "command": "xgen quickstart",
        }
    )
    run.add_environment({"time": "2026-11-22T13:05:00+00:00", "command": "xgen evaluate tiny"})
    run.write_result("data", MANIFEST)
    run.write_result(
        "perplexity",
        {
            "stages": [
                perplexity_stage("1a", 128, 1100.0),
                perplexity_stage("1b", 256, 980.0),
                perplexity_stage("1c", 512, 930.0),
                perplexity_stage("2", 512, 890.0),
            ]
        },
    )
    run.write_result(
        "samples",
        {
            "base": [
                {"prompt": "def main():\n", "text": "    return " + HOSTILE, "finish": "length"},
                {"prompt": "The license", "text": " of this software is granted to the the Python.", "finish": "stop"},
            ]
        },
    )
    run.write_result(
        "export",
        {"folder": "export", "max_difference": 3.1e-6, "tolerance": 1e-4, "dtype": "float32", "parameters": 13_911_168},
    )
    run.write_result("timings", {"prepare": 41.0, "pretrain": 151.0, "evaluate": 22.0, "peak_memory_gb": 2.4})
    return run
