"""Several processes on one training: torchrun --nproc-per-node 2 -m hashlib_nb.encoder ...

Every process draws the same batches and the same augmentation and takes its share of each batch, so that what a batch
holds does not depend on how many processes there are. Outside `processes`, every function here is that of a single one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

Value = TypeVar("Value")


def count() -> int:
    """How many processes work on this."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is; 0 prints and writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return rank() == 0


@contextlib.contextmanager
def processes(device: str = "auto") -> Iterator[None]:
    """Join the processes that torchrun has started; all but the first are silent.

    Does nothing in a process that was started alone or has joined already. An error in one process ends it, and
    torchrun then ends the others. Join once: torch hangs now and then where a process joins anew after it has left.

    Args:
        device: as in `encoder.fit`: with "cpu", or where there is no GPU, gloo on the CPU; else nccl, a GPU for each.

    Raises:
        ValueError: there are fewer GPUs than processes on this machine.
    """
    if not distributed.is_torchelastic_launched() or distributed.is_initialized():
        yield
        return
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        with contextlib.ExitStack() as stack:
            if not is_first():
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            yield
    finally:
        distributed.destroy_process_group()


def _take_gpu(local_rank: int) -> None:
    if local_rank >= (there := torch.cuda.device_count()):
        raise ValueError(f"--nproc-per-node asks for more processes than there are GPUs ({there}): give {there}")
    torch.cuda.set_device(local_rank)


def broadcast(value: Value) -> Value:
    """The first process' value, in all of them."""
    if count() == 1:
        return value
    held = [value]
    distributed.broadcast_object_list(held, src=0)
    return held[0]


def gather(value: Value) -> list[Value]:
    """Each process' value, in all of them, by rank."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    distributed.all_gather_object(values, value)
    return values


def total(value: torch.Tensor) -> torch.Tensor:
    """Sum over the processes, in all of them."""
    if count() > 1:
        distributed.all_reduce(value)
    return value


def share(n: int) -> slice:
    """This process' part of n things: consecutive ones, as many as the others have or one more."""
    return slice(n * rank() // count(), n * (rank() + 1) // count())


def first_decides(run: Callable[[Callable[[], Value]], Value], make: Callable[[], Value]) -> Value:
    """`run(make)` in the first process; where that calls `make`, all processes do, since it may need them all.

    So a cached result is looked up once, and nobody waits for a training that another process has found unnecessary.

    Returns:
        What `run` returns in the first process, in all of them.
    """
    if count() == 1:
        return run(make)
    if not is_first():
        if broadcast(None) == "make":
            make()
        return broadcast(None)
    made = []

    def make_with_all() -> Value:
        made.append(broadcast("make"))
        return make()

    result = run(make_with_all)
    if not made:
        broadcast("found")
    return broadcast(result)


def replicate(module: nn.Module) -> nn.Module:
    """The module, whose gradients are from now on averaged over the processes.

    Batch norm sees the whole batch on GPUs (`SyncBatchNorm`). On CPUs, which lack that, each process normalizes by
    its own share, and the running statistics are the first process': there results depend on the number of processes.
    """
    if count() == 1:
        return module
    on_gpu = next(module.parameters()).is_cuda
    if on_gpu:
        nn.SyncBatchNorm.convert_sync_batchnorm(module)
    return DistributedDataParallel(module, device_ids=[torch.cuda.current_device()] if on_gpu else None)


def same_buffers(module: nn.Module) -> None:
    """Give every process the first one's running statistics."""
    if count() > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, src=0)
