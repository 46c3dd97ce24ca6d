"""What can be imported from `fedseg`: the examples in the docstrings run."""

import doctest
import subprocess
import sys

import pytest

import fedseg

NAMES = [name for name in fedseg.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_has_an_example_that_runs(name, finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    [example] = doctest.DocTestFinder(recurse=False).find(getattr(fedseg, name), name)
    assert example.examples
    failed = doctest.DocTestRunner().run(example).failed
    assert not failed, capsys.readouterr().out


def test_names_are_listed_and_unknown_ones_refused():
    assert set(NAMES) < set(dir(fedseg))
    with pytest.raises(AttributeError, match="'simulat'"):
        fedseg.simulat  # noqa: B018


def test_the_command_line_does_not_wait_for_libraries():
    """Neither `import fedseg` nor `fedseg --help` needs what takes long to import."""
    code = "import sys, fedseg.cli; print({'torch', 'numpy', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
