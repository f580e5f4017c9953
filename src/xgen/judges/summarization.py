"""Summaries of long dialogues, scored with ROUGE (section 5.3.2, table 13): AMI, ForeverDreaming and TVMegaSite.

Only sources under 8K tokens of our tokenizer count, as in the report. The prompt is ours, since the report prints none.
ROUGE is F1 in percent by the package rouge-score, with and without its stemmer; rougeL compares whole texts, which the
proportions of table 13 say is the report's R-L, and rougeLsum sentence by sentence, which others call R-L.
"""

import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.ledger import read_json_lines
from xgen.speakers.asking import Asked
from xgen.speakers.fitting import fit
from xgen.tokenizer.encoding import encode

LONGEST_SOURCE = 8_192
SUMMARY_TOKENS = 512
PROMPT = "Summarize the dialogue below.\n\n{dialogue}\n\nWrite a summary of this dialogue."
MEASURES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
PUBLISHED_SOURCE_TOKENS = {"AMI": 5_570, "FD": 6_466, "TMS": 7_653}


@dataclass(frozen=True)
class Dialogue:
    """A transcript, one turn a line, and its reference summary, one sentence a line."""

    key: str
    source: str
    summary: str


def read_dialogues(folder: Path) -> list[Dialogue]:
    """Read meetings in HMNet's layout or screenplays in SummScreen's, whichever the rows below `folder` are."""
    if not folder.exists():
        raise UserError(f"there is no {folder}", "a folder of dialogues", "Check the path.")
    paths = sorted(path for path in folder.rglob("*") if path.name.endswith((".jsonl", ".jsonl.gz", ".json")))
    found = [dialogue for path in paths for dialogue in _read(path)]
    if not found:
        raise UserError(
            f"{folder} holds no dialogues", "rows with meeting or Transcript", "Name the folder of a split."
        )
    return found


def _read(path: Path) -> Iterator[Dialogue]:
    if path.suffix == ".json" and not path.read_bytes().lstrip().startswith(b"{"):
        return  # HMNet keeps a list that describes each split beside it
    for number, row in enumerate(read_json_lines(path), start=1):
        try:
            if "meeting" in row:
                turns = [f"{turn['role']}: {' '.join(turn['utt']['word'])}" for turn in row["meeting"]]
                yield Dialogue(row["id"], "\n".join(turns), "\n".join(row["summary"]))
            elif "Transcript" in row:
                key = str(row.get("filename", f"{path.stem}/{number}"))
                yield Dialogue(key, "\n".join(_lines(row["Transcript"])), "\n".join(_lines(row["Recap"])))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"row {number} of {path} lacks {error}",
                "id, meeting and summary (HMNet's layout), or Transcript and Recap (SummScreen's)",
                "Restore the file.",
            ) from None


def _lines(text: str | list[str]) -> list[str]:
    return text.splitlines() if isinstance(text, str) else text


def summarize(dataset: str, dialogues: Sequence[Dialogue], model: Asked) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Let a model summarize the dialogues that are short enough; returns a row for each, and their scores."""
    lengths = [len(encode(dialogue.source)) for dialogue in dialogues]
    kept = [(dialogue, length) for dialogue, length in zip(dialogues, lengths, strict=True) if length < LONGEST_SOURCE]
    if not kept:
        raise UserError(
            f"all {len(dialogues)} dialogues of {dataset} are longer than {LONGEST_SOURCE:,} tokens",
            "some that are shorter",
            "Add shorter ones: the report leaves out what is longer.",
        )
    asked = [
        fit(
            model.speaker,
            f"summarization/{dataset}/{dialogue.key}",
            dialogue.source,
            lambda text: PROMPT.replace("{dialogue}", text),
            SUMMARY_TOKENS,
        )
        for dialogue, _ in kept
    ]
    replies = model.replies([each.request for each in asked])
    rows = [
        {
            "key": dialogue.key,
            "source_tokens": length,
            "cut_tokens": each.cut_tokens,
            "summary": reply.text,
            "reference": dialogue.summary,
            "failure": reply.failure,
        }
        for (dialogue, length), each, reply in zip(kept, asked, replies, strict=True)
    ]
    scores = {
        **rouge([row["summary"] for row in rows], [row["reference"] for row in rows]),
        "summaries": len(rows),
        "left_out": len(dialogues) - len(rows),
        "truncated": sum(row["cut_tokens"] > 0 for row in rows),
        "failed": sum(bool(row["failure"]) for row in rows),
        "mean_source_tokens": statistics.fmean(length for _, length in kept),
        "published_source_tokens": PUBLISHED_SOURCE_TOKENS.get(dataset, 0),
    }
    return rows, scores


def sentences(text: str) -> str:
    """Put each sentence of a text on a line of its own, which is how rougeLsum tells them apart."""
    parts = [part.strip() for line in text.splitlines() for part in re.split(r"(?<=[.!?])\s+", line)]
    return "\n".join(part for part in parts if part)


def rouge(summaries: Sequence[str], references: Sequence[str]) -> dict[str, dict[str, float]]:
    """Average F1 in percent over pairs, as {"stemmed": {"rouge1": ...}, "plain": {...}}."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise UserError(
            "the package rouge-score is not installed",
            "it, to score summaries",
            "Install it: pip install 'xgen[eval]'.",
        ) from None
    found = {}
    for name, stemmed in (("stemmed", True), ("plain", False)):
        scorer = RougeScorer(list(MEASURES), use_stemmer=stemmed)
        pairs = [
            scorer.score(reference if "\n" in reference else sentences(reference), sentences(summary))
            for summary, reference in zip(summaries, references, strict=True)
        ]
        found[name] = {
            measure: 100 * statistics.fmean(pair[measure].fmeasure for pair in pairs) for measure in MEASURES
        }
    return found
