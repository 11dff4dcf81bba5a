# SPDX-License-Identifier: GPL-3.0-or-later
"""Gathers the training text from Debian packages, by name, and cuts off the held-out part.

    python3 corpus.py [--work FOLDER] [--quick]

Each package is downloaded with `apt-get download` (no root needed, nothing is installed), unpacked into
WORK/packages and turned into plain text. Paragraphs seen before are dropped. Of every 40 blocks of 32 KiB one is
held out. Writes train.txt, held_out.txt (documents separated by a NUL byte) and manifest.json with the version,
licence and number of bytes of each package.

--quick downloads nothing: it reads the standard library of the Python that runs it.
"""

import gzip
import hashlib
import html.parser
import json
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable

import settings

BLOCK_BYTES = 32 * 1024
HELD_OUT_EVERY = 40
SEPARATOR = "\0"


class _TextOfHtml(html.parser.HTMLParser):
    """Collects the text of a page: one paragraph per block element, <pre> kept as it stands."""

    SKIPPED = {"script", "style", "head", "nav"}
    BLOCKS = {"p", "div", "li", "dt", "dd", "tr", "h1", "h2", "h3", "h4", "h5", "pre", "br", "table"}

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.skipping = 0
        self.preformatted = 0

    def handle_starttag(self, tag, attrs):
        self.skipping += tag in self.SKIPPED
        self.preformatted += tag == "pre"
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        self.skipping -= tag in self.SKIPPED and self.skipping > 0
        self.preformatted -= tag == "pre" and self.preformatted > 0
        if tag in self.BLOCKS:
            self.parts.append("\n\n" if tag in ("p", "pre", "h1", "h2", "h3", "h4", "h5") else "\n")

    def handle_data(self, data):
        if not self.skipping:
            self.parts.append(data if self.preformatted else re.sub(r"\s+", " ", data))


def plain(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def from_html(data: bytes) -> str:
    page = _TextOfHtml()
    page.feed(plain(data))
    return "\n".join(line.rstrip() for line in "".join(page.parts).split("\n"))


def from_pod(data: bytes) -> str:
    """Perl's documentation: drop the commands' equals signs and the letter of C<...>, I<...>."""
    text = re.sub(
        r"^=(head\d|item|over|back|cut|pod|for|begin|end|encoding)\b *", "", plain(data), flags=re.M
    )
    return re.sub(r"\b[BCFILSX]<+ ?([^<>]*?) ?>+", r"\1", text)


def from_rst(data: bytes) -> str:
    """Sphinx sources: drop index directives and the role names of :func:`...`."""
    text = re.sub(
        r"^\.\. (index|_[^\n]*|module|sectionauthor|moduleauthor)[^\n]*\n( +[^\n]*\n)*",
        "",
        plain(data),
        flags=re.M,
    )
    return re.sub(r":[a-z:]+:`~?([^`<]*?)(?: <[^`>]*>)?`", r"\1", text)


def from_wesnoth(data: bytes) -> str:
    """Campaign scripts: the translatable strings that are sentences, in the order in which the story tells them."""
    text = re.sub(r"^\s*#.*$", "", plain(data), flags=re.M)
    said = []
    for string in re.findall(r'_ *"((?:[^"]|"")*)"', text):
        string = re.sub(r"<[^>]*>", "", string.replace('""', '"')).strip()
        if len(string) > 40 and " " in string:
            said.append(re.sub(r"[ \t]*\n[ \t]*", "\n", string))
    return "\n\n".join(said)


def from_tagged_bible(root: Path) -> Iterable[str]:
    """The King James text is packed; its own reader (package bible-kjv) prints it. One document per book."""
    reader = root.parent / "bible-kjv" / "usr" / "bin" / "bible"
    data = root / "usr" / "lib"
    printed = subprocess.run(
        [reader, "-p", data, "-l72", "Gen1:1-Rev22:21"], check=True, capture_output=True
    ).stdout
    chapters = re.split(r"\n\n(?=[A-Z1-3][A-Za-z ]+ \d+\n\n)", "\n" + plain(printed))
    for first in range(0, len(chapters), 8):
        yield re.sub(r"^  (?=\d)", "", "\n\n".join(chapters[first : first + 8]), flags=re.M).strip()


@dataclass(frozen=True)
class Source:
    """One package (or group of like packages) and how its files become text."""

    packages: tuple[str, ...]
    kind: str
    licence: str
    pattern: str = ""
    to_text: Callable[[bytes], str] = plain
    limit: int = 5_000_000


CAMPAIGNS = tuple(
    "wesnoth-1.16-" + name
    for name in "did dm dw ei httt l low nr sof sota sotbe thot tsg ttb utbs trow".split()
)

SOURCES = (
    Source(("bible-kjv", "bible-kjv-text"), "prose", "public domain (text); GPL-2+ (packaging)"),
    Source(CAMPAIGNS, "prose", "GPL-2+", r".*\.cfg$", from_wesnoth),
    Source(
        ("debian-handbook",),
        "prose",
        "GPL-2+ or CC-BY-SA-3.0",
        r".*/en-US/(?!index|ix01).*\.html$",
        from_html,
    ),
    Source(("jargon-text",), "prose", "public domain", r".*/jargon\.txt\.gz$"),
    Source(("debian-reference-en",), "prose", "GPL-2+", r".*\.en\.html$", from_html),
    Source(("harden-doc",), "prose", "GPL-2+", r".*/en-US/(?!index|ix01).*\.html$", from_html),
    Source(("debian-policy",), "prose", "GPL-2+", r".*/policy\.txt\.gz$"),
    Source(("developers-reference",), "prose", "GPL-2+", r".*/_sources/.*\.txt$", from_rst),
    Source(("debian-faq",), "prose", "GPL-2+", r".*/debian-faq\.en\.txt\.gz$"),
    Source(("python3.11-doc",), "manual", "PSF-2.0", r".*/_sources/.*\.txt$", from_rst, 6_000_000),
    Source(
        ("perl-doc",),
        "manual",
        "GPL-1+ or Artistic",
        r".*/pod/perl(?!toc)[a-z0-9]*\.pod$",
        from_pod,
        3_000_000,
    ),
    Source(("libpython3.11-stdlib",), "code", "PSF-2.0", r".*(?<!_data)\.py$", limit=6_000_000),
    Source(("python3-django",), "code", "BSD-3-Clause", r".*\.py$", limit=4_000_000),
)


def fetch(package: str, folder: Path) -> str:
    """Downloads and unpacks one package unless it is there; returns its version."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob(f"{package}_*.deb"))
    if not found:
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        found = sorted(folder.glob(f"{package}_*.deb"))
    target = folder / package
    if not target.exists():
        subprocess.run(["dpkg-deb", "-x", found[-1], target], check=True)
    return subprocess.run(
        ["dpkg-deb", "-f", found[-1], "Version"], check=True, capture_output=True, text=True
    ).stdout.strip()


def documents(source: Source, folder: Path) -> Iterable[str]:
    """The texts of one source in a fixed order that does not follow the alphabet (so that a limit takes a sample)."""
    if source.packages[-1] == "bible-kjv-text":
        yield from from_tagged_bible(folder / "bible-kjv-text")
        return
    files = [
        path
        for package in source.packages
        for path in (folder / package).rglob("*")
        if path.is_file() and not path.is_symlink() and re.fullmatch(source.pattern, str(path))
    ]
    for path in sorted(files, key=lambda p: hashlib.sha1(p.name.encode()).hexdigest()):
        data = path.read_bytes()
        yield source.to_text(gzip.decompress(data) if path.suffix == ".gz" else data)


class Cleaner:
    """Normalises white space, drops what is not text, and paragraphs that have been seen before."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()

    def __call__(self, text: str) -> str:
        text = text.replace("\0", "").replace("\r", "").expandtabs(4)
        kept = []
        for paragraph in re.split(r"\n{2,}", text):
            paragraph = "\n".join(line.rstrip() for line in paragraph.split("\n"))
            if not paragraph.strip():
                continue
            if len(paragraph) > 100:
                digest = hashlib.blake2b(paragraph.encode(), digest_size=12).digest()
                if digest in self.seen:
                    continue
                self.seen.add(digest)
            kept.append(paragraph)
        return "\n\n".join(kept) + "\n" if kept else ""


def blocks(text: str) -> Iterable[str]:
    """Cuts a document at line ends into blocks of about BLOCK_BYTES."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + BLOCK_BYTES)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def gather(work: Path, quick: bool) -> dict:
    """Writes train.txt, held_out.txt and manifest.json into the work folder; returns the manifest."""
    work.mkdir(parents=True, exist_ok=True)
    if quick:
        library = Path(sysconfig.get_paths()["stdlib"])
        sources = (Source(("python-stdlib",), "code", "PSF-2.0", r".*/[a-h][a-z_]*\.py$", limit=800_000),)
        read = lambda source: (
            plain(p.read_bytes())
            for p in sorted(library.glob("*.py"))
            if re.fullmatch(source.pattern, str(p))
        )
        version_of = lambda package: sys.version.split()[0]
    else:
        folder = work / "packages"
        sources = SOURCES
        read = lambda source: documents(source, folder)
        version_of = lambda package: fetch(package, folder)

    clean = Cleaner()
    train: list[str] = []
    held_out: dict[str, list[str]] = {}
    manifest = []
    count = 0
    for source in sources:
        versions = {package: version_of(package) for package in source.packages}
        kept = withheld = 0
        for document in read(source):
            for block in blocks(clean(document)):
                size = len(block.encode())
                if kept + size > source.limit:
                    break
                count += 1
                if count % (6 if quick else HELD_OUT_EVERY) == 3:
                    held_out.setdefault(source.kind, []).append(block)
                    withheld += size
                else:
                    train.append(block)
                    kept += size
        manifest.append(
            {
                "packages": versions,
                "kind": source.kind,
                "licence": source.licence,
                "train_bytes": kept,
                "held_out_bytes": withheld,
            }
        )
        print(
            f"{source.packages[-1]:24} {source.kind:7} {kept / 1e6:6.2f} MB, held out {withheld / 1e3:6.1f} kB  {source.licence}"
        )
    (work / "train.txt").write_text(SEPARATOR.join(train), encoding="utf-8")
    (work / "held_out.txt").write_text(
        SEPARATOR.join(b for kind in held_out.values() for b in kind), encoding="utf-8"
    )
    (work / "held_out.json").write_text(json.dumps(held_out), encoding="utf-8")
    (work / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return {"sources": manifest}


def main() -> None:
    arguments = settings.parser(__doc__.split("\n")[0]).parse_args()
    gather(arguments.work, arguments.quick)


if __name__ == "__main__":
    main()
