import subprocess
import sys

from fedseg.files import remove_unfinished

KILLED = """
import os, sys
from pathlib import Path
from fedseg.files import atomic_file, atomic_folder
folder = Path(sys.argv[1])
with atomic_folder(folder / "model") as model, atomic_file(folder / "score.json") as score:
    (model / "weights").write_text("half of")
    score.write_text("half of")
    os._exit(0)
"""


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path):
    for kept in (".DS_Store", ".gitignore", "score.json"):
        (tmp_path / kept).touch()
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True)
    assert len(list(tmp_path.iterdir())) == 5
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".DS_Store", ".gitignore", "score.json"}
