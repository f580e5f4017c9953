"""StarCoder's 86 programming languages, each with its weight in StarCoder's training: gigabytes after all filters.

The first two tables of its report (Li et al. 2023), by the names of the folders of StarCoderData. JSON and YAML stand
there too, as formats of data; CSS as it was cut, to 3 GB. What the tables round to nothing counts a megabyte here.
"""

_VOLUMES = (
    "ada 0.26, agda 0.04, alloy 0.01, antlr 0.05, applescript 0.01, assembly 1.56, augeas 0.001, awk 0.02, "
    "batchfile 0.23, bluespec 0.03, c 53.89, c-sharp 44.66, clojure 0.46, cmake 0.45, coffeescript 0.64, "
    "common-lisp 1.40, cpp 48.92, css 3.00, cuda 0.56, dart 3.66, dockerfile 0.42, elixir 0.71, elm 0.30, "
    "emacs-lisp 0.41, erlang 0.70, f-sharp 0.61, fortran 1.78, glsl 0.40, go 23.78, groovy 0.91, haskell 2.23, "
    "html 29.36, idris 0.03, isabelle 0.08, java 86.94, java-server-pages 0.98, javascript 64.71, julia 1.31, "
    "kotlin 5.68, lean 0.09, literate-agda 0.01, literate-coffeescript 0.01, literate-haskell 0.05, lua 2.87, "
    "makefile 1.31, maple 0.01, markdown 74.93, mathematica 1.25, matlab 0.001, ocaml 1.03, pascal 1.68, "
    "perl 2.23, php 60.89, powershell 1.12, prolog 0.01, protocol-buffer 0.31, python 60.40, r 0.30, racket 0.03, "
    "restructuredtext 3.32, rmarkdown 0.06, ruby 6.81, rust 9.11, sas 0.12, scala 4.69, scheme 0.20, shell 3.09, "
    "smalltalk 0.58, solidity 0.85, sparql 0.04, sql 11.09, stan 0.01, standard-ml 0.19, stata 0.33, "
    "systemverilog 0.39, tcl 0.35, tcsh 0.02, tex 5.20, thrift 0.01, typescript 26.52, verilog 0.001, vhdl 0.94, "
    "visual-basic 1.42, xslt 0.05, yacc 0.11, zig 0.18"
)
LANGUAGES: tuple[tuple[str, float], ...] = tuple(
    (language, float(gigabytes)) for language, gigabytes in (entry.split(" ") for entry in _VOLUMES.split(", "))
)
