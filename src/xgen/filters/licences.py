"""Which licences let a text be used for training here, and how an installed distribution states its own."""

import re
from importlib.metadata import Distribution

PERMISSIVE = frozenset(
    (
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CNRI-Python",
        "HPND",
        "ISC",
        "LLVM-exception",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    )
)
"""SPDX identifiers that ask for no more than to be named."""

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
SPOKEN = {
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "psf": "PSF-2.0",
}
COPYLEFT = re.compile(rb"GNU (Lesser |Affero |Library )?General Public License|Mozilla Public License")
NOT_STATED = "not stated"
NO_LICENCES = ("DFSG approved", "OSI Approved")  # classifiers that are headings


def licence_of(distribution: Distribution) -> str:
    """Return what the metadata says, as an SPDX expression where it can be read as one, or "not stated"."""
    metadata = distribution.metadata.json
    if expression := metadata.get("license_expression"):
        return str(expression)
    stated = [line.split(" :: ")[-1] for line in metadata.get("classifier", []) if line.startswith("License ::")]
    if named := [name for name in stated if name not in NO_LICENCES]:
        return " AND ".join(sorted(CLASSIFIERS.get(name, name) for name in named))
    first_line = str(metadata.get("license") or "").strip().partition("\n")[0].strip()
    return SPOKEN.get(first_line.lower(), first_line) or NOT_STATED


def is_permissive(expression: str) -> bool:
    """Tell whether every licence that an expression names is permissive; one that is not known is not."""
    names = re.sub(r"\b(AND|OR|WITH)\b|[()]", " ", expression).split()
    return bool(names) and PERMISSIVE.issuperset(names)
