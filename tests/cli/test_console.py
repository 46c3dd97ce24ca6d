import io

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedseg.cli import console


@pytest.fixture
def stderr(monkeypatch):
    """Makes stderr a terminal, or none; gives what is written to it."""

    def make(**settings):
        written = io.StringIO()
        fake = Console(file=written, width=100, **settings)
        monkeypatch.setattr(console, "progress", fake)
        return written

    return make


def two_clients():
    with console.Bars() as bars:
        for done in (1, 50, 100):
            bars("training", done, 100, name="metro", loss=1 / done)
            bars("training", done // 2, 100, name="suburb")
        bars("distillation", 1, 7, name="server")


def test_on_a_terminal_each_client_has_a_bar_and_the_time_left(stderr):
    clock = [0.0]
    written = stderr(force_terminal=True, get_time=lambda: clock[0])
    with console.Bars() as bars:
        for steps in (0, 10, 20):
            clock[0] = float(steps)
            bars("training", steps, 100, name="metro", loss=0.25)
            bars("training", 2 * steps, 100, name="suburb")
    shown = Text.from_ansi(written.getvalue()).plain.splitlines()
    [metro] = [line for line in shown if "metro" in line and "20/100" in line]
    [suburb] = [line for line in shown if "suburb" in line and "40/100" in line]
    assert "0:01:20" in metro  # 80 steps left at one a second
    assert "loss 0.250" in metro
    assert "0:00:30" in suburb


def test_without_a_terminal_lines_not_bars(stderr):
    written = stderr(force_terminal=False)
    two_clients()
    assert written.getvalue().splitlines() == [
        "metro: training 1/100 loss 1.00",
        "suburb: training 0/100",
        "server: distillation 1/7",
    ]


def test_a_long_stage_has_a_line_a_minute(stderr, monkeypatch):
    written = stderr(force_terminal=False)
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with console.Bars() as bars:
        for done in (*range(7), *[6] * 9):  # a step every 20 seconds, and then none
            bars("training", done, 9)
    assert written.getvalue().splitlines() == ["training 0/9", "training 3/9", "training 6/9"]


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet(stderr, terminal):
    written = stderr(force_terminal=terminal, quiet=True)
    two_clients()
    assert written.getvalue() == ""


@pytest.mark.parametrize("text", ["a[b]c", "[/x]", "[red]x", ":car:", "x\x1b[2Jy", "[link=file:x]"])
@pytest.mark.parametrize("terminal", [True, False])
def test_texts_of_others_are_shown_as_they_are(terminal, text):
    written = io.StringIO()
    plain_console = console.PlainConsole(file=written, width=100, force_terminal=terminal)
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    plain_console.print(text)
    plain_console.print(table)
    shown = Text.from_ansi(written.getvalue()).plain
    assert shown.count(text.replace("\x1b", r"\x1b")) == 5
    assert "\x1b[2J" not in written.getvalue()


def test_a_long_path_is_not_broken(capsys, monkeypatch):
    monkeypatch.setattr(console, "console", console.PlainConsole(width=40))
    path = "/".join(["folder [with] brackets"] * 10)
    console.show(f"report: {path}")
    assert capsys.readouterr().out == f"report: {path}\n"
