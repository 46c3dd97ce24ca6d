import numpy as np

from fedseg.files import read_json
from fedseg.run.curves import write_curve


def test_a_short_curve_is_kept_as_it_is(tmp_path):
    write_curve(tmp_path / "curve.json", [3.0, 2.5])
    assert read_json(tmp_path / "curve.json") == {"iterations": [1, 2], "loss": [3.0, 2.5]}


def test_a_long_one_in_means(tmp_path):
    losses = np.linspace(5, 1, 90_001).tolist()
    write_curve(tmp_path / "curve.json", losses)
    curve = read_json(tmp_path / "curve.json")
    assert len(curve["iterations"]) == len(curve["loss"]) == 200
    assert curve["iterations"][-1] == 90_001
    first = curve["iterations"][0]
    assert curve["loss"][0] == round(float(np.mean(losses[:first])), 5)
    assert (tmp_path / "curve.json").stat().st_size < 10_000
