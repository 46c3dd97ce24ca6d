import pytest

from fedseg.errors import FedsegError
from fedseg.run.folder import open_run


def test_the_same_federation_goes_on_and_another_is_refused(federation, tmp_path):
    run = open_run(tmp_path / "run", federation)
    assert open_run(tmp_path / "run", federation).path == run.path
    other = federation.model_copy(update={"seed": 99})
    with pytest.raises(FedsegError, match="already holds a run with another configuration"):
        open_run(tmp_path / "run", other)


def test_a_folder_that_holds_something_else_is_left_alone(federation, tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(FedsegError, match="is not empty and holds no run"):
        open_run(tmp_path, federation)
    with pytest.raises(FedsegError, match="is a file"):
        open_run(tmp_path / "thesis.tex", federation)
