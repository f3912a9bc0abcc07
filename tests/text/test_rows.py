"""What a column of a file holds, whatever else is in the file, of every kind and compression."""

import bz2
import gzip
import json
import lzma
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from datasets import Dataset

from lmsaes.errors import DataError
from lmsaes.text import compressed, rows
from lmsaes.text.datasets import load_text

COMPRESS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
    "lz4": lambda data: arrow_compressed(data, "lz4"),
    "br": lambda data: arrow_compressed(data, "brotli"),
}
LINES = ["jsonl", "ndjson", "json", "list.json", "csv", "tsv"]
COLUMNS = ["parquet", "arrow", "stream.arrow"]


def arrow_compressed(data, codec):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def quoted(value, delimiter):
    if value is None:
        return ""
    text = str(value)
    special = any(sign in text for sign in (delimiter, '"', "\n", "\r"))
    return '"' + text.replace('"', '""') + '"' if special else text


def content(kind, table):
    """Rows (dicts) as the bytes of a file of this kind."""
    match kind:
        case "jsonl" | "ndjson" | "json":
            text = "".join(
                json.dumps(row, indent=2 if kind == "json" else None) + "\n" for row in table
            )
        case "list.json":
            text = json.dumps(table)
        case "csv" | "tsv":
            delimiter = "," if kind == "csv" else "\t"
            names = list(dict.fromkeys(name for row in table for name in row))
            records = [names, *([row.get(name) for name in names] for row in table)]
            text = "".join(
                delimiter.join(quoted(v, delimiter) for v in record) + "\r\n" for record in records
            )
        case _:
            return column_content(kind, pa.Table.from_pylist(table))
    return text.encode()


def column_content(kind, table):
    sink = pa.BufferOutputStream()
    if kind == "parquet":
        pq.write_table(table, sink, row_group_size=2)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with new(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


def write(folder, name, kind, table):
    path = Path(folder) / f"{name}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(kind, table))
    return path


def documents(path, start=0, **settings):
    return [
        "".join(each) if isinstance(each, rows.TextFile) else each
        for each in load_text(str(path), **settings).documents(start)
    ]


TEXTS = ["one", "NA", 'two, "2"\nlines', "null", "\ttab", "nan", "", "ünï 日本 🎈", "None", "last"]


@pytest.mark.parametrize("kind", [*LINES, *COLUMNS])
def test_every_kind_gives_its_column_from_any_row_on(tmp_path, kind):
    path = write(tmp_path, "a", kind, [{"id": i, "text": t, "x": 1} for i, t in enumerate(TEXTS)])
    for start in range(len(TEXTS) + 2):
        assert documents(path, start) == TEXTS[start:]


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("kind", LINES)
def test_every_compression_is_read_whatever_the_name(tmp_path, kind, ending):
    table = [{"text": text} for text in TEXTS if text]  # a line with nothing on it is no record
    folder = tmp_path / "a [v1]::b?* c"
    folder.mkdir()
    path = folder / f"x::y [z]?*.{kind}.{ending}"
    path.write_bytes(COMPRESS[ending](content(kind, table)))
    expected = [row["text"] for row in table]
    assert documents(path) == documents(folder) == expected
    assert documents(path, 4) == expected[4:]


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_compressed_file_that_is_cut_off_does_not_just_end(tmp_path, ending):
    path = tmp_path / f"a.jsonl.{ending}"
    lines = "".join(json.dumps({"text": f"{i} {i**9}"}) + "\n" for i in range(3000)).encode()
    path.write_bytes(COMPRESS[ending](lines)[:-20])
    with pytest.raises(DataError, match=r"a\.jsonl\.") as error:
        documents(path)
    assert "\n" not in str(error.value)


def test_a_zstandard_file_may_have_several_frames_and_a_wide_window(tmp_path):
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=28, enable_ldm=True, hash_log=6, chain_log=6, ldm_hash_log=6
    )
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    line = b'{"text": "a"}\n'
    (tmp_path / "a.jsonl.zst").write_bytes(
        zstandard.compress(line) + wide.compress(line * 2) + wide.flush() + zstandard.compress(line)
    )
    assert documents(tmp_path / "a.jsonl.zst") == ["a"] * 4


# -- columns and rows that nobody asked for


@pytest.mark.parametrize("kind", [*LINES, *COLUMNS])
def test_columns_that_come_go_and_change_between_files_do_not_matter(tmp_path, kind):
    tables = [
        [{"text": "a", "n": 1}],
        [{"more": [1, 2], "text": "b", "n": "one"}],
        [{"text": "c", "n": None, "deep": {"er": [{"x": "y"}]}}],
        [{"n": 1.5, "text": "d"}, {"n": 2.5, "text": "e"}],
        [{"n": 7}, {"n": 8}],
        [{"text": None, "n": None}],
        [{"text": "f"}],
    ]
    for index, table in enumerate(tables):
        write(tmp_path, f"part-{index}", kind, table)
    assert documents(tmp_path) == ["a", "b", "c", "d", "e", "", "", "", "f"]
    assert documents(tmp_path, 6) == ["", "", "f"]


@pytest.mark.parametrize("kind", [*LINES, *COLUMNS])
def test_null_and_missing_text_is_an_empty_document(tmp_path, kind):
    table = [{"text": "a", "n": 0}, {"text": None, "n": 1}, {"n": 2}, {"text": "", "n": 3}]
    assert documents(write(tmp_path, "a", kind, table)) == ["a", "", "", ""]


def test_what_a_line_has_beside_its_text_may_be_anything(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "a", "n": NaN}\n\n  \n{"text": NaN}\n{"n": ' + "9" * 5000 + ', "text": "b"}\n'
        '\ufeff{"text": "after a joined file\'s mark"}\n'
    )
    assert documents(tmp_path / "a.jsonl") == ["a", "", "b", "after a joined file's mark"]


def test_records_may_be_short_or_long(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n1,a\n2\n\n3,b,more,and more\n")
    assert documents(tmp_path / "a.csv") == ["a", "", "b"]


@pytest.mark.parametrize("kind", [*LINES, *COLUMNS])
def test_a_column_that_is_nowhere_is_refused_with_the_nearest(tmp_path, kind):
    for index in range(2):
        write(tmp_path, f"{index}", kind, [{"id": 1, "texts": "a", "title": "b"}])
    with pytest.raises(DataError, match=f"no column 'text' in '.*0.{kind}' and 1 others") as error:
        load_text(str(tmp_path))
    assert error.value.hint == "choose one of these with --text-column: texts, id, title"


# -- text that is none, or not all

ROW = b'{"text": "a"}\n'


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "txt", "parquet"])
def test_half_a_character_is_replaced(tmp_path, kind, escaped):
    halves = "a\ud83d b \udc00"
    path = tmp_path / f"a.{kind}"
    raw = halves.encode("utf-8", "surrogatepass")
    match kind:
        case "txt":
            path.write_bytes(raw)
        case "csv":
            path.write_bytes(b"text\n" + raw + b"\n")
        case "parquet":
            array = pa.array([raw]).cast(pa.binary()).view(pa.string())
            pq.write_table(pa.table({"text": array}), path)
        case _ if escaped:
            path.write_text(json.dumps({"text": halves}))
        case _:
            path.write_bytes(b'{"text": "' + raw + b'"}')
    assert documents(path) == ["a\ufffd b \ufffd"]


@pytest.mark.parametrize("kind", [*LINES, "txt"])
def test_a_byte_order_mark_is_no_text(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(b"\xef\xbb\xbf" + (b"a" if kind == "txt" else content(kind, [{"text": "a"}])))
    assert documents(path) == ["a"]


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("jsonl", ROW + b'{"text": "\xff"}\n', "line 2 of '.*' is not UTF-8.* byte 11 is 0xff"),
        ("json", b'[{"text": "a"}, {"text": "\xff"}]', r"'.*a\.json' is not.* byte 27 is 0xff"),
        ("csv", b"text\na\n\xe9t\xe9\n", "line 3 of '.*' is not UTF-8 text: byte 1 is 0xe9"),
        ("txt", "\ufeffhallo".encode("utf-16-le"), r"'.*a\.txt' is not UTF-8.* byte 1 is 0xff"),
        ("txt", b"ab" * (1 << 19) + b"\xff", "not UTF-8 text: byte 1048577 is 0xff"),
        ("jsonl", ROW + b'\n{"text": 1}\n', r"column 'text' holds int, .* line 3 of '.*a\.jsonl'"),
        ("json", b'[{"text": "a"}, {"text": {}}]', "column 'text' holds dict, .* row 2 of"),
        ("jsonl", ROW + b'["a"]\n', "line 2 of '.*' is list, not an object"),
        ("jsonl", ROW + b'{"text": "b"\n', "line 2 of '.*' is not JSON"),
        ("jsonl", ROW + b"\0" * 50 + b"\n", "line 2 of '.*' is not JSON"),
        ("jsonl", ROW + b"[" * 10**6 + b"\n", "line 2 of '.*' is nested too deeply"),
        ("json", b'[{"text": "a"}, ' + b"[" * 10**6, "row 2 of '.*' is nested too deeply"),
        ("json", b'[{"text": "a"}, {"text": "b"', "row 2 of '.*' is not JSON"),
        ("json", b'[{"text": "a"},', "cut off after row 1"),
        ("json", b'[{"text": "a"}] x', "something follows the list"),
        ("csv", b'text\na\n"b\nc\n', r"row 2 of '.*' \(line 4\) is not CSV"),
        ("csv", b'text\na\n"b"c\n', r"row 2 of '.*' \(line 3\) is not CSV"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_told_with_its_file_and_row(tmp_path, kind, data, message):
    (tmp_path / f"a.{kind}").write_bytes(data)
    with pytest.raises(DataError, match=message) as error:
        documents(tmp_path / f"a.{kind}")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_numbers_is_no_text(tmp_path, kind):
    path = write(tmp_path, "a", kind, [{"text": 1.5}])
    with pytest.raises(DataError, match=r"column 'text' of '.*' holds double, not text"):
        documents(path)


def test_bytes_in_a_column_that_are_no_utf_8_are_told_with_their_row(tmp_path):
    pq.write_table(pa.table({"text": pa.array([b"a", b"\xff"])}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"row 2 of '.*a\.parquet' is not UTF-8"):
        documents(tmp_path / "a.parquet")


# -- what is large


@pytest.mark.parametrize("kind", LINES)
def test_a_field_longer_than_the_limit_is_refused(tmp_path, kind, monkeypatch):
    for module in (rows, compressed):
        monkeypatch.setattr(module, "LONGEST", 1 << 20)
    table = [{"text": "a"}, {"text": "\n".join(["b" * 1000] * 3000)}]
    with pytest.raises(DataError, match=r"(line|row) [23] of '.*' is longer than 1 MiB") as error:
        documents(write(tmp_path, "a", kind, table))
    assert ".txt" in (error.value.hint or "")


@pytest.mark.parametrize("kind", LINES)
def test_a_field_of_megabytes_is_read(tmp_path, kind):
    texts = ["a", "\n".join(["b" * 1000] * 3000), "c"]
    assert documents(write(tmp_path, "a", kind, [{"text": t} for t in texts])) == texts


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_line_of_gigabytes_takes_no_gigabytes(tmp_path, ending):
    """A few megabytes on disk; what can't be bounded would be killed here."""
    path = tmp_path / f"a.jsonl.{ending}"
    with gzip.GzipFile(path, "wb", 1) if ending == "gz" else zstandard.open(path, "wb") as file:
        file.write(b'{"text": "')
        for _ in range(100):
            file.write(b"x" * (1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"line 1 of '.*' is longer than 64 MiB"):
        load_text(str(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024


def test_a_text_file_may_be_of_any_length_and_has_plain_line_ends(tmp_path):
    text = "Now it came to pass:\r\n日本\r" * 60_000
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "b.txt").write_text("short")
    (tmp_path / "c.txt").write_text("")
    (first, *rest) = load_text(str(tmp_path)).documents(0)
    assert isinstance(first, rows.TextFile)
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(first) == expected == "".join(first)
    assert rest == ["short", ""]
    assert documents(tmp_path, 1) == ["short", ""]


# -- Arrow's types, and saved datasets


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())],
)
@pytest.mark.parametrize("file", ["parquet", "arrow"])
def test_text_of_any_arrow_type_is_text(tmp_path, kind, file):
    array = pa.array(["a", None, "日本"]).cast(kind)
    path = tmp_path / f"a.{file}"
    path.write_bytes(column_content(file, pa.table({"text": array})))
    assert documents(path) == ["a", "", "日本"]


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda t: pa.list_(pa.list_(t))])
def test_lists_of_any_integer_type_are_token_ids(tmp_path, kind, make):
    of = make(pa.type_for_alias(kind))
    nested = pa.types.is_list(of.value_type)
    table = [[1, 2], [], [100]]
    array = pa.array([[row] if nested else row for row in table], of)
    pq.write_table(pa.table({"ids": array}), tmp_path / "a.parquet")
    found = list(load_text(str(tmp_path / "a.parquet"), column="ids").documents(0))
    assert [list(map(int, each)) for each in found] == table


@pytest.mark.parametrize("format", [None, "torch", "numpy", "arrow", "pandas"])
def test_a_saved_dataset_is_what_it_holds_in_any_format(tmp_path, format):
    data = Dataset.from_dict(
        {"text": ["a", None, "日本"], "ids": [[1, 2], [3, 4], []], "other": [1, 2, 3]}
    )
    data.set_format(format, columns=["other", "ids"])
    data.save_to_disk(tmp_path / "saved")
    assert documents(tmp_path / "saved") == ["a", "", "日本"]
    assert documents(tmp_path / "saved", 2) == ["日本"]
    source = load_text(str(tmp_path / "saved"), column="ids")
    found = list(source.documents(0))
    assert all(isinstance(each, np.ndarray) and each.dtype.kind == "i" for each in found)
    assert [each.tolist() for each in found if isinstance(each, np.ndarray)] == [[1, 2], [3, 4], []]
    assert source.place(1) == f"row 2 of '{tmp_path / 'saved'}'"


@pytest.mark.parametrize("kind", ["jsonl", "saved"])
def test_a_document_is_found_again_by_its_number(tmp_path, kind):
    texts = [f"{i}" for i in range(9)]
    if kind == "saved":
        Dataset.from_dict({"text": texts}).save_to_disk(tmp_path / "a")
    else:
        for part in range(3):
            write(tmp_path / "a", f"{part}", kind, [{"text": t} for t in texts[3 * part :][:3]])
    for shuffle in (False, True):
        source = load_text(str(tmp_path / "a"), shuffle=shuffle)
        for number, text in enumerate(source.documents(0)):
            at = int(str(text))
            assert source.place(number) == (
                f"row {at + 1} of '{tmp_path / 'a'}'"
                if kind == "saved"
                else f"line {at % 3 + 1} of '{tmp_path / 'a' / f'{at // 3}.jsonl'}'"
            )
