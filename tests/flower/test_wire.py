"""Weights travel in a Flower message and arrive as they were, in few pieces."""

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from safetensors.torch import save

from fedseg.flower import wire
from fedseg.flower.wire import from_records, to_records

WEIGHTS = {
    "conv.weight": torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last),
    "bn.running_mean": torch.randn(4),
    "bn.num_batches_tracked": torch.tensor(7),
    "half": torch.randn(2, 2).half(),
} | {f"layer{number}": torch.randn(1) for number in range(500)}


def sent(content):
    """What arrives of a message's content, and in how many pieces Flower sent it."""
    pieces = {i: piece.deflate() for i, piece in get_all_nested_objects(content).items()}
    count = len(pieces)
    return inflate_object_from_contents(content.object_id, pieces), count


def assert_equal(arrived):
    assert arrived.keys() == WEIGHTS.keys()
    for name, tensor in WEIGHTS.items():
        assert arrived[name].dtype == tensor.dtype
        assert torch.equal(arrived[name], tensor)


def test_weights_arrive_as_they_were_in_few_pieces():
    content, pieces = sent(RecordDict(to_records(WEIGHTS)))
    assert pieces == 2  # one for all weights, and what holds it
    assert_equal(from_records(content))


def test_many_weights_are_sent_in_records_of_limited_size(monkeypatch):
    monkeypatch.setattr(wire, "SHARD", 1000)
    records = to_records(WEIGHTS)
    sizes = [
        sum(tensor.nbytes for tensor in from_records(RecordDict({name: record})).values())
        for name, record in records.items()
    ]
    # The first tensor is of 4 rows of 300 bytes; then 32 bytes, and 500 times 4.
    assert sizes == [900, 1000, 1000, 332]
    content, _ = sent(RecordDict(records))
    assert_equal(from_records(content))


def test_rows_that_do_not_fit_together_are_refused():
    records = to_records({"a": torch.zeros(2, 3)}) | {
        "weights-1": ConfigRecord({"safetensors": save({"a": torch.zeros(2, 4)})})
    }
    with pytest.raises(ValueError, match="a: Sizes of tensors must match"):
        from_records(RecordDict(records))


def test_other_records_stay():
    content = RecordDict({"answer": ConfigRecord({"a": 1}), **to_records(WEIGHTS)})
    from_records(content)
    assert set(content) == {"answer"}


def test_what_is_no_safetensors_file_is_refused():
    data = save({"layer": torch.zeros(3)})
    for wrong in (b"", data[:-1], b"\x80\x04" + data, 3):  # the third: as a pickle begins
        with pytest.raises(ValueError, match="weights-7: "):
            from_records(RecordDict({"weights-7": ConfigRecord({"safetensors": wrong})}))
    with pytest.raises(ValueError, match="weights-7: "):
        from_records(RecordDict({"weights-7": ArrayRecord()}))
    with pytest.raises(ValueError, match="no weights"):
        from_records(RecordDict({"weights": ConfigRecord()}))
