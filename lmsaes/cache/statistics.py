"""Statistics of a hook's rows that add up over batches and shards, however large their mean.

What adds up is the count, the mean and the sum of squared distances from the mean, pooled as in
Chan, Golub and LeVeque 1983: sums of squares would lose the variance of a channel whose mean is
thousands of deviations away from 0.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from einops import rearrange
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save as save_bytes

from lmsaes.cache.manifest import Statistics

# Of a row that counts: squares of distances between rows are finite in float32 then.
_LARGEST_NORM = 2.0**62


@dataclass
class Moments:
    """Of some rows, per channel where it says [d_model], all in float64."""

    count: np.ndarray  # []
    mean: np.ndarray  # [d_model]
    squares: np.ndarray  # [d_model], Σ (x − mean)²
    norm_sum: np.ndarray  # []
    squared_norm_sum: np.ndarray  # []
    min: np.ndarray  # []
    max: np.ndarray  # []

    @staticmethod
    def zero(d_model: int) -> "Moments":
        """Of no rows."""

        def scalar(value: float = 0.0) -> np.ndarray:
            return np.array(value, dtype=np.float64)

        return Moments(
            count=scalar(),
            mean=np.zeros(d_model),
            squares=np.zeros(d_model),
            norm_sum=scalar(),
            squared_norm_sum=scalar(),
            min=scalar(np.inf),
            max=scalar(-np.inf),
        )

    def __add__(self, other: "Moments") -> "Moments":
        """Those of both lots of rows together."""
        if other.count == 0:
            return self
        if self.count == 0:
            return other
        count = self.count + other.count
        apart = other.mean - self.mean
        return Moments(
            count=count,
            mean=self.mean + apart * (other.count / count),
            squares=self.squares + other.squares + apart**2 * (self.count * other.count / count),
            norm_sum=self.norm_sum + other.norm_sum,
            squared_norm_sum=self.squared_norm_sum + other.squared_norm_sum,
            min=np.minimum(self.min, other.min),
            max=np.maximum(self.max, other.max),
        )

    def statistics(self, left_out: int) -> Statistics | None:
        """What the manifest says of these rows; None of no rows."""
        count = int(self.count)
        if count == 0:
            return None
        return Statistics(
            count=count,
            mean=self.mean.tolist(),
            variance=(self.squares / count).tolist(),
            mean_norm=float(self.norm_sum / count),
            mean_squared_norm=float(self.squared_norm_sum / count),
            min=float(self.min),
            max=float(self.max),
            left_out=left_out,
        )


@dataclass
class HookMoments:
    """Moments of all rows, of the valid ones, the mean norm by position, and what was lost."""

    every: Moments
    valid: Moments
    position_norms: np.ndarray  # [context_size], sums over contexts
    squared_error: np.ndarray  # [], of storing the valid rows; NaN where not measured
    left_out: np.ndarray  # [2], rows that are not finite: of all, and of the valid ones

    @staticmethod
    def zero(context_size: int, d_model: int) -> "HookMoments":
        """Of no rows."""
        zero = Moments.zero(d_model)
        return HookMoments(zero, zero, np.zeros(context_size), np.zeros(()), np.zeros(2))

    def __add__(self, other: "HookMoments") -> "HookMoments":
        return HookMoments(
            self.every + other.every,
            self.valid + other.valid,
            self.position_norms + other.position_norms,
            self.squared_error + other.squared_error,
            self.left_out + other.left_out,
        )

    def statistics(self) -> Statistics | None:
        """Of all rows."""
        return self.every.statistics(int(self.left_out[0]))

    def valid_statistics(self) -> Statistics | None:
        """Of the valid rows."""
        return self.valid.statistics(int(self.left_out[1]))

    @property
    def storage_error(self) -> float | None:
        """Share of the valid rows' variance that storing lost; None where not measured."""
        variation = float(self.valid.squares.sum())
        share = float(self.squared_error) / variation if variation > 0 else np.nan
        return share if np.isfinite(share) else None

    def to_bytes(self) -> bytes:
        """A safetensors file's content."""
        tensors = {
            "position_norms": self.position_norms,
            "squared_error": self.squared_error,
            "left_out": self.left_out,
        }
        for group in ("every", "valid"):
            moments: Moments = getattr(self, group)
            tensors |= {f"{group}.{f.name}": getattr(moments, f.name) for f in fields(Moments)}
        return save_bytes({name: np.atleast_1d(value) for name, value in tensors.items()})

    @staticmethod
    def from_bytes(content: bytes) -> "HookMoments":
        """The inverse of `to_bytes`; also of the plain sums that format 1 kept."""
        tensors = load_bytes(content)
        if "every.sum" in tensors:
            return _from_sums(tensors)

        def group(name: str) -> Moments:
            values = {f.name: tensors[f"{name}.{f.name}"] for f in fields(Moments)}
            vectors = {"mean", "squares"}
            return Moments(**{k: v if k in vectors else v.reshape(()) for k, v in values.items()})

        return HookMoments(
            group("every"),
            group("valid"),
            tensors["position_norms"],
            tensors["squared_error"].reshape(()),
            tensors["left_out"],
        )


def _from_sums(tensors: Mapping[str, np.ndarray]) -> HookMoments:
    """From the sums of format 1, with as many digits of the variance as they kept."""

    def group(name: str) -> Moments:
        values = {key: tensors[f"{name}.{key}"] for key in ("sum", "sum_squares")}
        scalars = {
            key: tensors[f"{name}.{key}"].reshape(())
            for key in ("count", "norm_sum", "squared_norm_sum", "min", "max")
        }
        count = max(float(scalars["count"]), 1.0)
        mean = values["sum"] / count
        squares = np.maximum(values["sum_squares"] - count * mean**2, 0.0)
        return Moments(mean=mean, squares=squares, **scalars)

    # caches of before it was measured lack it
    error = tensors.get("squared_error", np.array(np.nan)).reshape(())
    norms = tensors["position_norms"]
    return HookMoments(group("every"), group("ordinary"), norms, error, np.zeros(2))


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
    return {
        hook: _moments(list(itertools.islice(found, len(tensors))))
        for hook, tensors in sums.items()
    }


def moments_of(rows: torch.Tensor) -> Moments:
    """Of rows [n, d_model] that are all finite; a few thousand at once keep the digits."""
    valid, stored = torch.ones(1, len(rows), dtype=torch.bool), {"": rows[None]}
    return batch_moments(stored, valid, stored)[""].every


def _sums(
    stored: torch.Tensor, valid: torch.Tensor, original: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Of one hook, on its device: what `_moments` makes moments of."""
    rows = stored.float()
    kept = _to_device(valid, rows.device)
    norms = torch.linalg.vector_norm(rows, dim=-1).double()
    squared_norms = norms.square()
    low, high = rows.amin(-1).double(), rows.amax(-1).double()
    squared_error = torch.zeros((), device=rows.device)
    if original is not stored:
        lost = torch.linalg.vector_norm(original - rows, dim=-1)
        squared_error = torch.where(kept, lost.double().square(), 0).sum()
    # Distances from a point near the mean have squares that keep the variance's digits. Sums over
    # one context in float32, over contexts in float64: exact enough and a quarter of the time. Rows
    # that are not valid are few but can be huge: they are summed apart, not subtracted again.
    weights = rearrange(kept.float(), "contexts positions -> contexts 1 positions")
    point = (weights[0] @ rows[0] / weights[0].sum().clamp(min=1)).squeeze(0)
    centered = rows - point
    # the host knows where they are; to ask the device would be to wait for it
    places = tuple(_to_device(place, rows.device) for place in (~valid).nonzero(as_tuple=True))
    left_out = centered[places].double()
    sums = torch.bmm(weights, centered).double().sum((0, 1))
    squares = torch.bmm(weights, centered.square_()).double().sum((0, 1))
    return (
        point,
        torch.full_like(kept.sum(), kept.numel()),
        sums + left_out.sum(0),
        squares + left_out.square().sum(0),
        norms.sum(),
        squared_norms.sum(),
        low.min(),
        high.max(),
        kept.sum(),
        sums,
        squares,
        torch.where(kept, norms, 0).sum(),
        torch.where(kept, squared_norms, 0).sum(),
        torch.where(kept, low, torch.inf).min(),
        torch.where(kept, high, -torch.inf).max(),
        norms.sum(0),
        squared_error,
    )


def _moments(parts: list[np.ndarray]) -> HookMoments:
    """From the sums of one batch: of distances from a point, and of their squares."""
    point, every, valid, (position_norms, squared_error) = (
        parts[0], parts[1:8], parts[8:15], parts[15:]
    )  # fmt: skip

    def group(count: np.ndarray, sums: np.ndarray, squares: np.ndarray, *rest: np.ndarray):
        apart = sums / max(float(count), 1.0)
        with np.errstate(invalid="ignore"):  # sums that are not finite are the caller's to refuse
            centered = np.maximum(squares - sums * apart, 0.0)
        return Moments(count, point + apart, centered, *rest)

    return HookMoments(
        group(*every), group(*valid), position_norms, squared_error, left_out=np.zeros(2)
    )


def finite_rows(rows: torch.Tensor) -> torch.Tensor:
    """Which of `rows` [..., d_model] count in a hook's statistics, bool [...].

    Those whose values are finite, and so small that squares of distances between rows are finite
    too in float32.
    """
    return within_float32(torch.linalg.vector_norm(rows.float(), dim=-1))


def within_float32(norms: torch.Tensor) -> torch.Tensor:
    """Which rows of these norms [...] count in a hook's statistics: see `finite_rows`."""
    return norms <= _LARGEST_NORM


def finite_moments(
    stored: torch.Tensor, valid: torch.Tensor, original: torch.Tensor
) -> HookMoments:
    """The same of one hook, of the rows alone whose values and squares are finite."""
    _, size, d_model = stored.shape
    norms = torch.linalg.vector_norm(stored.float(), dim=-1).double()
    finite = within_float32(norms)
    left_out = np.array([int((~finite).sum()), int((~finite).cpu()[valid].sum())], np.float64)
    if not finite.any():
        none = HookMoments.zero(size, d_model)
        none.left_out = left_out
        return none
    rows = stored[finite].unsqueeze(1)
    kept = valid[finite.cpu()].unsqueeze(1)
    moments = batch_moments({"": rows}, kept, {"": original[finite].unsqueeze(1)})[""]
    (position_norms,) = _on_host(torch.where(finite, norms, 0).sum(0))
    return HookMoments(
        moments.every, moments.valid, position_norms, moments.squared_error, left_out
    )


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
