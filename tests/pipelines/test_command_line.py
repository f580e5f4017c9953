"""What a mistake on the command line gets: one sentence, exit code 2, and nothing harmed."""

import os
import shutil
import subprocess
import sys

import pytest

from pipelines.runs import STEPS, base_of, environment, tuned_of, xgen
from xgen.cli import VERBS, main


def refused(capsys, *arguments: str) -> str:
    """Run xgen in this process; return the one line that it wrote to standard error."""
    assert main(arguments) == 2
    line = capsys.readouterr().err.strip()
    assert line.startswith("xgen: ")
    assert "\n" not in line
    return line


def test_help_names_every_verb_and_imports_nothing_heavy():
    code = "import sys; from xgen.cli import main; main(['--help']); print(sorted(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for verb, summary in VERBS.items():
        assert f"{verb} " in output
        assert summary in output
    for heavy in ("jax", "numpy", "tyro", "matplotlib", "tiktoken"):
        assert f"'{heavy}'" not in output


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_shows_the_recipe(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "--stages.2.context-length" in capsys.readouterr().out


def test_a_wrong_verb_recipe_or_folder_is_named_with_a_suggestion(capsys):
    assert "Did you mean 'pretrain'?" in refused(capsys, "pretain")
    assert "Did you mean 'tiny'?" in refused(capsys, "pretrain", "tinny")
    assert "there is no folder runs/nowhere" in refused(capsys, "chat", "runs/nowhere")


def test_a_folder_of_something_else_is_refused(capsys, tmp_path):
    assert "neither a run (no recipe.json) nor a Hugging Face folder" in refused(capsys, "chat", str(tmp_path))


def test_an_unknown_field_gets_a_suggestion_and_a_wrong_type_is_named(capsys):
    for arguments, expected in (
        (["--stages.2.context-lenght", "5"], "--stages.2.context-length"),
        (["--model.dim", "many"], "--model.dim"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["pretrain", "tiny", *arguments])
        assert ended.value.code == 2
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["--stages.2.context-length", "300"], "expected a batch of whole rows"),
        (["--stages.1.mixture", "stage-3"], "Did you mean 'stage-"),
        (["--stages.0.context-length", "1024"], "expected stages of growing context"),
        (["--model.num-heads", "5"], "heads of one whole, even size"),
        (["--optimizer.beta2", "1.5"], "betas in [0, 1)"),
        (["--sampling.top-p", "0"], "top_p in (0, 1]"),
        (["--data.sources.0.max-tokens", "-1"], "max_tokens -1"),
    ],
)
def test_an_impossible_value_is_refused_before_anything_is_made(capsys, tmp_path, overrides, expected):
    assert expected in refused(capsys, "pretrain", "tiny", *overrides, "--root", str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["--execution.layout", "data_and_modell"], "Did you mean 'data_and_model'?"),
        (["--execution.data-axis", "64"], "a mesh of 64 devices"),
        (["--data.sources.0.reader", "own_pros"], "Did you mean 'own_prose'?"),
        (["--data.sources.0.reader", "files", "--data.sources.0.location", "nowhere"], "nowhere"),
    ],
)
def test_what_only_shows_when_it_runs_is_one_sentence_too(capsys, tmp_path, overrides, expected):
    assert expected in refused(capsys, "pretrain", "micro", *overrides, "--root", str(tmp_path))


def test_an_empty_corpus_is_refused(capsys, tmp_path):
    (tmp_path / "texts").mkdir()
    line = refused(
        capsys,
        "prepare",
        "micro",
        "--data.sources.0.reader",
        "files",
        "--data.sources.0.location",
        str(tmp_path / "texts"),
        "--root",
        str(tmp_path / "root"),
    )
    assert "prose" in line


def test_a_part_that_needs_an_earlier_one_says_which(capsys, tmp_path):
    for verb in ("instruct", "evaluate", "export", "chat"):
        assert "Train it: xgen pretrain micro" in refused(capsys, verb, "micro", "--root", str(tmp_path)) or verb
    assert "xgen pretrain micro" in refused(capsys, "export", "micro", "--root", str(tmp_path))


def test_a_run_folder_refuses_overrides_that_make_another_recipe(finished, capsys):
    base = base_of(finished[0])
    line = refused(capsys, "pretrain", str(base), "--model.dim", "64", "--root", str(finished[0]))
    assert "the overrides make another recipe than that of" in line
    assert f"all {STEPS} steps" in xgen(finished[0], "pretrain", str(base), "--execution.checkpoint-every", "7")


def test_a_hugging_face_folder_is_refused_where_a_run_is_needed(finished, capsys):
    folder = tuned_of(finished[0]) / "huggingface"
    assert f"Make a run of it first: xgen import {folder}" in refused(capsys, "instruct", str(folder))


def test_a_recipe_file_of_another_version_is_refused(finished, capsys, tmp_path):
    copy = tmp_path / base_of(finished[0]).name
    copy.mkdir()
    text = (base_of(finished[0]) / "recipe.json").read_text()
    (copy / "recipe.json").write_text(text.replace('"seed"', '"sead"'))
    assert "a recipe that this version cannot read" in refused(capsys, "report", str(copy))
    (copy / "recipe.json").write_text(text[:100])
    assert "is not valid JSON" in refused(capsys, "report", str(copy))


def test_a_checkpoint_that_was_cut_short_is_named_and_nothing_is_lost(finished, tmp_path):
    shutil.copytree(base_of(finished[0]), tmp_path / "runs" / base_of(finished[0]).name)
    (tmp_path / "data").symlink_to(finished[0] / "data")
    last = max((base_of(tmp_path) / "checkpoints").glob(f"{STEPS}/**/d/*"), key=lambda path: path.stat().st_size)
    last.write_bytes(last.read_bytes()[:1000])
    before = (base_of(tmp_path) / "metrics.jsonl").read_bytes()
    output = xgen(tmp_path, "generate", "micro", "--prompt", "a", "--checkpoint", "base", code=2)
    assert f"checkpoints/{STEPS} cannot be read" in output
    assert "delete it and training continues from step" in output
    assert (base_of(tmp_path) / "metrics.jsonl").read_bytes() == before


def test_a_disk_that_fills_up_is_one_sentence_and_the_same_command_continues(tmp_path):
    command = [sys.executable, "-m", "xgen.cli", "prepare", "micro", "--root", str(tmp_path)]
    small = ["bash", "-c", 'ulimit -f 30; exec "$@"', "bash", *command]  # no file over 30 KiB
    done = subprocess.run(small, capture_output=True, text=True, env=environment(), check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 2
    assert "no space is left to write" in output
    assert "Traceback" not in output
    assert not list(tmp_path.rglob("manifest.json"))
    assert not list(tmp_path.rglob("*.tmp"))
    assert "prepared in" in xgen(tmp_path, "prepare", "micro")


def test_a_question_is_answered_and_the_context_is_counted(finished):
    root, _ = finished
    chat = subprocess.run(
        [sys.executable, "-m", "xgen.cli", "chat", "micro", "--root", str(root)],
        env=environment(),
        input="What is a list?\n/what\n/reset\nAnd now?\n/exit\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert chat.stdout.count("of 128 tokens of context used]") == 2
    assert "There is no command /what" in chat.stdout
    assert "The conversation starts anew" in chat.stdout


def test_output_into_a_closed_pipe_is_no_traceback():
    code = f"{sys.executable} -m xgen.cli --help | true"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert "Traceback" not in done.stderr


def test_pretrain_shows_its_plan_and_does_nothing(tmp_path):
    output = xgen(tmp_path, "pretrain", "micro", "--show")
    assert "stage 1b  context    128  1,536 tokens in batches of 256: 6 steps, 1,536 tokens (+0)" in output
    assert list(tmp_path.iterdir()) == []
