"""The values that filters need, stated in a recipe: which languages and licences may stay, and where lists lie."""

from dataclasses import dataclass

from xgen.filters.licences import PERMISSIVE

LANGUAGES = tuple("bg ca cs da de en es fr hr hu it ja nl pl pt ro ru sl sr sv uk zh".split())  # noqa: SIM905 - as a list it takes 22 lines
"""The 22 languages of the mixture of stage 1 (section 2), by ISO 639-1."""
CODE_EXTENSIONS = (
    ".apxc .asm .bat .c .cc .cls .cpp .cs .css .cu .cxx .dart .el .erl .ex .exs .f90 .go .groovy .h .hh .hpp .hs .html "
    ".java .jl .js .jsx .kt .kts .lisp .lua .m .md .ml .mm .php .pl .pm .ps1 .py .pyx .r .rb .rs .s .scala .scm .sh "
    ".sql .swift .tcl .tex .trigger .ts .tsx .v .vb .vhd .vim .zig"
)
"""Of files in programming languages, Apex among them; data and settings are none."""
STRICT = ("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "Unlicense", "Zlib")


@dataclass(frozen=True)
class FilterConfig:
    """What the filters of all sources of a recipe are told; a filter that no source names ignores its values."""

    languages: tuple[str, ...] = LANGUAGES
    """ISO 639-1 codes that the filter `language` lets stay."""
    code_extensions: tuple[str, ...] = tuple(CODE_EXTENSIONS.split())
    """Of files that the filter `code` lets stay, with the dot, in small letters; none allows all of them."""
    licences: tuple[str, ...] = tuple(sorted(PERMISSIVE - {"LLVM-exception"}))
    """SPDX identifiers that the filter `licence` lets stay."""
    strict_licences: tuple[str, ...] = STRICT
    """SPDX identifiers that the filter `strict-licence` lets stay: code of stage 2 is judged anew (section 2)."""
    evaluations: str = ""
    """A file, or a folder with all below it, of evaluations that the filter `decontamination` keeps out."""
    word_list: str = ""
    """A file of words and phrases, one a line, for the filter `toxicity`."""
    listed_share: float = 0.01
    """A document is dropped if more than this share of its words is on the list."""
