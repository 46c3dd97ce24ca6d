import shutil

import pytest

from fedseg.errors import FedsegError
from fedseg.run.result import gather_result, load_result
from fedseg.run.uploads import read_accepted


def test_a_client_that_answered_and_one_that_did_not(run, federation):
    shutil.rmtree(run.clients / "two")
    reasons = {"two": "no disk"}
    result = gather_result(run, federation, "failed", reasons, {"clients": 1.5}, "too few")
    one, two = result.clients["one"], result.clients["two"]
    upload = read_accepted(run.clients / "one")
    assert one.is_good
    assert (one.images, one.iterations, one.bytes) == (4, 3, upload.bytes)
    assert (one.arch, one.encoder) == ("fpn", "tu-lcnet_050")
    assert one.coverage == [0, 2, 8, 10, 13]  # the classes painted in its world
    assert (two.is_good, two.reason) == (False, "no disk")
    assert result.failed_clients() == "client 'two': no disk; "
    assert not result.is_complete
    assert (result.error, result.evaluation, result.inconsistency) == ("too few", {}, {})
    assert result.seconds == {"clients": 1.5}


def test_a_client_of_which_nothing_is_known(run, federation, tmp_path):
    shutil.rmtree(run.clients / "one")
    result = gather_result(run, federation, "failed", {}, {})
    assert result.clients["one"].reason == "nothing was heard of it"


def test_what_was_written_is_read(run, federation):
    result = gather_result(run, federation, "completed", {}, {})
    result.write(run.result)
    assert load_result(run.path) == load_result(str(run.path)) == result


def test_a_folder_without_a_result(tmp_path):
    with pytest.raises(FedsegError, match=r"no result of a run; expected result\.json in it"):
        load_result(tmp_path)
