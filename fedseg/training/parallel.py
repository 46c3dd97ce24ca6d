"""A training in processes of its own, one a GPU, that end with it and give back all its memory.

Data parallelism by torch.distributed: each process makes and sees its part of every batch, and all
of them take the same steps. They find each other by a file, so no port is opened.
"""

import logging
import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import ProcessExitedException, start_processes
from torch.nn.parallel import DistributedDataParallel

from fedseg.errors import FedsegError
from fedseg.storage.provenance import notices
from fedseg.training.callbacks import Callback

TRAINED = "trained.safetensors"

Message = tuple[str, Any]
"""What a process tells the one that started it: the name of an event, and its content."""


class Place(NamedTuple):
    """Which of the processes of a training this is."""

    rank: int = 0
    world: int = 1
    """How many there are."""

    def part(self, items: Sequence[Any]) -> Sequence[Any]:
        """This process's share of a batch."""
        return items[self.rank :: self.world]

    def spread(self, network: nn.Module) -> nn.Module:
        """The network to call in the forward pass, whose gradients become those of all."""
        if self.world == 1:
            return network
        devices = [p.device for p in network.parameters()][:1]
        return DistributedDataParallel(
            network,
            device_ids=devices if devices[0].type == "cuda" else None,
            find_unused_parameters=True,  # some encoders have layers that segmentation skips
        )

    def weight(self, count: int | Tensor, device: torch.device) -> Tensor | float:
        """What a mean over `count` things counts among those of all processes; 1 in the mean."""
        if self.world == 1:
            return 1.0
        mine = torch.as_tensor(count, dtype=torch.float64, device=device)
        total = self.total(mine)
        return (mine * self.world / total.clamp(min=1)).float()

    def total(self, value: Tensor) -> Tensor:
        """The sum of a value over all processes."""
        if self.world > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value


class Relay(Callback):
    """Passes each event on to the process that started this one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on_start(self, losses: list[float]) -> None:
        """Pass it on."""
        self._connection.send(("start", losses))

    def on_step(self, step: int, total: int, loss: float) -> None:
        """Pass it on."""
        self._connection.send(("step", (step, total, loss)))

    def on_validation(self, done: int, total: int) -> None:
        """Pass it on."""
        self._connection.send(("validation", (done, total)))

    def on_end(self, losses: list[float]) -> None:
        """Pass it on."""
        self._connection.send(("end", losses))


class _Notices(logging.Handler):
    """Passes notices on."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self._connection.send(("notice", record.getMessage()))


def run_apart(
    work: Callable[..., dict[str, Tensor]],
    arguments: tuple[Any, ...],
    callbacks: Sequence[Callback],
    processes: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """Do a training in processes of its own.

    Args:
        work: a function of this or another module, of a `Place`, a device, callbacks and the
            arguments, to the trained weights. It is called once in each process.
        arguments: of `work`; they must be picklable.
        callbacks: called here, with what happens there.
        processes: how many; process r has the r-th visible GPU.
        device: "cuda" or "cpu".

    Returns:
        The weights that the first process returned, on the CPU.

    Raises:
        FedsegError, FloatingPointError: as `work` raised them, or a process was killed.
    """
    with tempfile.TemporaryDirectory(prefix="fedseg-training-") as folder:
        pipes = (multiprocessing.Pipe(duplex=False) for _ in range(processes))
        readers, writers = zip(*pipes, strict=True)
        # As bytes: multiprocessing would put tensors into /dev/shm, which is small in containers.
        content = pickle.dumps((work, arguments))
        context = start_processes(  # type: ignore[no-untyped-call]
            _process,
            (processes, device.type, Path(folder), writers, content),
            nprocs=processes,
            join=False,
            start_method="spawn",
        )
        with _ended(context.processes):
            for name, value in _messages(context, readers):
                _dispatch(name, value, callbacks)
        if not (Path(folder) / TRAINED).is_file():
            raise RuntimeError("the training's processes were interrupted")
        return load_file(Path(folder) / TRAINED)


def _messages(context: Any, readers: Sequence[Connection]) -> Iterator[Message]:
    """What the processes send, until all of them have ended well."""
    is_over = False
    while not is_over:
        wait([*readers, *context.sentinels])
        try:
            is_over = context.join(timeout=0)
        except ProcessExitedException as error:
            raise FedsegError(
                f"a process of the training was ended ({error.signal_name or error}), mostly "
                "because memory ran out; take a smaller batch_size or crop"
            ) from None
        finally:  # the reason for which a process ended comes before that it did
            for reader in readers:
                while reader.poll():
                    yield reader.recv()


def _dispatch(name: str, value: Any, callbacks: Sequence[Callback]) -> None:
    match name:
        case "failed":
            raise value
        case "notice":
            notices.warning("%s", value)
        case "start":
            for callback in callbacks:
                callback.on_start(value)
        case "step":
            for callback in callbacks:
                callback.on_step(*value)
        case "validation":
            for callback in callbacks:
                callback.on_validation(*value)
        case "end":
            for callback in callbacks:
                callback.on_end(value)


@contextmanager
def _ended(processes: Sequence[Any]) -> Iterator[None]:
    """Within it, processes run; none is left behind."""
    try:
        yield
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()


def _process(
    rank: int,
    world: int,
    kind: str,
    folder: Path,
    writers: Sequence[Connection],
    content: bytes,
) -> None:
    """One of the processes."""
    writer = writers[rank]
    notices.propagate = False
    if rank == 0:
        notices.addHandler(_Notices(writer))
    device = torch.device("cuda", rank) if kind == "cuda" else torch.device(kind)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        with _group(rank, world, kind, folder):
            work, arguments = pickle.loads(content)
            callbacks = (Relay(writer),) if rank == 0 else ()
            weights = work(Place(rank, world), device, callbacks, *arguments)
            if rank == 0:
                contiguous = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
                save_file(contiguous, folder / TRAINED)
    except (FedsegError, FloatingPointError) as error:
        writer.send(("failed", error))


@contextmanager
def _group(rank: int, world: int, kind: str, folder: Path) -> Iterator[None]:
    """Within it, the processes can talk to each other."""
    if world == 1:
        yield
        return
    if "GLOO_SOCKET_IFNAME" not in os.environ and Path("/sys/class/net/lo").exists():
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # nothing leaves this machine
    distributed.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        init_method=f"file://{folder / 'processes'}",
        rank=rank,
        world_size=world,
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()
