"""Where things lie, and how files are written: completely or not at all."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import platformdirs

from fedseg.errors import FedsegError, why_unreadable

LONGEST_NAME = 255
"""Bytes that the name of a file may have, on nearly every file system."""
TEMPORARY = ".fedseg-"
"""Prefix of files that are being written. The final name is not part of it, as it may already be as
long as the file system allows."""
SHARED, PRIVATE, PRIVATE_FOLDER = 0o666, 0o600, 0o700
"""Permissions of new files before the umask, as of `open`; of keys and tokens, for their owner; and
of folders for their owner."""


class DamagedFile(FedsegError):
    """A file that fedseg wrote, but which no longer holds what was written."""


def app_dir() -> Path:
    """The Flower app's folder (pyproject.toml, clients/, server/, datasets/, examples/).

    In a wheel it lies inside the package; in a checkout it is the repository's root.
    """
    package = Path(__file__).resolve().parent
    bundled = package / "_app"
    return bundled if bundled.is_dir() else package.parent


EMBEDDED = app_dir() / "examples" / "embedded.toml"
"""The federation that runs where no file is given: streetsim, no download."""


def cache_dir() -> Path:
    """fedseg's cache: rendered streetsim images and surveys of datasets. Safe to delete.

    The environment variable FEDSEG_CACHE overrides the platform's usual place.
    """
    chosen = os.environ.get("FEDSEG_CACHE")
    return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("fedseg")


@contextmanager
def atomic_file(path: Path, mode: int = SHARED, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends without an error.

    Args:
        path: the file to write; its folder is made if needed.
        mode: permissions of the file, less those that the umask withholds.
        durable: wait until file and folder are on the disk, so that a power failure leaves either
            the old content or the new one. Without, it may leave a damaged file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path.parent, path.suffix)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    permissions = _permissions(temporary)
    try:
        yield temporary
        temporary.chmod(permissions)  # some writers put a file of their own in its place
        if durable:
            _sync(temporary)
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_file`, for a folder of shared files; an existing one is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path.parent)
    temporary.mkdir()
    permissions = _permissions(temporary)
    try:
        yield temporary
        for written in temporary.rglob("*"):
            # safetensors ignores the umask; the folder shows it.
            written.chmod(permissions if written.is_dir() else permissions & SHARED)
            _sync(written)
        _sync(temporary)
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(folder: Path, suffix: str = "") -> Path:
    """A path that nothing has, for what is being written."""
    return folder / f"{TEMPORARY}{secrets.token_hex(4)}{suffix}"


def _permissions(path: Path) -> int:
    """What the umask, or the folder's default access list, left of the mode of a new file."""
    return stat.S_IMODE(path.stat().st_mode)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of entries, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without fsync
            raise
    finally:
        os.close(handle)


@contextmanager
def private_files(folder: Path) -> Iterator[None]:
    """Within it, new files and folders are their owner's alone, and so is all that `folder` holds.

    The umask is that of the whole process, and of those that it starts.
    """
    before = os.umask(0o777 & ~PRIVATE_FOLDER)
    try:
        make_private(folder)
        yield
    finally:
        os.umask(before)


def make_private(folder: Path) -> None:
    """Make a folder and all that it holds, except what links in it lead to, its owner's alone.

    What belongs to another user, such as a volume's lost+found, is left as it is.
    """
    folder.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
    for parent, _, names in os.walk(folder.resolve()):
        _restrict(Path(parent), PRIVATE_FOLDER)
        for name in names:
            _restrict(Path(parent, name), PRIVATE)


def _restrict(path: Path, mode: int) -> None:
    """Withhold a file or folder from others; it may be gone meanwhile."""
    with suppress(FileNotFoundError, PermissionError):
        # A mode that is right stays: a change is one of the file, for `storage.hashes`.
        if not path.is_symlink() and _permissions(path) & 0o077:
            path.chmod(mode)


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if re.fullmatch(rf"{re.escape(TEMPORARY)}[a-z0-9_]{{8}}(\.\w+)?", path.name):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def check_writable(folder: Path, option: str = "--out") -> None:
    """See that a folder can be made and written to, before work is done for it.

    Args:
        folder: which.
        option: by which another is chosen.

    Raises:
        FedsegError: it is a file, lies below one, or may not be written to.
    """
    there = folder.absolute()
    try:
        while not there.exists() and there != there.parent:
            if there.is_symlink():
                raise FedsegError(f"{there}: is a link to nothing; choose another {option}")
            there = there.parent
        if not there.is_dir():
            below = "" if there == folder.absolute() else f", so {folder} can't lie below it"
            raise FedsegError(f"{there}: is a file{below}; choose another {option}")
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise FedsegError(f"{folder}: {reason}; choose another {option}") from None
    if not os.access(there, os.W_OK | os.X_OK) or not _takes_files(there):
        raise FedsegError(f"{there}: may not be written to; choose another {option}")


def holders_near(path: Path, *names: str) -> str:
    """`; did you mean 'PATH'?` for a path in place of a folder that holds one of some files.

    Args:
        path: what was given: a run folder for a checkpoint, a checkpoint for a run, or a file of
            one; nothing is found near what is not there.
        names: of the files.

    Returns:
        Names the nearest folders, three at most; empty if there is none.
    """
    start = path.parent if path.is_file() else path
    if not start.is_dir():
        return ""
    above = [Path(os.path.relpath(folder)) for folder in start.absolute().parents[:3]]
    if path.is_absolute():
        above = [folder.absolute() for folder in above]
    groups = ([start], start.glob("*"), start.glob("*/*"), *([folder] for folder in above))
    for group in groups:
        if found := sorted(f for f in group if any((f / name).is_file() for name in names)):
            return "; did you mean " + " or ".join(f"'{folder}'" for folder in found[:3]) + "?"
    return ""


def _takes_files(folder: Path) -> bool:
    """Whether a file can be made in a folder; root may write everywhere, but not to /proc."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY):
            return True
    except OSError:
        return False


def check_new_file(path: Path, option: str = "--out") -> None:
    """See that a file can be written or replaced, before work is done for it.

    Args:
        path: which.
        option: by which another is chosen.

    Raises:
        FedsegError: it is a folder, its name is too long, or its folder can't be written to.
    """
    check_writable(path.parent, option)
    if path.is_dir():
        raise FedsegError(f"{path}: is a folder; name a file with {option}")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise FedsegError(f"{path}: {os.strerror(errno.ENAMETOOLONG)}; choose another {option}")


def explain_os_error(error: OSError) -> str:
    """What the system says of a file, with a remedy where one is known."""
    reason = error.strerror or str(error)
    if is_disk_full(error):
        reason += "; make room, then repeat the command"
    if error.filename is None:
        return reason
    path = os.fsdecode(error.filename)
    cache = str(cache_dir())
    if path.startswith(cache) and not is_disk_full(error):
        reason += "; set FEDSEG_CACHE to a folder that can be written to"
    return f"{path}: {reason}"


def write_bytes(path: Path, content: bytes, mode: int = SHARED, durable: bool = True) -> None:
    """Write a file atomically."""
    with atomic_file(path, mode, durable) as temporary:
        temporary.write_bytes(content)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that the disk is full.

    Args:
        error: of the writer; safetensors and SQLite report a full disk only in words.
    """
    words = os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "database or disk is full"
    return any(phrase in str(error) for phrase in words)


def refuse_full_disk(error: BaseException, what: object) -> None:
    """Say that the disk is full, if that is why a library failed, and not what it says.

    Args:
        error: of the library.
        what: could not be written.

    Raises:
        FedsegError: the disk is full.
    """
    if is_disk_full(error):
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(what))
        raise FedsegError(explain_os_error(full)) from None


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Write UTF-8 text atomically; bytes of names that are not UTF-8 become escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"), durable=durable)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Write JSON atomically, indented for people."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n", durable)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read its bytes.

    Reading anything else, such as a pipe that somebody put in a file's place, may never end.

    Raises:
        OSError: it is missing, unreadable, or no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return os.fdopen(handle, "rb")


def read_text(path: Path, most: int | None = None) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Args:
        path: a regular file.
        most: bytes that it may have; None: any number.

    Raises:
        ValueError: it is not UTF-8, or longer.
        OSError: it is missing, unreadable, or no regular file.
    """
    with open_regular(path) as file:
        content = file.read() if most is None else file.read(most + 1)
    if most is not None and len(content) > most:
        raise ValueError(f"it has more than {most} bytes")
    return content.decode("utf-8-sig")


def read_json(path: Path, most: int | None = None) -> dict[str, Any]:
    """Read a JSON file that fedseg wrote.

    Args:
        path: the file.
        most: bytes that it may have, where others may have written it; None: any number.

    Raises:
        DamagedFile: it is not JSON, or no object.
        OSError: it is missing, unreadable, or no regular file.
    """
    try:
        content = json.loads(read_text(path, most))
    except (ValueError, RecursionError) as error:  # also what is not UTF-8
        raise damaged_file(path, why_unreadable(error)) from None
    if not isinstance(content, dict):
        raise damaged_file(path, f"expected a dict, found a {type(content).__name__}")
    return content


def damaged_file(path: Path, reason: object) -> DamagedFile:
    """The error for a file that no longer holds what was written to it."""
    return DamagedFile(f"{path}: damaged ({reason}); remove it and repeat the command that made it")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fitting_name(stem: str, ending: str) -> str:
    """A file name of a stem and an ending, shortened if no file system would take it.

    A shortened stem ends in a digest of the whole, so that different stems give different names.
    """
    if len(os.fsencode(stem + ending)) <= LONGEST_NAME:
        return stem + ending
    mark = f"-{digest(stem)}"
    room = LONGEST_NAME - len(os.fsencode(mark + ending))
    # A character whose bytes were cut in two is left out.
    start = os.fsencode(stem)[:room].decode(errors="ignore")
    return start + mark + ending


def digest(*parts: object) -> str:
    """A short stable name (16 hex digits) for anything whose `repr` is stable."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:16]
