"""Eight bits a value: rows centered and scaled per channel, then rounded with one scale per row.

    value = round((x − mean) / deviation / scale)        x ≈ mean + deviation · scale · value

mean and deviation belong to a hook and are fixed once, from the cache's first batch; a scale
belongs to a row. docs/cache-format.md is the specification.
"""

import hashlib
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor

from lmsaes.atomic import replace_file
from lmsaes.cache.location import Location
from lmsaes.errors import CacheError

CHANNELS = "channels.safetensors"
_LARGEST = 127
# The smallest normal float16: a row within 127 of these of the mean keeps steps of this size, where
# subnormal scales would lose bits and the smallest would round to nothing.
_SMALLEST_SCALE = 2.0**-14
# Where the first batch hardly moved a channel, one later row that does would need so large a
# scale that the rest of it is rounded away.
_SMALLEST_DEVIATION = 1 / 16  # of the median over channels


class Channels:
    """A hook's mean and deviation, float32 [d_model], and the rounding that goes by them."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean, self.deviation = mean, deviation
        self._on_device = {mean.device: (mean, deviation)}

    @staticmethod
    def of(activations: Tensor, valid: Tensor) -> "Channels":
        """Those of a first batch [contexts, context_size, d_model].

        Its valid rows count (bool [contexts, context_size]), or all where there are none: the
        first positions of some models are hundreds of times larger than all others. Rows that
        are not finite do not count; `quantize` will refuse them.
        """
        finite = activations.isfinite().all(-1)
        kept = finite & valid.to(activations.device)
        rows = activations[kept if kept.any() else finite].double()
        if len(rows) == 0:
            rows = rows.new_zeros(1, activations.shape[-1])
        mean = rows.mean(0)
        deviation = (rows - mean).square().mean(0).sqrt()
        varying = deviation[deviation > deviation.max() * 1e-6]
        if len(varying):
            deviation = deviation.clamp_min(varying.median() * _SMALLEST_DEVIATION)
        else:  # a single row, or the same again and again: its size is all there is to go by
            size = rows.square().mean().sqrt()
            deviation = torch.full_like(mean, float(size) or 1.0)
        return Channels(mean.float().cpu(), deviation.float().cpu())

    @property
    def digest(self) -> str:
        """sha256 of the bytes of mean and deviation, one after the other."""
        parts = (t.contiguous().numpy().tobytes() for t in (self.mean, self.deviation))
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def quantize(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """int8 values like `rows` [..., d_model], and float16 scales [...], on their device.

        A value comes back within half its step, deviation · scale, but for float32's own
        rounding. The scale of a row that can't be kept (not finite, or more than 65504 · 127
        deviations away) is not finite, and neither is what `restore` gives for it.
        """
        mean, deviation = self._to(rows.device)
        z = (rows.float() - mean).div_(deviation)
        scales = torch.maximum(z.amax(-1), -z.amin(-1)) / _LARGEST
        scales = scales.clamp_min_(_SMALLEST_SCALE).to(torch.float16)
        z.div_(scales.float().unsqueeze(-1)).round_().clamp_(-_LARGEST, _LARGEST)
        return z.to(torch.int8), scales

    def restore(self, *stored: Tensor) -> Tensor:
        """float32 [..., d_model] in original units, from values and scales on any device."""
        values, scales = stored
        mean, deviation = self._to(values.device)
        z = values.float().mul_(scales.float().unsqueeze(-1))
        return z.mul_(deviation).add_(mean)

    def largest_error(self, rows: Tensor) -> Tensor:
        """The most that rounding can have moved restored `rows` [..., d_model], as a norm [...].

        A row's largest value is 127 of its steps, so the row itself tells how large they are.
        """
        mean, deviation = self._to(rows.device)
        scales = ((rows - mean) / deviation).abs().amax(-1) / _LARGEST
        return scales.clamp_min(_SMALLEST_SCALE) / 2 * (1 + 2.0**-10) * deviation.norm()

    def _to(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._on_device:
            self._on_device[device] = (self.mean.to(device), self.deviation.to(device))
        return self._on_device[device]


def read_channels(folder: Location, digests: Mapping[str, str]) -> dict[str, Channels]:
    """The channels of the cache in `folder` by hook, for hooks and the digests they must have.

    Raises CacheError, naming the file, when it is missing or not what the manifest says.
    """
    if not digests:
        return {}
    path = folder / CHANNELS
    try:
        tensors = load_bytes(path.read_bytes())
    except FileNotFoundError:
        raise CacheError(f"{path} is missing", _REPAIR) from None
    except OSError as error:
        raise CacheError(f"can't read {path}: {error.strerror}", _REPAIR) from None
    except SafetensorError as error:
        raise CacheError(f"{path} is damaged ({error})", _REPAIR) from None
    channels: dict[str, Channels] = {}
    for hook, digest in digests.items():
        mean, deviation = (tensors.get(f"{hook}/{part}") for part in ("mean", "deviation"))
        if mean is not None and deviation is not None:
            channels[hook] = Channels(mean, deviation)
        if hook not in channels or channels[hook].digest != digest:
            raise CacheError(f"{path} is damaged: hook '{hook}' is not the manifest's", _REPAIR)
    return channels


def write_channels(folder: Location, channels: Mapping[str, Channels]) -> None:
    """Replaces the channels of the cache in `folder`, in one step."""
    tensors = {
        f"{hook}/{part}": getattr(found, part)
        for hook, found in channels.items()
        for part in ("mean", "deviation")
    }
    replace_file(folder / CHANNELS, save_bytes(tensors))


_REPAIR = (
    "no row can be restored without it; make the rows again with: "
    "lmsaes tools verify --repair CACHE, then run lmsaes cache again"
)
