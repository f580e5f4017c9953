"""What the XGen-7B report says of its own run, as data; a test compares it with both copies."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedTable:
    """One table of results: a row for each model; higher is better in all of them."""

    number: int
    title: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[int | float, ...]]
    note: str = ""


@dataclass(frozen=True)
class PublishedStage:
    context_length: int
    tokens: int


# Section 3 and table 1; tables 2 and 3 account for the last 300B as 174.52B of stage 1 and 110B of stage 2.
STAGES = (
    PublishedStage(2_048, 800_000_000_000),
    PublishedStage(4_096, 400_000_000_000),
    PublishedStage(8_192, 300_000_000_000),
)
# Tables 2 and 3: billions of tokens of each subset.
STAGE_1 = {"natural language": 1309.99, "code": 64.53}
STAGE_2 = {"data from stage 1": 55.0, "BigCode Starcoder": 55.0}
PARAMETERS = "7B"
VOCABULARY = 51_200
PRECISION = "FP32, matmul in BF16"
MIN_DOCUMENT_TOKENS = 100
# Section 4.
TUNING_LEARNING_RATE, TUNING_BETA1, TUNING_BETA2, TUNING_EPOCHS = 2e-5, 0.9, 0.99, 3
TUNING_BATCH, TUNING_CONTEXT_LENGTH = 128, 8_192
# Section 6: MWh = TPU-hours x power x PUE, tonnes of CO2 equivalent = MWh x 0.079.
TPU_HOURS, TPU_WATTS, PUE, MEGAWATT_HOURS, TONNES_PER_MWH, TONNES_CO2 = 270_336, 192, 1.10, 57, 0.079, 4.5

_MMLU = ("Humanities", "STEM", "Social Sciences", "Other", "Weighted average")
MMLU_FIVE_SHOT = PublishedTable(
    4,
    "MMLU, five-shot accuracy",
    _MMLU,
    {
        "XGen-7B": (33.8, 30.7, 40.0, 41.5, 36.3),
        "LLaMA-7B": (33.9, 30.6, 38.2, 38.2, 35.1),
        "OpenLLaMA-7B": (28.1, 28.5, 31.2, 32.8, 29.9),
        "Falcon-7B": (26.5, 25.4, 29.2, 26.8, 26.9),
        "MPT-7B": (25.9, 26.2, 26.9, 28.1, 26.7),
        "Redpajama-7B": (26.1, 25.2, 27.4, 26.7, 26.3),
        "Cerebras-GPT-13B": (26.1, 26.5, 25.8, 26.6, 26.2),
        "Dolly-v2-12B": (26.9, 25.7, 25.3, 26.5, 26.2),
        "OPT-13B": (26.2, 24.3, 23.4, 26.0, 25.1),
        "GPT-J-6B": (25.9, 24.0, 24.0, 25.8, 25.1),
    },
)
MMLU_ZERO_SHOT = PublishedTable(
    5,
    "MMLU, zero-shot accuracy",
    _MMLU,
    {
        "XGen-7B": (31.4, 27.8, 32.1, 37.2, 32.1),
        "LLaMA-7B": (32.3, 27.1, 31.3, 36.8, 32.0),
        "OpenLLaMA-7B": (28.0, 27.6, 28.9, 30.1, 28.6),
        "MPT-7B": (27.4, 25.2, 26.0, 30.7, 27.4),
        "Redpajama-7B": (27.5, 25.5, 24.2, 25.0, 25.8),
        "GPT-J-6B": (25.3, 24.5, 25.5, 27.6, 25.7),
        "Dolly-v2-12B": (26.2, 26.0, 24.0, 24.9, 25.4),
        "Cerebras-GPT-13B": (24.3, 25.0, 23.0, 26.0, 24.6),
        "OPT-13B": (26.3, 23.3, 23.6, 23.6, 24.4),
        "Falcon-7B": (24.8, 21.7, 24.0, 24.4, 23.9),
    },
)
COMMON_SENSE = PublishedTable(
    6,
    "Common sense and question answering, zero-shot",
    ("MMLU-wavg", "ARC_ch", "HellaSwag", "Winogrande", "TruthfulQA", "BoolQ", "PiQA", "OpenBookQA"),
    {
        "XGen-7B": (32.1, 41.2, 74.2, 64.9, 39.1, 74.3, 75.5, 40.2),
        "LLaMA-7B": (32.0, 44.8, 76.2, 69.6, 34.0, 74.9, 78.7, 44.2),
        "Falcon-7B": (23.9, 43.4, 76.4, 67.2, 34.3, 73.8, 79.4, 44.0),
        "MPT-7B": (27.4, 41.7, 76.1, 68.6, 33.4, 74.1, 79.1, 41.8),
        "OpenLLaMA-7B": (28.6, 38.7, 71.8, 67.0, 35.2, 70.6, 76.0, 39.0),
        "Redpajama-7B": (25.8, 39.1, 70.3, 63.8, 33.3, 69.3, 76.9, 40.0),
        "GPT-neox-20B": (24.5, 41.1, 70.5, 66.1, 31.4, 64.9, 76.7, 38.8),
        "OPT-13B": (24.4, 35.8, 69.9, 64.7, 33.9, 65.0, 75.7, 39.8),
        "GPT-J-6B": (25.7, 36.3, 66.2, 64.5, 36.0, 65.4, 75.4, 38.2),
        "Dolly-v2-12B": (25.4, 39.6, 70.8, 61.8, 34.4, 56.3, 75.4, 39.2),
        "Cerebras-GPT-13B": (24.6, 32.4, 59.4, 60.8, 39.2, 61.1, 73.5, 35.8),
        "StableLM-alpha-7B": (24.4, 27.0, 40.7, 51.5, 41.7, 59.0, 65.8, 32.4),
    },
)
HUMAN_EVAL = PublishedTable(
    7,
    "HumanEval, pass@1",
    ("pass@1",),
    {
        "XGen-7B": (14.20,),
        "MPT-7B": (15.90,),
        "OpenLLaMA-7B-v2": (14.83,),
        "LLaMA-2-7B": (13.55,),
        "LLaMA-7B": (10.38,),
        "Redpajama-7B": (5.24,),
        "OpenLLaMA-7B": (0.0,),
        "Falcon-7B": (0.0,),
    },
    note="OpenLLaMA-7B: consecutive whitespaces are treated as one. Falcon-7B: no meaningful code.",
)
TABLES = (MMLU_FIVE_SHOT, MMLU_ZERO_SHOT, COMMON_SENSE, HUMAN_EVAL)
