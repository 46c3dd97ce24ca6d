"""What enters an image: only files whose hashes were written down."""

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCKERFILE = (REPOSITORY / "docker/Dockerfile").read_text()
LOCK = (REPOSITORY / "docker/requirements.lock").read_text()


def locked():
    """Name and version of each locked package, and its hashes."""
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    for entry in entries:
        name, version = re.match(r"([\w.-]+)==([^ ;\\]+)", entry).groups()
        yield (
            name.lower().replace("_", "-"),
            version,
            re.findall(r"--hash=sha256:[0-9a-f]{64}", entry),
        )


def test_nothing_is_installed_without_a_hash():
    commands = re.findall(r"pip install (.+?)(?=;|&&|\n[A-Z]|\Z)", DOCKERFILE, re.DOTALL)
    assert len(commands) == 3
    for command in commands:
        of_a_lock = "--require-hashes" in command and ".lock" in command
        of_the_source = {"--no-deps", "--no-build-isolation", "."} <= set(command.split())
        assert of_a_lock or of_the_source, command


def test_each_locked_package_has_hashes_and_the_version_of_the_constraints():
    pins = dict(
        re.findall(r"^([\w.-]+)==([^ ;\n]+)", (REPOSITORY / "constraints.txt").read_text(), re.M)
    )
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    names = set()
    for name, version, hashes in locked():
        assert hashes, name
        assert pins.get(name, version) == version, name
        names.add(name)
    content = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    for requirement in content["project"]["dependencies"] + content["build-system"]["requires"]:
        assert re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-") in names
