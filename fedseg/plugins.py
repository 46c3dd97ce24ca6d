"""Code outside of the package, chosen by name: "module:object", as a configuration writes it.

A module may lie beside the federation file, or in the working directory. `locate_reference` then
puts the file's path in place of its name ("/folder/my_fusion.py:write_targets"), so that other
processes, resumed runs and the machines of a cluster find the same file.
"""

import hashlib
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from fedseg.errors import FedsegError, did_you_mean, explain_error


class _File(NamedTuple):
    """A module that was imported from a file."""

    module: ModuleType
    path: Path
    source: str
    """Its hash."""


_FILES: dict[str, _File] = {}
"""By the module's name."""
_FOLDERS: list[str] = []
"""Where such files lie."""
REFERENCE = re.compile(r"^[^:\s][^:\n]*:[A-Za-z_]\w*$")


def is_reference(name: str) -> bool:
    """Whether a name is that of code outside of the package."""
    return REFERENCE.fullmatch(name) is not None


def locate_reference(reference: str, folders: Iterable[Path] = ()) -> str:
    """Replace a module by its file, where it lies in one of some folders, or the working directory.

    Args:
        reference: "module:object" or "file.py:object".
        folders: looked through in this order, before the working directory.

    Returns:
        "/path/of/file.py:object"; where no folder has such a file, or for any other name, the name
        as it is.
    """
    if not is_reference(reference):
        return reference
    module, _, name = reference.rpartition(":")
    relative = Path(module if module.endswith(".py") else module.replace(".", "/") + ".py")
    for folder in (*folders, Path.cwd()):
        if (path := folder / relative.expanduser()).is_file():
            return f"{path.resolve()}:{name}"
    return reference


def module_name(reference: str) -> str:
    """The reference without the folder of its file, "module:object"; any other name as it is."""
    if not is_reference(reference):
        return reference
    module, _, name = reference.rpartition(":")
    return f"{Path(module).stem if module.endswith('.py') else module}:{name}"


def short_name(name: str) -> str:
    """The name of a card, a card's file or a plugin, without folder, suffix, package and object."""
    module = name.rpartition(":")[0]
    if not is_reference(name) or module.endswith(".py"):
        return Path(module or name).stem
    return module.rpartition(".")[2]


def load_object(kind: str, reference: str) -> Any:
    """Import what a reference names.

    Args:
        kind: what it is, for errors.
        reference: as `locate_reference` gives it.

    Raises:
        FedsegError: no such module or object, or importing it fails.
    """
    module, _, name = reference.rpartition(":")
    try:
        loaded = _import_file(Path(module)) if module.endswith(".py") else import_module(module)
    except FedsegError as error:
        raise FedsegError(f"{kind} '{reference}': {error}") from None
    except Exception as error:
        reason = f"{explain_error(error)}{_place(error)}"
        raise FedsegError(f"{kind} '{reference}': importing it failed: {reason}") from error
    if not hasattr(loaded, name):
        public = [each for each in vars(loaded) if not each.startswith("_")]
        hint = did_you_mean(name, public)
        raise FedsegError(f"{kind} '{reference}': the module has no '{name}'; {hint}")
    return getattr(loaded, name)


def check_signature(kind: str, name: str, target: Any, parameters: tuple[str, ...]) -> None:
    """See that something can be called with some arguments, by position.

    Raises:
        FedsegError: it can't.
    """
    expected = f"expected {kind}({', '.join(parameters)})"
    if not callable(target):
        raise FedsegError(f"{kind} '{name}': is a {type(target).__name__}; {expected}")
    signature = inspect.signature(target)
    try:
        signature.bind(*parameters)
    except TypeError:
        raise FedsegError(f"{kind} '{name}': takes {signature}; {expected}") from None


def check_methods(kind: str, name: str, target: Any, methods: Iterable[str]) -> None:
    """See that a class has some methods.

    Raises:
        FedsegError: it lacks one.
    """
    for method in methods:
        if not callable(getattr(target, method, None)):
            raise FedsegError(f"{kind} '{name}': has no method '{method}'")


def modules_of_files() -> list[ModuleType]:
    """Modules that this process imported from files: other machines can't import them by name."""
    return [file.module for file in _FILES.values()]


@contextmanager
def blame_plugin(kind: str, name: str) -> Iterator[None]:
    """Name a plugin in the errors that it raises, in one line, with their place in its code."""
    try:
        yield
    except (FedsegError, FloatingPointError):
        raise
    except Exception as error:
        if not is_reference(name):
            raise
        reason = f"{explain_error(error)}{_place(error)}"
        raise FedsegError(f"{kind} '{name}' failed: {reason}") from error


def source_hash(reference: str) -> str:
    """Hash a plugin's source: its file or, of a package, every Python file in it.

    Raises:
        FedsegError: there is no such module.
    """
    module, _, _ = reference.rpartition(":")
    path = Path(module) if module.endswith(".py") else _origin(module)
    if path is None or not path.is_file():
        raise FedsegError(f"'{reference}': no such module; name one that is installed, or a file")
    return _hash(_package(path)[0], path)


def _hash(top: Path, path: Path) -> str:
    """Hash a file, or all Python files of the package `top` that it is in."""
    total = hashlib.sha256()
    for file in [path] if top == path else sorted(top.rglob("*.py")):
        total.update(f"{file.relative_to(top.parent)}\0".encode() + file.read_bytes())
    return total.hexdigest()[:16]


def _origin(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _import_file(path: Path) -> ModuleType:
    """Import a file by its module's name, so that other processes can unpickle what is in it.

    A file that changed, or another one of the same name, takes the place of what was imported.
    """
    if not path.is_file():
        raise FedsegError(f"{path}: no such file")
    top, name = _package(path)
    source = _hash(top, path)
    if (known := _FILES.get(name)) and known.path == path and known.source == source:
        return known.module
    _forget(name.partition(".")[0])
    _search_first(str(top.parent))
    with _without_bytecode():  # it counts as new if the source changes within the same second
        module = import_module(name)
    if module.__file__ is None or Path(module.__file__).resolve() != path.resolve():
        raise FedsegError(f"another module is called '{name}' ({module.__file__}); rename the file")
    _FILES[name] = _File(module, path, source)
    return module


def _forget(top: str) -> None:
    """Drop a module that was imported from a file, with all others of its package."""
    for name in [name for name in _FILES if name.partition(".")[0] == top]:
        del _FILES[name]
        for loaded in [each for each in sys.modules if each.partition(".")[0] == top]:
            del sys.modules[loaded]


def _search_first(folder: str) -> None:
    """Look for modules in a folder before others of plugins, and after all that is installed."""
    if folder not in _FOLDERS and folder in sys.path:
        return
    installed = [each for each in sys.path if each not in _FOLDERS]
    _FOLDERS[:] = [folder, *(each for each in _FOLDERS if each != folder)]
    sys.path[:] = [*installed, *_FOLDERS]
    invalidate_caches()


@contextmanager
def _without_bytecode() -> Iterator[None]:
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _package(path: Path) -> tuple[Path, str]:
    """The outermost package that a file is in, or the file itself; and its module's name."""
    top, parts = path, [path.stem] if path.stem != "__init__" else []
    while (top.parent / "__init__.py").is_file():
        top = top.parent
        parts.insert(0, top.name)
    return top, ".".join(parts)


def _place(error: Exception) -> str:
    """Where in a plugin's code an error came from."""
    here = str(Path(__file__).parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((here, "<frozen")) and "site-packages" not in (
            frame.filename
        ):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""
