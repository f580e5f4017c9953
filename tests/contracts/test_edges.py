"""What the package never does at its edges: write files its own way, reach for a network, run what it reads."""

import ast

import pytest

from contracts.tree import SOURCE, modules, parsed, shown

LEDGER = SOURCE / "core" / "ledger.py"
NETWORK = {"socket", "ssl", "urllib", "http", "ftplib", "requests", "httpx", "aiohttp", "huggingface_hub", "fsspec"}
NETWORK |= {"wandb", "openai", "datasets"}
OPENS_WHAT_THE_USER_NAMED = {
    SOURCE / "sources" / "addresses.py": "fsspec",
    SOURCE / "train" / "followers.py": "wandb",
    SOURCE / "speakers" / "endpoint.py": "openai",
    SOURCE / "evals" / "files.py": "datasets",
}
CONFINED = SOURCE / "sandbox" / "confined.py"
PEER = SOURCE / "peers" / "huggingface.py"
PROGRAMS = {"pickle", "marshal", "shelve", "dill", "torch"}


def calls(path):
    return [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]


def imported(path) -> set[str]:
    """List the first names of everything that a file imports, at any depth, also late by `import_module`."""
    names = set()
    if any(getattr(call.func, "attr", getattr(call.func, "id", "")) == "import_module" for call in calls(path)):
        constants = (node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant))
        names |= {value.split(".")[0] for value in constants if isinstance(value, str)}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def opens_for_writing(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    texts = [
        value.value
        for value in (*call.args, *(keyword.value for keyword in call.keywords))
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]
    return name == "open" and any(set(text) & set("wax+") and len(text) <= 3 for text in texts)


def test_only_the_ledger_opens_files_for_writing():
    direct = [
        f"{shown(path)}:{call.lineno}"
        for path in modules()
        if path != LEDGER
        for call in calls(path)
        if opens_for_writing(call)
        or (isinstance(call.func, ast.Attribute) and call.func.attr in ("write_text", "write_bytes"))
    ]
    assert direct == []
    assert any(map(opens_for_writing, calls(LEDGER))), "the ledger itself is found"


def test_nothing_reaches_for_a_network():
    """Four files may: what a source, a data set, a follower or a judge is reached at, the user named."""
    reaching = {path: sorted(imported(path) & NETWORK) for path in modules() if imported(path) & NETWORK}
    for path, library in OPENS_WHAT_THE_USER_NAMED.items():
        assert library in reaching.pop(path), "the files that may are found"
    assert {shown(path): names for path, names in reaching.items()} == {}


@pytest.mark.parametrize("path", OPENS_WHAT_THE_USER_NAMED, ids=shown)
def test_what_may_reach_for_a_network_names_no_address_and_imports_it_late(path):
    constants = [node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)]
    module = ast.get_docstring(parsed(path), clean=False)
    addresses = [text for text in constants if isinstance(text, str) and "://" in text.replace(module, "")]
    assert addresses == ["://"] * len(addresses)
    top = [node for node in parsed(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    first = {name.split(".")[0] for node in top for name in [getattr(node, "module", None) or node.names[0].name]}
    assert not first & NETWORK


def test_nothing_that_is_read_can_run():
    """The peer is PyTorch's; it reads safetensors alone and runs no code of a folder."""
    programs = {path: sorted(imported(path) & PROGRAMS) for path in modules() if imported(path) & PROGRAMS}
    assert programs == {PEER: ["torch"]}
    loads = [call for call in calls(PEER) if getattr(call.func, "attr", "") in ("from_pretrained", "load")]
    flags = [{flag.arg: getattr(flag.value, "value", None) for flag in call.keywords} for call in loads]
    assert len(flags) == 2 and all(flag["trust_remote_code"] is False for flag in flags)
    assert sum(flag.get("use_safetensors", False) for flag in flags) == 1
    evaluated = [
        f"{shown(path)}:{call.lineno}"
        for path in modules()
        if path != CONFINED
        for call in calls(path)
        if getattr(call.func, "id", "") in ("eval", "exec")
        or any(
            keyword.arg == "allow_pickle"
            and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            for keyword in call.keywords
        )
    ]
    assert evaluated == []


def test_the_program_that_runs_generated_code_is_imported_by_nothing_and_needs_nothing_of_ours():
    naming = [shown(path) for path in modules() if "confined" in path.read_text() and path.name != "confined.py"]
    assert naming == ["src/xgen/sandbox/box.py"]
    imports = {
        alias.name
        for node in ast.walk(parsed(SOURCE / "sandbox" / "box.py"))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert "confined" not in imports and not {"xgen", "jax", "numpy"} & imported(CONFINED)
    assert any(getattr(call.func, "id", "") == "exec" for call in calls(CONFINED)), "it is found"


def test_no_environment_variable_configures_a_run():
    """The command line settles the allocator once, before anything is computed; nothing else looks."""
    reads = [
        f"{shown(path)}:{node.lineno}"
        for path in modules()
        if path.name != "cli.py"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
    ]
    assert reads == []
