"""What people type to find their way: --help and the tabulator key."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from fedseg.data.cards import card_names
from tests.commands import COMMANDS, examples, find, is_group, parse

FEDSEG = Path(sys.executable).parent / "fedseg"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "fedseg")
def test_help_fits_a_screen_and_shows_an_example_that_holds(run_cli, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    done = run_cli(*command, "--help")
    assert done.returncode == 0
    lines = done.out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    found = examples(command)
    assert len(found) == 1 or is_group(command)
    for example in found:
        parse(example)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "fedseg")
def test_help_shows_what_each_argument_and_option_is_for(run_cli, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    shown = re.sub(r"[│\s]", "", run_cli(*command, "--help").out)
    for parameter in find(command).params:
        assert parameter.help, parameter.name
        assert re.sub(r"[`\s]", "", parameter.help) in shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("simulat", "simulate"),
        ("data chek", "check"),
        ("deplyo init", "deploy"),
        ("deploy servr", "server"),
        ("deploy nodez", "nodes"),
        ("deploy sing", "sign"),
        ("simulate --sed 3", "--seed"),
        ("data check camvid /x --splt val", "--split"),
        ("--verson", "--version"),
    ],
)
def test_what_is_misspelt_is_told_once(run_cli, typed, meant):
    done = run_cli(*typed.split())
    assert done.returncode == 2
    said = re.sub(r"[│\s]+", " ", done.err)
    assert said.lower().count("did you mean") == 1
    assert said.count(f"'{meant}'") == 1


@pytest.mark.parametrize(("typed", "known"), [("xyzzy", "simulate"), ("data xyzzy", "check, list")])
def test_a_word_like_no_command_names_those_there_are(run_cli, typed, known):
    done = run_cli(*typed.split())
    assert done.returncode == 2
    assert known in re.sub(r"[│\s]+", " ", done.err)


def test_the_version(run_cli):
    done = run_cli("--version")
    assert (done.returncode, done.out) == (0, f"fedseg {importlib.metadata.version('fedseg')}\n")
    module = subprocess.run(
        [sys.executable, "-m", "fedseg", "--version"], capture_output=True, text=True
    )
    assert (module.returncode, module.stdout) == (0, done.out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_for_each_shell(shell):
    script = _fedseg("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_FEDSEG_COMPLETE" in script


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("fedseg ", {"simulate", "distill", "compare", "evaluate", "predict", "data", "deploy"}),
        ("fedseg data ", {"list", "check", "cache"}),
        ("fedseg data check ca", {n for n in card_names() if n.startswith("ca")}),
        ("fedseg evaluate runs/a/global --dataset syn", {"synscapes", "synthia"}),
        ("fedseg simulate --ra", {"--ray-address"}),
        ("fedseg data check gta5 /data --split ", {"all", "train", "val", "test"}),
        ("fedseg evaluate model --dataset gta5 --split te", {"test"}),
        ("fedseg distill {run} --without su", {"suburb"}),
        ("fedseg deploy init folder --role ", {"trainer", "evaluator"}),
    ],
)
def test_the_tabulator_key_completes_commands_and_values(finished, typed, offered):
    typed = typed.format(run=finished / "runs" / "embedded")
    words = typed.split(" ")
    printed = _fedseg(
        _FEDSEG_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1)
    )
    assert offered <= {*printed.split()}


def _fedseg(*arguments, **environment):
    done = subprocess.run(
        [FEDSEG, *arguments], env=os.environ | environment, capture_output=True, text=True
    )
    return done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["simulate", "{}"],
        ["check", "{}"],
        ["evaluate", "model", "--suite", "{}"],
        ["deploy", "run", "{}", "--certs", "certs"],
    ],
    ids=lambda command: command[0],
)
def test_a_mistake_in_a_file_is_found_before_torch_is_imported(command, tmp_path):
    file = tmp_path / "federation.toml"
    file.write_text("sed = 1")
    done = without_torch(command, file)
    assert "unknown key 'sed'" in done.stderr
    assert done.stdout == "2 False\n"


@pytest.mark.parametrize("command", [["check", "{}"], ["simulate", "{}"]])
def test_a_misspelt_class_is_found_before_torch_is_imported(command, federation_data, tmp_path):
    file = tmp_path / "federation.toml"
    file.write_text(tomli_w.dumps(federation_data | {"classes": ["road", "persn"]}))
    done = without_torch(command, file)
    assert "'persn' (did you mean 'person'?)" in done.stdout + done.stderr
    assert done.stdout.endswith("2 False\n")


def without_torch(command, file):
    """Run a command on a file, and print its exit status and whether it imported torch."""
    arguments = ["fedseg", *(word.format(file) for word in command)]
    code = f"""
import sys
from fedseg.cli.main import main
sys.argv = {arguments}
try:
    main()
except SystemExit as end:
    print(end.code, "torch" in sys.modules)
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
