"""Processes of fedseg's own: they answer, end with their caller, and leave its script alone."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from fedseg.processes import Child, ProcessFailed, ProcessKilled, map_in_processes, messages
from tests.processes import wait_until_gone

SCRIPT = """
print("imported as", __name__)
import fedseg
dataset = fedseg.open_dataset(fedseg.Source(dataset="streetsim", split="harbour"))
print(len(dataset), "images")
"""
WAITING = """
import signal, time
from fedseg.processes import Child
from tests.test_processes import sleep
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
with Child(sleep):
    print("ready", flush=True)
    for _ in range(600):
        time.sleep(0.1)
"""


def square(number):
    return number**2


def refuse(number):
    raise OSError(28, "No space left on device", f"/disk/{number}")


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def say_hello(connection, name):
    connection.send(f"hello {name}")


def sleep(connection):
    with suppress(EOFError):
        connection.recv()  # until the caller is gone


def fail(connection):
    raise ValueError("unforeseen")


@pytest.mark.parametrize("count", [0, 1, 20])
def test_each_item_is_answered_once(count):
    assert sorted(map_in_processes(square, range(count), 2)) == [n**2 for n in range(count)]


def test_an_error_is_raised_here_and_keeps_its_file():
    with pytest.raises(OSError, match="No space left") as error:
        list(map_in_processes(refuse, range(3), 2))
    assert error.value.filename in ("/disk/0", "/disk/1")


def test_a_killed_process_is_named():
    with pytest.raises(ProcessKilled, match="SIGKILL"):
        list(map_in_processes(die, range(3), 2))


def test_messages_come_from_every_process():
    with Child(say_hello, "ann") as ann, Child(say_hello, "bob") as bob:
        assert {text for _, text in messages([ann, bob])} == {"hello ann", "hello bob"}


def test_an_unforeseen_error_is_printed_and_raised(capfd):
    with Child(fail) as child, pytest.raises(ProcessFailed, match="status 1"):
        list(messages([child]))
    assert "ValueError: unforeseen" in capfd.readouterr().err


@pytest.mark.parametrize("given", ["file", "standard input"])
def test_a_script_without_a_guard_is_not_imported_again(tmp_path, given):
    """Embedded data are rendered by processes; each of them would run the script once more."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script if given == "file" else "-"],
        input=SCRIPT,
        env=os.environ | {"FEDSEG_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "imported as __main__\n100 images\n"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_caller(tmp_path, end):
    caller = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        env=os.environ | {"MARK": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert caller.stdout.readline() == b"ready\n"
    caller.send_signal(end)
    caller.wait(timeout=90)
    wait_until_gone(tmp_path)
