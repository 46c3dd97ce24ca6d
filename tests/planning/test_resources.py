import pytest

from fedseg.config import Resources
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
    assert resources.share(clients, Resources()) == expected


@pytest.mark.parametrize(
    ("there", "wanted", "each", "at_once"),
    [
        (Supply((8,), (0,), 2**40), {"cpus_per_client": 3}, (3, 0.0), 2),
        (Supply((8,), (2,), 2**40), {"gpus_per_client": 0.5}, (2, 0.5), 4),
        (Supply((64,), (2,), 2**40), {"gpus_per_client": 0.3}, (10, 0.3), 6),
        (Supply((8,), (2,), 2**40), {"gpus_per_client": 0.25, "cpus_per_client": 4}, (4, 0.25), 2),
        (Supply((8,), (2,), 2**40), {"gpus_per_client": 0}, (1, 0.0), 6),
        (Supply((64,), (2,), 2**40), {"gpus_per_client": 0.4}, (16, 0.4), 4),
        (Supply((64,), (8,), 2**40), {"gpus_per_client": 4}, (32, 4.0), 2),
        # On a cluster: 6 clients of 5 cores on machines of 16, 10 and 8 (3 + 2 + 1).
        (
            Supply(
                (16, 10, 8),
                (
                    0,
                    0,
                    0,
                ),
                2**40,
            ),
            {"ray_address": "auto"},
            (5, 0.0),
            6,
        ),
        (
            Supply(
                (2, 2),
                (
                    0,
                    0,
                ),
                2**40,
            ),
            {"ray_address": "auto"},
            (1, 0.0),
            4,
        ),
        (
            Supply(
                (8, 4),
                (
                    0,
                    0,
                ),
                2**40,
            ),
            {"ray_address": "auto", "cpus_per_client": 3},
            (3, 0.0),
            3,
        ),
        (Supply((8, 8), (4, 3), 2**40), {"ray_address": "auto"}, (2, 1.0), 6),
        (
            Supply((8, 8), (4, 3), 2**40),
            {"ray_address": "auto", "gpus_per_client": 2},
            (4, 2.0),
            3,
        ),
    ],
)
def test_each_client_gets_what_the_file_says(monkeypatch, there, wanted, each, at_once):
    monkeypatch.setattr(resources, "supply", lambda address: there)
    shares = resources.share(6, Resources(**wanted))
    assert (shares.cpus_per_client, shares.gpus_per_client) == each
    assert shares.at_once == at_once
    assert shares.at_once * shares.cpus_per_client <= there.cpus


@pytest.mark.parametrize("wanted", [{"cpus_per_client": 3}, {"gpus_per_client": 5}])
def test_more_than_there_is_is_refused(monkeypatch, wanted):
    monkeypatch.setattr(resources, "supply", lambda address: Supply((2, 2), (3, 4), 2**40))
    with pytest.raises(FedsegError, match=r"there are.*; lower it") as caught:
        resources.share(2, Resources(**wanted))
    assert next(iter(wanted)) in str(caught.value)


@pytest.mark.parametrize("address", ["localhost:nothing", "127.0.0.1:1", "auto"])
def test_a_cluster_that_is_not_there_is_named(monkeypatch, tmp_path, address):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(FedsegError, match=f"ray_address: {address}: no Ray cluster"):
        resources.supply(address)


def test_a_part_of_more_than_one_gpu_is_refused():
    assert Resources(gpus_per_client=2).gpus_per_client == 2
    with pytest.raises(ValueError, match="whole ones"):
        Resources(gpus_per_client=1.5)
