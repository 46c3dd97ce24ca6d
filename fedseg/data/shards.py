"""Work on many images, in parts on all machines of a Ray cluster.

A part is a whole number of blocks, and images of a block are shown to a model together or not at
all, so that results are the same to the bit, however many machines there are.
"""

import logging
import socket
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fedseg.errors import FedsegError, RunFailed, first_line
from fedseg.plugins import modules_of_files
from fedseg.registry import MODELS

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Iterable[Result]]

BLOCK = 60
"""Items of a block: a multiple of all small numbers of images that a batch may have."""
PARTS = 4
"""Parts that a machine does, one after another, if all are equally fast: the last machine keeps the
others waiting for one of them at most."""
CONNECT_TIMEOUT = 30.0  # seconds
RETRIES = 3
"""Times that a part is done again elsewhere when its machine is lost."""


class Machine(NamedTuple):
    """A machine of a Ray cluster."""

    node: str
    """Its id in Ray."""
    cpus: int
    """Cores that Ray may use."""


class Here(NamedTuple):
    """What a part needs to know of the process that asks for it."""

    folder: Path
    models: list[str]
    """Plugins that checkpoints may name."""


def sharded(work: Work[Item, Result], items: Sequence[Item]) -> Iterator[Result]:
    """`work(items)`, by all machines of the Ray cluster that this process has joined.

    Without a cluster the work is done here. All machines must see the files that it reads and
    writes under the same paths.

    Args:
        work: gives results for some items, in their order. It is called with one part after
            another, and on a cluster is sent to the machines by pickle, so a model is loaded in it,
            on whatever device the machine has.
        items: what is to be done.

    Yields:
        All results, in order.

    Raises:
        RunFailed: machines of the cluster are lost.
        Exception: that `work` raises.
    """
    if not items:
        return
    if machines := _machines():
        yield from _spread(work, items, machines)
    else:
        yield from work(items)


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Join a Ray cluster, and leave it as it was.

    Args:
        address: HOST:PORT, or `auto` for the one of which this machine is a part; None: join none.

    Raises:
        FedsegError: there is no such cluster.
    """
    if address is None:
        yield
        return
    check_cluster(address)
    import ray

    try:
        warnings.simplefilter("ignore", FutureWarning)  # of Ray, on every start
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # whatever Ray raises
        raise _unjoinable(address, error) from None
    try:
        yield
    finally:
        ray.shutdown()


def check_cluster(address: str | None) -> None:
    """See that somebody listens at the address of a Ray cluster; `auto` is not looked up.

    Ray itself waits for many minutes where nobody does.

    Raises:
        FedsegError: nobody does.
    """
    host, _, port = (address or "").rpartition(":")
    if address and host:
        try:
            socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
        except (OSError, ValueError, OverflowError) as error:  # the latter of the port
            raise _unjoinable(address, error) from None


def _unjoinable(address: str, error: Exception) -> FedsegError:
    return FedsegError(
        f"ray_address: {address}: no Ray cluster can be joined there ({first_line(error)}); "
        "start one with `ray start --head`, or leave it out"
    )


def alive() -> list[dict[str, Any]]:
    """The nodes of the cluster that this process has joined, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _machines() -> list[Machine]:
    """Machines that have a core to give; none if there is nothing beside this one.

    Only the process that joined a cluster hands out work, not the clients that it simulates.
    """
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return []
    context = ray.get_runtime_context()
    if context.worker.mode != ray.SCRIPT_MODE:
        return []
    found = [Machine(node["NodeID"], int(node["Resources"].get("CPU", 0))) for node in alive()]
    found = [machine for machine in found if machine.cpus]
    return [] if [machine.node for machine in found] == [context.get_node_id()] else found


def _spread(
    work: Work[Item, Result], items: Sequence[Item], machines: list[Machine]
) -> Iterator[Result]:
    """`sharded`, where there are machines. Each does one part at a time, with all that it has."""
    import ray
    from ray import cloudpickle

    for module in modules_of_files():
        cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]

    blocks = ceil(len(items) / BLOCK)
    size = BLOCK * ceil(blocks / (PARTS * len(machines)))
    waiting = deque(range(0, len(items), size))
    shared, here = ray.put(work), Here(Path.cwd(), MODELS.all_trusted())
    running: dict[ray.ObjectRef[list[Result]], tuple[int, Machine]] = {}
    finished: dict[int, list[Result]] = {}
    due = 0

    def start(machine: Machine) -> None:
        if waiting:
            first = waiting.popleft()
            task: Any = ray.remote(_do).options(**_options(machine))
            running[task.remote(shared, items[first : first + size], here)] = first, machine

    try:
        for machine in machines:
            start(machine)
        while running:
            [done], _ = ray.wait(list(running), num_returns=1)
            first, machine = running.pop(done)
            finished[first] = _result(done)
            start(machine)
            while due in finished:
                yield from finished.pop(due)
                due += size
    finally:
        for left in running:
            ray.cancel(left)


def _options(machine: Machine) -> dict[str, Any]:
    """Where a part is done, and with what: all cores and GPUs of a machine.

    Clients are done by now, but Flower's simulation keeps what Ray had set aside for them, so no
    part can ask for its share.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    environment = {
        "OMP_NUM_THREADS": str(machine.cpus),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or Ray hides all GPUs from it
    }
    return {
        "num_cpus": 0,
        "max_retries": RETRIES,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(machine.node, soft=True),
        "runtime_env": {"env_vars": environment},
    }


def _do(work: Work[Item, Result], items: Sequence[Item], here: Here) -> list[Result]:
    """Do a part, where paths and names mean the same as where it was asked for."""
    for name in here.models:
        MODELS.trust(name)
    with chdir(here.folder):
        return list(work(items))


def _result(done: Any) -> Any:
    import ray

    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise RunFailed(
            f"a machine of the Ray cluster was lost, {RETRIES} times over: {first_line(error)}; "
            "look after it and call the command again, which goes on where it was"
        ) from None
