"""Running statistics of a hook's rows: sums that add up over batches and shards."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save as save_bytes

from lmsaes.cache.manifest import Statistics


@dataclass
class Moments:
    """Sums over rows [d_model] in float64; two of them add up to those of all their rows."""

    count: np.ndarray  # []
    sum: np.ndarray  # [d_model]
    sum_squares: np.ndarray  # [d_model]
    norm_sum: np.ndarray  # []
    squared_norm_sum: np.ndarray  # []
    min: np.ndarray  # []
    max: np.ndarray  # []

    @staticmethod
    def zero(d_model: int) -> "Moments":
        def scalar(value: float = 0.0) -> np.ndarray:
            return np.array(value, dtype=np.float64)

        return Moments(
            count=scalar(),
            sum=np.zeros(d_model),
            sum_squares=np.zeros(d_model),
            norm_sum=scalar(),
            squared_norm_sum=scalar(),
            min=scalar(np.inf),
            max=scalar(-np.inf),
        )

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            count=self.count + other.count,
            sum=self.sum + other.sum,
            sum_squares=self.sum_squares + other.sum_squares,
            norm_sum=self.norm_sum + other.norm_sum,
            squared_norm_sum=self.squared_norm_sum + other.squared_norm_sum,
            min=np.minimum(self.min, other.min),
            max=np.maximum(self.max, other.max),
        )

    def statistics(self) -> Statistics | None:
        """What the manifest says of these rows; None of no rows."""
        count = int(self.count)
        if count == 0:
            return None
        mean = self.sum / count
        variance = np.maximum(self.sum_squares / count - mean**2, 0.0)
        return Statistics(
            count=count,
            mean=mean.tolist(),
            variance=variance.tolist(),
            mean_norm=float(self.norm_sum / count),
            mean_squared_norm=float(self.squared_norm_sum / count),
            min=float(self.min),
            max=float(self.max),
        )


@dataclass
class HookMoments:
    """Moments of all rows, of the valid ones, the mean norm by position, and what was lost."""

    every: Moments
    valid: Moments
    position_norms: np.ndarray  # [context_size], sums over contexts
    squared_error: np.ndarray  # [], of storing the valid rows; NaN where not measured

    @staticmethod
    def zero(context_size: int, d_model: int) -> "HookMoments":
        zero = Moments.zero(d_model)
        return HookMoments(zero, zero, np.zeros(context_size), np.zeros(()))

    def __add__(self, other: "HookMoments") -> "HookMoments":
        return HookMoments(
            self.every + other.every,
            self.valid + other.valid,
            self.position_norms + other.position_norms,
            self.squared_error + other.squared_error,
        )

    @property
    def storage_error(self) -> float | None:
        """Share of the valid rows' variance that storing lost; None where not measured."""
        moments = self.valid
        if moments.count == 0:
            return None
        deviations = float((moments.sum_squares - moments.sum**2 / moments.count).sum())
        share = float(self.squared_error) / deviations if deviations > 0 else np.nan
        return share if np.isfinite(share) else None

    def to_bytes(self) -> bytes:
        """A safetensors file's content."""
        tensors = {"position_norms": self.position_norms, "squared_error": self.squared_error}
        for group in ("every", "valid"):
            moments: Moments = getattr(self, group)
            tensors |= {f"{group}.{f.name}": getattr(moments, f.name) for f in fields(Moments)}
        return save_bytes({name: np.atleast_1d(value) for name, value in tensors.items()})

    @staticmethod
    def from_bytes(content: bytes) -> "HookMoments":
        tensors = load_bytes(content)

        def group(name: str) -> Moments:
            values = {f.name: tensors[f"{name}.{f.name}"] for f in fields(Moments)}
            vectors = {"sum", "sum_squares"}
            return Moments(**{k: v if k in vectors else v.reshape(()) for k, v in values.items()})

        # caches of before it was measured lack it
        error = tensors.get("squared_error", np.array(np.nan)).reshape(())
        valid = "valid" if "valid.count" in tensors else "ordinary"  # as it once was called
        return HookMoments(group("every"), group(valid), tensors["position_norms"], error)


def batch_moments(
    stored: Mapping[str, torch.Tensor],
    valid: torch.Tensor,
    original: Mapping[str, torch.Tensor],
) -> dict[str, HookMoments]:
    """Moments of one batch of activations as they are stored, by hook.

    stored, original: [contexts, context_size, d_model], any float dtype, one device; what readers
    will be given, and what the model gave. valid: bool [contexts, context_size] on the host,
    rows that training uses by default. The host waits for the device once for all hooks.
    """
    sums = {hook: _sums(rows, valid, original[hook]) for hook, rows in stored.items()}
    found = iter(_on_host(*itertools.chain.from_iterable(sums.values())))
    moments: dict[str, HookMoments] = {}
    for hook, tensors in sums.items():
        own = list(itertools.islice(found, len(tensors)))
        moments[hook] = HookMoments(Moments(*own[:7]), Moments(*own[7:14]), own[14], own[15])
    return moments


def _sums(
    stored: torch.Tensor, valid: torch.Tensor, original: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Of one hook, on its device: seven sums of all rows, seven of the valid ones, norms by
    position, and the squared error.
    """
    contexts, size, _ = stored.shape
    rows = stored.float()
    kept = _to_device(valid, rows.device)
    squares = rows.square()
    squared_norms = squares.sum(-1).double()
    norms = squared_norms.sqrt()
    low, high = rows.amin(-1).double(), rows.amax(-1).double()
    # Sums over one context in float32, over contexts in float64: exact enough and a quarter of the
    # time. Rows left out are few but can be huge: they are summed apart, not subtracted again.
    weights = kept.float().unsqueeze(1)  # [contexts, 1, context_size]
    # the host knows where they are; to ask the device would be to wait for it
    places = tuple(_to_device(place, rows.device) for place in (~valid).nonzero(as_tuple=True))
    left_out = (rows[places].double(), squares[places].double())
    sums, square_sums = (torch.bmm(weights, x).double().sum((0, 1)) for x in (rows, squares))
    squared_error = torch.zeros((), device=rows.device)
    if original is not stored:
        lost = torch.linalg.vector_norm(torch.sub(original, rows, out=squares), dim=-1)
        squared_error = torch.where(kept, lost.double().square(), 0).sum()
    return (
        torch.full_like(kept.sum(), contexts * size),
        sums + left_out[0].sum(0),
        square_sums + left_out[1].sum(0),
        norms.sum(),
        squared_norms.sum(),
        low.min(),
        high.max(),
        kept.sum(),
        sums,
        square_sums,
        torch.where(kept, norms, 0).sum(),
        torch.where(kept, squared_norms, 0).sum(),
        torch.where(kept, low, torch.inf).min(),
        torch.where(kept, high, -torch.inf).max(),
        norms.sum(0),
        squared_error,
    )


def finite_moments(
    stored: torch.Tensor, valid: torch.Tensor, original: torch.Tensor
) -> HookMoments:
    """The same of one hook, of the rows alone whose values and squares are finite."""
    _, size, d_model = stored.shape
    norms = stored.float().square().sum(-1).sqrt().double()
    finite = norms.isfinite()
    if not finite.any():
        return HookMoments.zero(size, d_model)
    rows = stored[finite].unsqueeze(1)
    kept = valid[finite.cpu()].unsqueeze(1)
    moments = batch_moments({"": rows}, kept, {"": original[finite].unsqueeze(1)})[""]
    (position_norms,) = _on_host(torch.where(finite, norms, 0).sum(0))
    return HookMoments(moments.every, moments.valid, position_norms, moments.squared_error)


def _to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A small tensor of the host on a device, for which nobody waits."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _on_host(*tensors: torch.Tensor) -> list[np.ndarray]:
    """The tensors as float64 arrays, in one copy from their device."""
    joined = torch.cat([tensor.double().reshape(-1) for tensor in tensors]).cpu().numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    parts = zip(np.split(joined, ends[:-1]), tensors, strict=True)
    return [part.reshape(tensor.shape) for part, tensor in parts]
