"""Copies from a GPU to the host that run while the next batch is computed."""

import functools

import torch


class GpuCopy:
    """A tensor on its way to the host's memory; one that is there already stays where it is.

    From a GPU it goes into pinned memory on a stream of its own: whoever asks for the copy does
    not wait for it, and whoever needs it waits for no more than it.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        tensor = tensor.detach().contiguous()
        self._done: torch.cuda.Event | None = None
        if tensor.device.type != "cuda":
            self._host = tensor.cpu()
            return
        stream = _copy_stream(tensor.device)
        stream.wait_stream(torch.cuda.current_stream(tensor.device))
        with torch.cuda.stream(stream):
            self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._done = torch.cuda.Event()
            self._done.record(stream)
        tensor.record_stream(stream)  # its memory is not given to others before the copy is done

    def wait(self) -> torch.Tensor:
        """The copy, once it is complete."""
        if self._done is not None:
            self._done.synchronize()
        return self._host


@functools.cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
