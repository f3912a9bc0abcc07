"""Where text comes from: every kind of dataset, and what is said of those that can't be read."""

import bz2
import gzip
import json
import lzma

import pytest
import zstandard
from datasets import Dataset, DatasetDict

from lmsaes.demo import TEXT
from lmsaes.errors import ConfigError, DataError
from lmsaes.text.datasets import load_mixture, load_text

DOCUMENTS = [
    "In the beginning.",
    "",
    "To be, or not to be\nthat is the question",
    "x",
    "Area: 5 km",
]
ROWS = "".join(json.dumps({"text": d, "id": i}) + "\n" for i, d in enumerate(DOCUMENTS))
COMPRESS = {
    "gz": gzip.compress,
    "zst": zstandard.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
}


def write(folder, kind):
    """The documents as a dataset of this kind; its name."""
    path = folder / f"data.{kind}"
    data = Dataset.from_dict({"text": DOCUMENTS, "id": list(range(len(DOCUMENTS)))})
    match kind:
        case "jsonl":
            path.write_text(ROWS)
        case "parquet":
            data.to_parquet(path)
        case "csv":
            data.to_csv(path, index=False)
        case "saved":
            data.save_to_disk(path)
        case "saved split":
            DatasetDict({"train": data}).save_to_disk(path)
        case "folder" | "glob":
            for index, document in enumerate(DOCUMENTS):
                part = path / f"{index % 2}" / f"part-{index}.jsonl"
                part.parent.mkdir(parents=True, exist_ok=True)
                part.write_text(json.dumps({"text": document}) + "\n")
            (path / "README.md").write_text("not data")
        case _:
            path.write_bytes(COMPRESS[kind.split(".")[1]](ROWS.encode()))
    return str(path / "**" / "*.jsonl") if kind == "glob" else str(path)


@pytest.mark.parametrize(
    "kind",
    ["jsonl", "jsonl.gz", "jsonl.zst", "jsonl.xz", "jsonl.bz2", "parquet", "saved", "saved split"],
)
def test_every_local_source_gives_its_documents_from_any_on(tmp_path, kind):
    name = write(tmp_path, kind)
    found = load_text(name)
    assert list(found.documents(0)) == DOCUMENTS
    assert list(found.documents(3)) == DOCUMENTS[3:]
    assert list(found.documents(5)) == []
    assert found.record == load_text(name).record


@pytest.mark.parametrize("kind", ["folder", "glob"])
def test_many_files_are_one_dataset_in_the_order_of_their_names(tmp_path, kind):
    found = load_text(write(tmp_path, kind))
    assert list(found.documents(0)) == [DOCUMENTS[i] for i in (0, 2, 4, 1, 3)]
    assert list(found.documents(2)) == [DOCUMENTS[i] for i in (4, 1, 3)]


def test_a_csv_file_gives_its_documents(tmp_path):
    (tmp_path / "a.csv").write_text('text,id\nHello,0\n"one, two",1\n')
    assert list(load_text(str(tmp_path / "a.csv")).documents(0)) == ["Hello", "one, two"]


def test_a_text_file_is_one_document(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"{name}\n\nsecond paragraph")
    assert list(load_text(str(tmp_path / "a.txt")).documents(0)) == ["a.txt\n\nsecond paragraph"]
    assert list(load_text(str(tmp_path)).documents(1)) == ["b.txt\n\nsecond paragraph"]


@pytest.mark.parametrize("name", ["files [v1]", "what?", "a*b", "[!x]", "ünï 日本"])
@pytest.mark.parametrize("kind", ["jsonl", "txt", "folder"])
def test_a_name_that_is_there_is_no_glob(tmp_path, name, kind):
    (tmp_path / "ab").mkdir()
    (tmp_path / "files v").write_text("what a glob would find")
    path = tmp_path / name / f"{name}.{kind}"
    path.parent.mkdir()
    match kind:
        case "txt":
            path.write_text("one")
        case _:
            path.with_suffix(".jsonl").write_text('{"text": "one"}\n')
    found = load_text(str(path.parent if kind == "folder" else path))
    assert list(found.documents(0)) == ["one"]


def test_what_stands_beside_data_is_not_read(tmp_path):
    beside = [
        ".ipynb_checkpoints/a.jsonl", ".hidden.jsonl", "README.jsonl", "license.json",
        "sub/.cache/b.jsonl", "dataset_infos.json", "sub/dataset_info.json",
    ]  # fmt: skip
    for name in ["a.jsonl", "sub/c.jsonl", *beside]:
        path = tmp_path / ".data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"text": name}) + "\n")
    assert list(load_text(str(tmp_path / ".data")).documents(0)) == ["a.jsonl", "sub/c.jsonl"]
    hidden = str(tmp_path / ".data" / ".hidden.jsonl")
    assert list(load_text(hidden).documents(0)) == [".hidden.jsonl"]


@pytest.mark.parametrize("layout", ["{}-00000-of-00001.jsonl", "data/{}.jsonl", "{}/part.jsonl"])
def test_a_folder_whose_names_tell_splits_gives_the_one_asked_for(tmp_path, layout):
    folder = tmp_path / "a [folder]"
    for split in ("train", "test"):
        path = folder / layout.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"text": split}) + "\n")
    for split in ("train", "test"):
        assert list(load_text(str(folder), split).documents(0)) == [split]
    with pytest.raises(DataError, match="no split 'validation'") as error:
        load_text(str(folder), "validation")
    assert error.value.hint == "it has: train, test"
    (folder / "other.jsonl").write_text('{"text": "other"}\n')
    with pytest.raises(
        DataError, match=r"of the splits train, test, but not that of 'other\.jsonl'"
    ):
        load_text(str(folder), "train")


@pytest.mark.parametrize("kind", ["jsonl", "glob", "folder"])
def test_a_split_that_no_name_tells_is_refused(tmp_path, kind):
    with pytest.raises(DataError, match="no split 'test'"):
        load_text(write(tmp_path, kind), "test")


@pytest.mark.parametrize("kind", ["jsonl", "folder"])
def test_changed_files_have_another_fingerprint(tmp_path, kind):
    name = write(tmp_path, kind)
    before = load_text(name).record.fingerprint
    changed = next(p for p in sorted(tmp_path.rglob("*.jsonl")) if p.is_file())
    changed.write_text(changed.read_text().replace("i", "e"))
    assert load_text(name).record.fingerprint != before


@pytest.mark.parametrize("kind", ["saved", "jsonl"])
def test_shuffling_follows_the_seed_and_goes_on_anywhere(tmp_path, kind):
    path = tmp_path / f"d.{kind}"
    documents = [str(i) for i in range(50)]
    if kind == "saved":
        Dataset.from_dict({"text": documents}).save_to_disk(path)
    else:
        path.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))

    def order(seed, start=0):
        return list(load_text(str(path), shuffle=True, seed=seed).documents(start))

    assert order(1) == order(1) != order(2)
    assert order(1, 20) == order(1)[20:]
    assert sorted(order(1)) == sorted(order(2)) == sorted(documents)


def test_a_mixture_keeps_each_datasets_settings_and_shares(tmp_path):
    for name, column in (("a.jsonl", "text"), ("b.jsonl", "body")):
        (tmp_path / name).write_text(json.dumps({column: name}) + "\n")
    names = [str(tmp_path / n) for n in ("a.jsonl", "b.jsonl")]
    a, b = load_mixture(names, mix=[3, 1], column=["text", "body"])
    assert (a.record.share, b.record.share) == (0.75, 0.25)
    assert list(b.documents(0)) == ["b.jsonl"]
    alike = load_mixture(names, column=["text", "body"])
    assert [s.record.share for s in alike] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mix": [1]}, "--mix is given 1 times for 2 datasets"),
        ({"mix": [1, 0]}, "must be positive: 1, 0"),
        ({"mix": [1, float("nan")]}, "must be positive"),
        ({"split": ["a", "b", "c"]}, "--split is given 3 times for 2 datasets"),
    ],
)
def test_settings_that_do_not_fit_a_mixture_are_told(tmp_path, settings, message):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ConfigError, match=message):
        load_mixture([str(tmp_path / "a.txt")] * 2, **settings)


@pytest.mark.parametrize(
    ("make", "arguments", "message", "hint"),
    [
        (None, {}, "there is no file or folder", None),
        ("jsonl", {"column": "body"}, "no column 'body'", "text"),
        ("number", {}, "holds int, not text", "--text-column"),
        ("broken", {}, r"can't read '.*data\.parquet'", None),
        ("half", {}, r"line 1 of '.*b\.jsonl' is not JSON", None),
        ("pdf", {}, "of no kind that can be read", ".jsonl"),
        ("empty", {}, "holds no dataset", "save_to_disk"),
        ("mixed", {}, "files of several kinds", "glob"),
        ("glob", {}, "no file matches", None),
        ("split", {"split": "test"}, "no split 'test'", "train"),
        ("cut zst", {}, "can't read", None),
        ("cut gz", {}, "can't read", None),
        ("nothing", {}, "not one row", None),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, make, arguments, message, hint):
    path = tmp_path / "data.jsonl"
    match make:
        case "jsonl":
            path.write_text('{"text": "a"}\n')
        case "number":
            path.write_text('{"text": 1}\n')
        case "half":
            path = tmp_path
            (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
            (tmp_path / "b.jsonl").write_text('{"text": "unfinis')
        case "broken":
            path = tmp_path / "data.parquet"
            path.write_bytes(b"no parquet")
        case "cut zst" | "cut gz":
            suffix = make[4:]
            path = tmp_path / f"data.jsonl.{suffix}"
            path.write_bytes(COMPRESS[suffix](ROWS.encode() * 100)[:90])
        case "nothing":
            path.write_text("")
        case "pdf":
            path = tmp_path / "data.pdf"
            path.write_bytes(b"%PDF")
        case "empty":
            path = tmp_path / "folder"
            path.mkdir()
        case "mixed":
            path = tmp_path
            (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
            (tmp_path / "b.txt").write_text("b")
        case "glob":
            path = tmp_path / "*.jsonl"
        case "split":
            path = tmp_path / "folder"
            DatasetDict({"train": Dataset.from_dict({"text": ["a"]})}).save_to_disk(path)
    with pytest.raises(DataError, match=message) as error:
        list(load_text(str(path), **arguments).documents(0))
    assert "\n" not in str(error.value)
    if hint:
        assert hint in (error.value.hint or "")


def test_a_name_that_cannot_be_downloaded_is_told():
    with pytest.raises(DataError, match="neither a local file or folder nor to be had"):
        load_text("nobody/nothing-at-all")


def test_the_bundled_text_has_all_its_sources_early():
    with gzip.open(TEXT, "rt") as file:
        sources = [json.loads(line)["source"] for _, line in zip(range(60), file, strict=False)]
    assert len(set(sources)) == 4
