"""The command line: a verb, what it is about, and typed overrides of the recipe.

A `UserError` is one sentence and exit code 2; a signal, with everything saved, is one line and 128 + its number.
Nothing heavy is imported before a verb is known.
"""

import dataclasses
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

VERBS = {
    "quickstart": "the whole pipeline: prepare, pretrain, evaluate, instruct, generate, export, report",
    "prepare": "collect, tokenize, shuffle and pack the data of a recipe",
    "audit": "show what prepared data holds, and verify it",
    "pretrain": "train the base model through its stages of growing context",
    "instruct": "tune the base model on conversations",
    "evaluate": "measure perplexity by position for each stage, or run a suite of tasks (--suite)",
    "generate": "continue a prompt",
    "chat": "talk with a model in the terminal",
    "export": "write a verified Hugging Face folder",
    "import": "make a run of a Hugging Face folder",
    "report": "write the report page of a run",
}
EPILOGUE = """\
A target is a recipe (micro, tiny, xgen_7b), a run folder (runs/...), or, to evaluate, generate, chat or import, a
Hugging Face folder. Any value of the recipe can be overridden, typed and checked:

  xgen quickstart tiny
  xgen pretrain tiny --stages.2.context-length 512 --optimizer.peak-learning-rate 2e-3
  xgen chat tiny
  xgen pretrain --help"""
COMPUTING = ("quickstart", "pretrain", "instruct", "evaluate")
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None and sys.platform == "linux" and arguments and arguments[0] in COMPUTING:
        if any(argument.startswith("--hosts.") for argument in arguments):
            from xgen.parallel.watch import watched

            return watched(arguments, HUGE_PAGES | os.environ)
        _start_with_huge_pages(arguments)
    from xgen.core.errors import Stopped, UserError

    try:
        _run(arguments)
    except UserError as error:
        print(f"xgen: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"xgen: {stopped}", file=sys.stderr)
        return 128 + stopped.signal_number
    except KeyboardInterrupt:
        print("\nxgen: interrupted; the same command continues where it was", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in OUT_OF_SPACE:
            raise
        print(
            f"xgen: no space is left to write {error.filename or 'a file'}; expected room on the disk. Free some "
            "space and run the same command again: it continues where it was.",
            file=sys.stderr,
        )
        return 2
    return 0


def _start_with_huge_pages(arguments: list[str]) -> None:
    """Start this program again with glibc's huge pages, which can only be asked for before a process begins.

    A training step on a CPU spends a fifth of its time on fresh small pages otherwise (docs/log.md).
    """
    if "GLIBC_TUNABLES" not in os.environ:
        os.execve(sys.executable, [sys.executable, "-m", "xgen.cli", *arguments], HUGE_PAGES | os.environ)


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items())
    return (
        "xgen: train, tune, judge and ship a long-context language model from scratch (XGen-7B, on JAX)\n\n"
        f"usage: xgen <verb> [target] [options]\n\n{verbs}\n\n{EPILOGUE}"
    )


def _run(arguments: list[str]) -> None:
    from xgen import __version__
    from xgen.core.errors import UserError, suggest

    if not arguments or arguments[0] in ("-h", "--help", "help"):
        return print(_overview())
    if arguments[0] == "--version":
        return print(f"xgen {__version__}")
    verb = arguments[0]
    if verb not in VERBS:
        raise UserError(f"there is no verb '{verb}'", "a verb of xgen", suggest(verb, VERBS))
    pipeline = importlib.import_module(f"xgen.pipelines.{'import_' if verb == 'import' else verb}")
    target, recipe, options = _parse(verb, pipeline.Options, arguments[1:])
    pipeline.run(target, recipe, options)


def _parse(verb: str, options: type, arguments: list[str]) -> tuple[Any, Any, Any]:
    """Find the target first, since its recipe gives the defaults of all that can be overridden."""
    import tyro

    from xgen.recipes.schema import Recipe
    from xgen.workspace.target import resolve

    named = arguments[0] if arguments and not arguments[0].startswith("-") else None
    target = resolve(named or "tiny")
    command = dataclasses.make_dataclass(
        "Command",
        [
            ("options", Annotated[options, tyro.conf.arg(name="")]),
            ("recipe", Annotated[Recipe, tyro.conf.arg(name="")], dataclasses.field(default=target.recipe)),
        ],
    )
    parsed = tyro.cli(
        command,
        prog=f"xgen {verb} [target]",
        description=f"{VERBS[verb]}.\n\n{EPILOGUE}",
        args=arguments[1:] if named else arguments,
        config=(tyro.conf.AvoidSubcommands,),
    )
    recipe = dataclasses.replace(parsed.recipe, data=parsed.recipe.data.unfolded())
    return target, recipe, parsed.options


if __name__ == "__main__":
    sys.exit(main())
