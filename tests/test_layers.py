"""Imports go one way: the table of docs/design.md says which wing may import which."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import eggseg
from eggseg import cli

PACKAGE = Path(eggseg.__file__).parent
DESIGN = PACKAGE.parent / "docs/design.md"
COMMANDS = {cli.module(name).removeprefix("eggseg.").replace(".", "/") for name in cli.COMMANDS} | {"__main__"}


def files() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


FILES = files()


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports anywhere in it, types included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "eggseg":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in FILES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)


def wing(module: str) -> str:
    """The wing of a module; of a file at the top its own name, of the package itself nothing."""
    parts = module.split(".")[1:]
    return "/".join(parts[: 2 if parts[:1] == ["labelfree"] else 1])


def allowed() -> dict[str, set[str]]:
    """Which wing may import which, as docs/design.md says."""
    rows = re.findall(r"^\| `([\w/]+?)/?` \|.*\| ([`\w/ ]*)\|$", DESIGN.read_text(), re.M)
    return {name: set(re.findall(r"`([\w/]+)`", may)) for name, may in rows}


def wings() -> dict[str, set[str]]:
    """Which wing imports which."""
    found: dict[str, set[str]] = {}
    for module, path in FILES.items():
        found.setdefault(wing(module), set()).update(wing(name) for name in imported(path))
    return {name: others - {name, ""} for name, others in found.items()}


def test_the_table_names_every_wing_and_has_no_circle() -> None:
    assert allowed().keys() == wings().keys() - COMMANDS - {"", "api", "labelfree"}
    graphlib.TopologicalSorter(allowed()).prepare()


@pytest.mark.parametrize("name", sorted(allowed()))
def test_a_wing_imports_what_its_row_allows_and_no_more(name: str) -> None:
    assert wings()[name] == allowed()[name]


def test_no_file_but_the_api_imports_a_command() -> None:
    found = {module: {wing(name) for name in imported(path)} & COMMANDS for module, path in FILES.items()}
    assert found.pop("eggseg.api")
    assert {module: names for module, names in found.items() if names} == {}


def test_no_files_import_each_other_in_a_circle() -> None:
    # A package stands for its files: its __init__ is imported with each of them.
    graph = {module: {name for name in imported(path) if name != "eggseg"} for module, path in FILES.items()}
    graphlib.TopologicalSorter(graph).prepare()


LIGHT = ["pictures.pillow", "data.classes", "data.masks", "data.pairs", "training.config", "kitchen.scenes"]


def test_what_needs_no_tensorflow_does_not_import_it() -> None:
    program = f"import sys, {', '.join(f'eggseg.{name}' for name in LIGHT)}; print('tensorflow' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
