import io

from rich.console import Console

from fedseg.cli.console import PlainConsole
from fedseg.cli.tables import rich_table
from fedseg.evaluation.tables import ScoreTable

TABLE = ScoreTable(
    ("cityscapes", "a_b"), {"one": (0.5, 0.25), "two": (0.4, None)}, "mIoU in %, 5 & 6 classes"
)


def test_markdown():
    assert TABLE.markdown().splitlines() == [
        "| model | cityscapes | a_b | mean |",
        "| --- | ---: | ---: | ---: |",
        "| one | **50.0** | **25.0** | **37.5** |",
        "| two | 40.0 | - | - |",
        "",
        "mIoU in %, 5 & 6 classes",
    ]


def test_latex_escapes_names():
    lines = TABLE.latex().splitlines()
    assert r"model & cityscapes & a\_b & mean \\" in lines
    assert r"one & \textbf{50.0} & \textbf{25.0} & \textbf{37.5} \\" in lines
    assert lines[1] == r"\begin{tabular}{lrrr}"


def test_a_mean_needs_several_columns(capsys):
    single = ScoreTable(("city",), {"one": (0.5,)}, "")
    assert "mean" not in single.markdown()
    Console().print(rich_table(single))
    assert "50.0" in capsys.readouterr().out


def test_names_of_folders_do_not_break_a_table():
    odd = ScoreTable(("a|b",), {"run[1]/x&y\n{z}~^\\": (0.5,)}, "c|d")
    markdown = odd.markdown().splitlines()
    assert markdown[0] == r"| model | a\|b |"
    assert markdown[2].count(" | ") == 1
    assert r"run\[1\]/x&y" in markdown[2]
    assert len(markdown) == 5
    latex = odd.latex().splitlines()
    assert latex[5].startswith(r"run[1]/x\&y\textbackslash{}n\{z\}\textasciitilde{}")
    written = io.StringIO()
    PlainConsole(file=written, width=100).print(rich_table(odd))
    assert "run[1]/x&y" in written.getvalue()
