import pytest

from fedseg.errors import FedsegError
from fedseg.planning import resources
from fedseg.planning.resources import Supply


@pytest.mark.parametrize(
    ("cores", "memory_gib", "gpus", "clients", "expected"),
    [
        (2, 24, 0, 2, (2, 1, 0.0, 2)),  # a core each
        (
            2,
            24,
            0,
            3,
            (3, 1, 0.0, 3),
        ),  # all three at once: the third would train beside an idle core
        (2, 24, 0, 4, (2, 1, 0.0, 2)),  # two by two
        (2, 9, 0, 3, (2, 1, 0.0, 2)),  # memory for two
        (16, 64, 0, 3, (16, 5, 0.0, 3)),  # all three at once
        (64, 16, 0, 64, (64, 16, 0.0, 4)),  # memory for four
        (2, 2, 0, 3, (2, 2, 0.0, 1)),  # little memory: one after another
        (16, 128, 2, 3, (16, 8, 1.0, 2)),  # a GPU each, for two at once
        (16, 128, 8, 3, (16, 5, 2.0, 3)),  # two GPUs each
    ],
)
def test_clients_side_by_side_as_the_machine_allows(
    monkeypatch, cores, memory_gib, gpus, clients, expected
):
    monkeypatch.setattr(resources, "cpus", lambda: cores)
    monkeypatch.setattr(resources, "memory", lambda: memory_gib * 2**30)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert resources.share(clients) == expected


@pytest.mark.parametrize(
    ("cores", "gpus", "clients", "each", "at_once"),
    [
        ((16, 10, 8), (0, 0, 0), 6, (5, 0.0), 6),  # 3 + 2 + 1 of 5 cores each
        ((2, 2), (0, 0), 6, (1, 0.0), 4),
        ((8, 8), (4, 3), 6, (2, 1.0), 6),
        ((8, 8), (4, 3), 3, (4, 2.0), 3),
        ((8, 8), (4, 3), 2, (8, 3.0), 2),
        ((8, 8, 8), (1, 1, 8), 2, (8, 4.0), 2),
        ((8,), (2,), 6, (4, 1.0), 2),
    ],
)
def test_clients_of_a_cluster_stay_on_one_machine(monkeypatch, cores, gpus, clients, each, at_once):
    there = Supply(cores, gpus, 2**40)
    monkeypatch.setattr(resources, "supply", lambda address: there)
    shares = resources.share(clients, "auto")
    assert (shares.cpus_per_client, shares.gpus_per_client) == each
    assert shares.at_once == at_once
    assert shares.at_once * shares.cpus_per_client <= there.cpus


@pytest.mark.parametrize("address", ["localhost:nothing", "127.0.0.1:1", "auto"])
def test_a_cluster_that_is_not_there_is_named(monkeypatch, tmp_path, address):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(FedsegError, match=f"ray_address: {address}: no Ray cluster"):
        resources.supply(address)
