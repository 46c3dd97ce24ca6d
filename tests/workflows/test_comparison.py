import shutil

import pytest

from fedseg import config
from fedseg.errors import FedsegError
from fedseg.files import read_json, write_text
from fedseg.run.progress import FileProgress
from fedseg.run.records import SetScore
from fedseg.run.result import gather_result
from fedseg.workflows.comparison import REFERENCES, compare, mean_over_runs
from fedseg.workflows.server import run_server


@pytest.fixture
def completed(run, federation):
    run_server(run, federation, FileProgress(run.progress, "server"))
    gather_result(run, federation, "completed", {}, {}).write(run.result)
    return run


def picked(run):
    """The client that agrees most with the others."""
    agreement = read_json(run.inconsistency)["agreement"]
    return max(agreement, key=agreement.get)


def test_all_baselines_in_one_table_and_configurations_side_by_side(
    completed, federation, tmp_path
):
    table = compare([completed.path])
    baselines = ["fedavg", "ensemble", "feddf", "centralized"]
    apart = ["one+alone", "two+alone"]
    assert list(table.rows) == [
        *["one", "two", *baselines],
        *[*apart, "centralized+alone", "global", *REFERENCES],
    ]
    alone = [table.rows[name][0] for name in apart]
    best, mean = max(alone), sum(alone) / 2
    gain = table.rows["global"][0] - best
    assert [table.rows[name][0] for name in REFERENCES] == pytest.approx(
        [best, table.rows[f"{picked(completed)}+alone"][0], mean, gain]
    )
    assert "best of all" in completed.report.read_text()
    score = read_json(completed.score("feddf", "held-out"))
    assert table.rows["feddf"] == (score["miou"],)
    assert table.spreads is None

    again = tmp_path / "again"
    shutil.copytree(completed.path, again)
    write_text(again / "config.toml", config.dump(config.with_seed(federation, 9)))
    before = (completed.baseline("feddf") / "model.safetensors").stat().st_mtime_ns
    table = compare([completed.path, again])
    assert (completed.baseline("feddf") / "model.safetensors").stat().st_mtime_ns == before
    assert table.spreads["global"] == (0.0,)  # a copy differs in nothing
    assert "\u00b1 0.0" in table.markdown()
    assert not completed.predictions.exists()

    other = tmp_path / "other"
    shutil.copytree(completed.path, other)
    changed = federation.model_copy(update={"min_clients": 1, "client_timeout": 9.0})
    write_text(other / "config.toml", config.dump(changed))
    table = compare([completed.path, other, again])
    assert table.columns == ("held-out",)
    first = list(table.rows).index("global (run)")
    assert list(table.rows)[first : first + 2] == ["global (run)", "global (other)"]
    assert table.rows["global (run)"] == table.rows["global (other)"]
    assert table.spreads["global (run)"] == (0.0,)  # over two seeds
    assert table.caption.endswith("differ in: client_timeout, min_clients")


def test_runs_that_cannot_be_compared(completed, federation, run, tmp_path):
    with pytest.raises(FedsegError, match="not the folder of a completed run"):
        compare([tmp_path])
    other = tmp_path / "other"
    shutil.copytree(completed.path, other)
    flipped = federation.evaluation[0].model_copy(update={"protocol": config.Protocol(height=64)})
    changed = federation.model_copy(update={"evaluation": [flipped]})
    write_text(other / "config.toml", config.dump(changed))
    with pytest.raises(FedsegError, match="the runs share no evaluation set"):
        compare([completed.path, other])


def test_a_run_without_a_miou_leaves_the_mean_empty():
    def run(miou):
        score = SetScore(dataset="d", split="s", images=1, miou=miou, miou_classes=[], iou={})
        return {"global": {"city": score}}

    table = mean_over_runs([run(0.2), run(0.4)], ["global"], ("city",))
    assert table.rows["global"] == pytest.approx((0.3,))
    table = mean_over_runs([run(0.2), run(None)], ["global"], ("city",))
    assert table.rows["global"] == (None,)
    assert "| global | - |" in table.markdown()
