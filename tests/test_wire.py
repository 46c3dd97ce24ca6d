"""Weights travel in a Flower message and arrive as they were, in few pieces."""

import pytest
import torch
from flwr.app import Array, ArrayRecord
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from safetensors.torch import save_file

from fedseg.wire import FILE, checkpoint_record, from_record, to_record

WEIGHTS = {
    "conv.weight": torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last),
    "bn.running_mean": torch.randn(4),
    "bn.num_batches_tracked": torch.tensor(7),
    "half": torch.randn(2, 2).half(),
} | {f"layer{number}": torch.randn(1) for number in range(500)}


def test_weights_arrive_as_they_were_in_few_pieces():
    record = to_record(WEIGHTS)
    pieces = {i: piece.deflate() for i, piece in get_all_nested_objects(record).items()}
    assert len(pieces) <= 3  # the record, the array, its chunk
    arrived = from_record(inflate_object_from_contents(record.object_id, pieces))
    assert arrived.keys() == WEIGHTS.keys()
    for name, tensor in WEIGHTS.items():
        assert arrived[name].dtype == tensor.dtype
        assert torch.equal(arrived[name], tensor)


def test_a_record_is_empty_once_read():
    record = to_record(WEIGHTS)
    from_record(record)
    assert not record


def test_what_is_no_safetensors_file_is_refused():
    data = to_record(WEIGHTS)[FILE].data
    for wrong in (b"", data[:-1], b"\x80\x04" + data):  # the last: as a pickle begins
        with pytest.raises(ValueError, match=FILE):
            from_record(ArrayRecord({FILE: Array("uint8", (len(wrong),), "safetensors", wrong)}))
    with pytest.raises(KeyError):
        from_record(ArrayRecord(WEIGHTS))


def test_a_checkpoint_is_sent_as_its_file_holds_it(tmp_path):
    save_file({name: tensor.contiguous() for name, tensor in WEIGHTS.items()}, tmp_path / FILE)
    arrived = from_record(checkpoint_record(tmp_path))
    assert all(torch.equal(arrived[name], tensor) for name, tensor in WEIGHTS.items())
    assert arrived.keys() == WEIGHTS.keys()
