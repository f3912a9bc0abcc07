"""How a cache may be stored: the words for it, without what does it."""

from typing import Literal

StorageFormat = Literal["safetensors", "zarr"]
Compression = Literal["none", "zstd", "lz4", "blosc"]
StorageDtype = Literal["float32", "float16", "bfloat16", "int8"]
