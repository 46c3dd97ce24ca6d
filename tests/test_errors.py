import os

import pytest

from fedseg.errors import FedsegError, first_line, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Straße 3, née [x] :car: $a$ 日本", "Straße 3, née [x] :car: $a$ 日本"),
        ("a\x1b[31mred\x1b[0m", r"a\x1b[31mred\x1b[0m"),
        ("two\nlines\r\tof", r"two\nlines\r\tof"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("gnp\u202e.jpg", r"gnp\u202e.jpg"),
        ("\u2066\u200f\ufeff", r"\u2066\u200f\ufeff"),
        ("a\u2028b", r"a\u2028b"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("wide\u00a0space", "wide space"),
        (FedsegError("why"), "why"),
        ("", ""),
    ],
)
def test_plain(text, shown):
    assert plain(text) == shown
    assert plain(text).isprintable()


def test_a_long_text_keeps_its_start_and_its_end():
    shown = plain("start" + "x" * 10_000 + "end", most=100)
    assert len(shown) < 110
    assert shown.startswith("startx")
    assert shown.endswith("xend")


def test_the_first_line_of_an_error():
    assert first_line(ValueError("\n one\ntwo")) == "one"
    assert first_line(ValueError(" ")) == "ValueError"
