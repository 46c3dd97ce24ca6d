import logging
import time

from fedseg.run.progress import FileProgress, LogProgress, read_all


def test_a_log_has_a_line_for_each_stage_and_minute(tmp_path, monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO)
    progress = LogProgress(FileProgress(tmp_path, "metro"), logging.getLogger("node"))
    for step in range(1, 131):  # a step a second
        now[0] += 1
        progress("training", step, 130, loss=1 / step)
    progress("evaluating", 1, 4)
    assert caplog.messages == [
        "training 1/130 loss 1",
        "training 61/130 loss 0.0164",
        "training 121/130 loss 0.00826",
        "evaluating 1/4",
    ]
    assert read_all(tmp_path)["metro"] == {"stage": "evaluating", "done": 1, "total": 4}
