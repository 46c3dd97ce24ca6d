"""The documents: each command is a real one with real options, each link leads somewhere.

What stands before a block, as a comment that readers do not see, says more:
`run`: it is run, in order with the others of its page; `run: exit status 2`: and fails;
`file: NAME`: it is written to that file.
"""

import ast
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fedseg
from fedseg import config
from fedseg.data.cards import load_card
from tests.commands import parse

ROOT = Path(__file__).parents[1]
PAGES = [path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if path.is_file()]
PAGES += sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"(?:<!-- ([^\n]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
TOOLS = {
    "apt-get", "cd", "cp", "curl", "docker", "export", "flower-superexec", "flower-superlink",
    "flower-supernode", "flwr", "git", "make", "mkdir", "pip", "pytest", "ray", "ruff", "scp", "sh",
    "ssh",
}  # fmt: skip
"""Programs of others; what they take is not ours to check."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def blocks(page: Path, language: str) -> list[str]:
    return [code for _, kind, code in BLOCK.findall(page.read_text()) if kind == language]


def commands(code: str) -> list[str]:
    """The commands of a shell block, without comments and redirections."""
    lines = code.replace("\\\n", " ").splitlines()
    found = [part.strip() for line in lines for part in re.split(r"&&|\|", line.partition(" #")[0])]
    return [re.sub(r">\s*\S+$", "", part) for part in found if part and not part.startswith("#")]


@pages
def test_commands_are_real(page):
    for command in (c for code in blocks(page, "sh") for c in commands(code)):
        words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
        program = Path(words[0]).name
        if program == "fedseg":
            parse(shlex.join(words))
        elif program in ("python", "python3") and words[1] != "-m":
            source = (ROOT / words[1]).read_text()
            for option in (w for w in words[2:] if w.startswith("--")):
                assert option[2:].replace("-", "_") in source, command
        elif not (ROOT / words[0]).is_file():  # a script of ours
            assert program in TOOLS | {"python3"} or words[0] == ".", command


@pages
def test_links_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}
            assert heading in anchors, target


@pages
def test_python_and_federations_are_valid(page, tmp_path):
    for code in blocks(page, "python"):
        ast.parse(code)
    for code in blocks(page, "toml"):
        if "[[clients]]" in code and "[server]" in code:
            (tmp_path / "federation.toml").write_text(code)
            config.load(tmp_path / "federation.toml")


@pytest.mark.parametrize("name", ["quickstart", "data"])
def test_what_a_page_shows_is_run(name, run_cli, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(finished if name == "quickstart" else tmp_path)
    shown = {}
    page = (ROOT / "docs" / f"{name}.md").read_text()
    for mark, kind, code in BLOCK.findall(page):
        if mark.startswith("file: "):
            Path(mark.removeprefix("file: ")).write_text(code)
        elif mark.startswith("run") and kind == "python":
            exec(compile(code, name, "exec"), {})
        elif mark.startswith("run"):
            for line in code.splitlines():
                load_card.cache_clear()  # as in a process of its own
                command, _, target = line.partition(" > ")
                done = run_cli(*shlex.split(command)[1:])
                assert done.returncode == (2 if "exit status 2" in mark else 0), done.err
                shown[command] = done.out
                if target:
                    Path(target).write_text(done.out)
        elif kind == "text" and shown and page.index(code) > page.index(list(shown)[-1]):
            assert code in shown[list(shown)[-1]]  # what the page says a command says


def test_the_reference_is_that_of_the_models():
    written = runpy.run_path(str(ROOT / "docs" / "configuration.py"))["page"]()
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == written, "the models changed: run python docs/configuration.py"


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_docs_builds_the_site_without_a_warning(tmp_path):
    """Every link between pages leads to a page and a heading, and every page is in the menu."""
    pytest.importorskip("mkdocs")
    checkout = tmp_path / "checkout"
    left_out = shutil.ignore_patterns(".*", "site", "runs", "build", "*.safetensors", "__pycache__")
    shutil.copytree(ROOT, checkout, ignore=left_out)
    (checkout / ".venv").symlink_to(sys.prefix)
    done = subprocess.run(["make", "docs"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (checkout / "site" / "docs" / "api.html").read_text()
    shown = set(re.findall(r'<h3[^>]*class="doc doc-heading"[^>]*>\s*(?:<[^>]*>\s*)*(\w+)', page))
    left_out = {"__version__", "PALETTE"}
    assert {*fedseg.__all__} - left_out <= shown
