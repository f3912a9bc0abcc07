"""What people type by mistake, and what a command may do with it: one line, or the right thing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from lmsaes.cli.app import app

SECRET = "S3CRET"

VALUES = [
    "", " ", "-1", "0", "1", "2", "-0.5", "0.5", "nan", "inf", "-inf", "1e15", "1e400", "1e-400",
    "9" * 30, "2**3", "1_0", "0x10", "٣", "½", "1,5", "10B", "1e9", "4GiB", "9EiB", "-1GiB",
    "cpu", "cuda", "cuda:7", "cuda:-1", "cuda:x", "meta", "mps", "xla", "vulkan", "privateuseone",
    "auto", "none", "int8", "zarr", "0:0", "5:2", "0:1", "-1:2", f"0:{'9' * 30}", ":", "x" * 300,
    "x" * 5000, "a/" * 2000, "é", "日本", "\udcff", "a\nb", "\x1b[31m", "[", "]", "**", "*", "?x",
    "~", "~nobody", "/", ".", "..", "/dev/null", "/dev/full/x", "/proc/1/mem", "/proc/self/x",
    "=", "k=", "k=-1", "k=nan", "lr=inf", "k=[", "name=../x", "--", "-",
    f"s3://KEY:{SECRET}@bucket/x", f"https://me:{SECRET}@host/x.jsonl",
    f"https://host/x?X-Amz-Signature={SECRET}", f"s3:/KEY:{SECRET}@b/c",
    f"mongodb://me:{SECRET}@127.0.0.1:1/x?serverSelectionTimeoutMS=1",
    f"mongodb://me:{SECRET}/@127.0.0.1:x", f"mongodb://host?authMechanismProperties={SECRET}",
    f"mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1&tlsCAFile=/{SECRET}",
    "mongodb://", "mongodb://127.0.0.1:99999", "mongodb://127.0.0.1:1/a.b?serverSelectionTimeoutMS=1",
    "mongodb+srv://x.invalid", "s3://", "s3://b", "gs://b/c", "ftp://x", "://", "file:///tmp",
]  # fmt: skip


def strange_files(folder: Path) -> list[str]:
    """Paths where something stands that was not meant: folders, bytes, half a JSON, deep ones."""
    contents = {
        "bytes.toml": b"\xff\xfe\x00x",
        "bytes.json": bytes(range(256)),
        "deep.json": b"[" * 100_000,
        "deep.toml": b"x = " + b"[" * 5_000,
        "half.json": b'{"a": ',
        "list.json": b"[1, 2]",
        "empty.toml": b"",
        "empty.jsonl": b"",
        "bom.toml": b"\xef\xbb\xbftokens = 5\n",
        "utf16.toml": "tokens = 5".encode("utf-16"),
        "text.txt": b"a few words\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    (folder / "folder.toml").mkdir()
    (folder / "link").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder / "loop")
    names = [*contents, "folder", "folder.toml", "link", "loop", "text.txt/x"]
    return [str(folder / name) for name in names]


def commands(group: Any = None, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command by the words that call it."""
    group = group or typer.main.get_command(app)
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command


def options(command: Any) -> list[str]:
    """The options that a command has, a flag by each of its names."""
    own = [p for p in command.params if p.param_type_name == "option"]
    return [name for p in own for name in (*p.opts, *p.secondary_opts) if name not in ("--debug",)]


def is_flag(command: Any, option: str) -> bool:
    return any(
        getattr(p, "is_flag", False)
        for p in command.params
        if option in (*p.opts, *p.secondary_opts)
    )


def check_outcome(words: list[str]) -> str:
    """Runs a command; AssertionError unless it did the right thing or said one line."""
    done = CliRunner().invoke(app, words)
    said = f"{words}\n{done.output}"
    assert done.exception is None or isinstance(done.exception, SystemExit), (
        f"{said}{done.exception!r}"
    )
    assert done.exit_code in (0, 1, 2), said
    assert "unforeseen" not in done.output, said
    assert "Traceback" not in done.output, said
    assert SECRET not in done.output, said
    if done.exit_code == 1:
        lines = done.stderr.splitlines()
        start = next((i for i, line in enumerate(lines) if line.startswith("error: ")), None)
        assert start is not None, said
        assert all(line.startswith(("error: ", "       ")) for line in lines[start:]), said
        assert all(len(line) > len("error: ") for line in lines), said
    return done.output


ODD_JSON: list[Any] = [
    None, True, False, -1, 0, 1, 3, 2**31, 2**40, 2**63, 10**30, -(10**30), 0.5, 1e308, "", "x",
    "1", "../x", "/etc/passwd", "\x00", "é" * 300, "float16", "int8", "zarr", "zstd", "safetensors",
    "lz4", [], [1], {}, {"x": 1}, [[]], ["x"] * 100, "AAAA",
]  # fmt: skip


def places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Every place inside a JSON value."""
    yield path
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield from places(value[key], *path, key)


def put(value: Any, path: tuple[str | int, ...], odd: Any) -> Any:
    """`value` with something else at a place inside it; the place is left out for `REMOVED`."""
    if not path:
        return odd
    copy = value.copy()
    if len(path) == 1 and odd is REMOVED:
        del copy[path[0]]
    else:
        copy[path[0]] = put(value[path[0]], path[1:], odd)
    return copy


REMOVED = object()
