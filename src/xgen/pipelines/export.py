"""`xgen export`: write a Hugging Face folder, proven by a second network before it gets its name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xgen.core.ledger import RunFolder
from xgen.core.progress import say
from xgen.export.card import Card, SourceTokens, StageResult, render
from xgen.export.gguf import GgufType, write_gguf
from xgen.export.huggingface import Release, as_stored, write_folder
from xgen.export.llama_config import StorageType
from xgen.export.verify import Proof
from xgen.model.config import Compute
from xgen.model.params import count
from xgen.model.transformer import forward
from xgen.parallel.launch import launch
from xgen.recipes.schema import Recipe
from xgen.tokenizer.encoding import encode
from xgen.workspace.folders import Workspace, named_checkpoint, workspace_of
from xgen.workspace.loading import Loaded, load_checkpoint
from xgen.workspace.target import Target, require_runnable

PROOF_TEXT = """def area(width, height):
    \"\"\"Return the area of a rectangle.\"\"\"
    return width * height


The tide comes in twice a day, and the harbor wakes with it: 12 boats, 3 cranes, one clock.
"""
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Options:
    checkpoint: str = "latest"
    """"latest" (tuned if there is a tuned run), "base", "tuned", a stage, or a context (4K: its end)."""
    out: Path = Path()
    """The folder to write; by default huggingface/ inside the run."""
    dtype: StorageType = "float32"
    """How weights are stored; the released models are float32."""
    gguf: tuple[GgufType, ...] = ()
    """Kinds of GGUF files to write beside the folder, for llama.cpp: f32, f16, bf16, q8_0."""
    root: Path = Path()
    """Where runs/ and data/ lie."""


def run(target: Target, recipe: Recipe, options: Options) -> None:
    """Export one checkpoint of a run."""
    require_runnable(target, "export")
    launch(options.root / ".cache")
    workspace = workspace_of(target, recipe, options.root)
    folder = export(workspace, options.checkpoint, options.out, options.dtype)
    for kind in options.gguf:
        _write_gguf(workspace, options.checkpoint, folder, kind)


def export(workspace: Workspace, checkpoint: str, out: Path, dtype: StorageType) -> Path:
    """Write the folder and keep what its proof found beside the run's other results."""
    recipe = workspace.recipe
    source, _ = named_checkpoint(workspace, checkpoint)
    loaded = load_checkpoint(workspace, checkpoint)
    folder = source.path / "huggingface" if out == Path() else out
    release = Release(
        context_length=loaded.context_length,
        card=render(_card(workspace, loaded)),
        template=recipe.instruct.template if loaded.tuned else "",
        dtype=dtype,
    )
    params = {name: np.asarray(value) for name, value in loaded.params.items()}
    say(f"export {source.path.name}: {count(loaded.config):,} parameters as {dtype}")
    difference = write_folder(folder, loaded.config, params, release, _proof(params, recipe, dtype))
    say(f"  {folder}: logits differ from the model's by {difference:.1e} at most")
    source.write_result(
        "export",
        {
            "folder": str(folder),
            "max_difference": difference,
            "tolerance": TOLERANCE,
            "dtype": dtype,
            "parameters": count(loaded.config),
        },
    )
    return folder


def _write_gguf(workspace: Workspace, checkpoint: str, folder: Path, kind: GgufType) -> None:
    """Write <folder>-<kind>.gguf from the checkpoint itself, not from the folder's rounded weights."""
    loaded = load_checkpoint(workspace, checkpoint)
    params = {name: np.asarray(value) for name, value in loaded.params.items()}
    path = folder.with_name(f"{folder.name}-{kind}.gguf")
    template = workspace.recipe.instruct.template if loaded.tuned else ""
    write_gguf(path, loaded.config, params, loaded.context_length, kind, template)
    say(f"  {path}: {path.stat().st_size:,} bytes")


def _proof(params: dict[str, np.ndarray], recipe: Recipe, dtype: StorageType) -> Proof:
    """Ask our own network, in float32, what the folder must answer."""
    tokens = encode(PROOF_TEXT).astype(np.int32)[: recipe.context_length]
    stored = {name: jnp.asarray(value) for name, value in as_stored(params, dtype).items()}
    compute = Compute("float32", "definition", attention_block=1, loss_chunk=1, remat="none")
    logits = jax.jit(forward, static_argnums=(2, 3))(stored, jnp.asarray(tokens)[None], recipe.model, compute)
    return Proof(tokens, np.asarray(logits)[0], TOLERANCE)


def _card(workspace: Workspace, loaded: Loaded) -> Card:
    recipe, base = workspace.recipe, RunFolder.open(workspace.base)
    measured = (base.read_result("perplexity") or {"stages": []})["stages"]
    tokens = {stage.name: stage.trained_tokens for stage in recipe.stages}
    origin = base.parent() or {}
    return Card(
        name=loaded.name,
        licence="apache-2.0",
        num_parameters=count(loaded.config),
        context_length=loaded.context_length,
        tuned_on=", ".join(each.name for each in recipe.instruct.datasets) if loaded.tuned else "",
        template=recipe.instruct.template if loaded.tuned else "",
        sources=_trained_sources(recipe, base.read_result("data")),
        stages=[
            StageResult(
                found["name"],
                found["context_length"],
                tokens[found["name"]],
                found["overall"]["perplexity"],
                found["overall"]["low"],
                found["overall"]["high"],
            )
            for found in measured
        ],
        origin=origin.get("huggingface", ""),
        research_only=origin.get("instruct", False),
    )


def _trained_sources(recipe: Recipe, manifest: dict[str, Any] | None) -> list[SourceTokens]:
    """Add up what the stages took from each source."""
    if manifest is None:
        return []
    totals = {source.name: 0 for source in recipe.data.sources}
    for stage in manifest["stages"]:
        for name, taken in stage["sources"].items():
            totals[name] += taken["tokens"]
    return [
        SourceTokens(source.name, source.licence, totals[source.name])
        for source in recipe.data.sources
        if totals[source.name]
    ]
