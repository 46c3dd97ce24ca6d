"""Imports point one way: docs/architecture.md draws the layers."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    "extras",
    "extend",
    "cli",
    "workflows",
    "planning",
    "deployment",
    "report",
    "flower",
    "participants",
    "method",
    "evaluation",
    "training",
    "data",
    "run",
    "models",
    "streetsim",
    "storage",
    "config",
    "classes",
    "settings",
    "machine",
    "resize",
    "units",
    "registry",
    "plugins",
    "processes",
    "files",
    "errors",
)
"""From top to bottom: a package, or a file of the ground floor, imports only what lies below it."""
FILES = sorted(
    p for top in ("fedseg", "clients", "server") for p in ROOT.joinpath(top).rglob("*.py")
)


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(parts: list[str]) -> str:
    """The package of a module, or the module itself if it lies on the ground floor."""
    return parts[1] if parts[0] == "fedseg" and len(parts) > 1 else parts[0]


def module_of(path: Path) -> list[str]:
    return list(path.relative_to(ROOT).with_suffix("").parts)


def arrows() -> set[tuple[str, str]]:
    """Which room imports which."""
    found = set()
    for path in FILES:
        here = room_of(module_of(path))
        for name in imports_of(path):
            there = room_of(name.split("."))
            if name.split(".")[0] in ("fedseg", "clients", "server") and there != here:
                found.add((here, there))
    return found


def test_every_package_has_a_layer():
    rooms = {room_of(module_of(path)) for path in FILES} - {
        "clients",
        "server",
        "__init__",
        "__main__",
    }
    assert rooms == set(LAYERS)


def test_no_import_points_up():
    ranks = {name: rank for rank, name in enumerate(LAYERS)}
    upward = {(a, b) for a, b in arrows() if a in ranks and b in ranks and ranks[b] < ranks[a]}
    assert not upward
    assert not {(a, b) for a, b in arrows() if b in ("clients", "server") and a in ranks}


@pytest.mark.parametrize("path", FILES, ids=lambda path: ".".join(module_of(path)))
def test_what_a_library_module_must_not_import(path):
    module = module_of(path)
    libraries = {name.split(".")[0] for name in imports_of(path)}
    if module[:2] != ["fedseg", "cli"]:
        assert not libraries & {"typer", "rich"}
    if module[:2] == ["fedseg", "method"]:
        assert "matplotlib" not in libraries
    if module[0] == "fedseg" and module[1] not in ("flower", "deployment"):
        assert "flwr" not in libraries
    # They import the caller's script in each process; fedseg.processes does not.
    spawning = {"concurrent.futures.ProcessPoolExecutor", "multiprocessing.Pipe"}
    assert module == ["fedseg", "processes"] or not spawning & imports_of(path)
    assert not imports_of(path) & {"multiprocessing", "torch.multiprocessing"}


@pytest.mark.parametrize("package", [p for p in LAYERS if (ROOT / "fedseg" / p).is_dir()])
def test_a_package_says_what_lives_there(package):
    text = (ROOT / "fedseg" / package / "__init__.py").read_text()
    assert ast.get_docstring(ast.parse(text))
