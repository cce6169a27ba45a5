"""Two corpora of real text from Debian's and npm's packages, each built by one command.

    python examples/corpus_debian.py OUT [--corpus ten|trouble] [--cap-mb 20] [--without NAME ...]

`ten` is ten domains of different kinds; the domains of `trouble` are chosen to mislead a way of
choosing mixtures (examples/corpora/trouble.py says how). Packages are fetched one at a time by
apt-get and npm, and unpacked, never installed; root is not needed. Written are OUT/NAME/text.jsonl
for each domain, OUT/manifest.json with versions, sizes, hashes and licences, OUT/.licences, and,
last, OUT/domains.csv. Started again, it goes on: nothing that is there is fetched or made anew.
"""

import argparse
import csv
import json
import shutil
import sys
import time
from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path
from typing import Any

from corpora.packages import Missing, Store
from corpora.recipe import Recipe, collect
from corpora.ten import TEN
from corpora.trouble import TROUBLE

CORPORA = {"ten": TEN, "trouble": TROUBLE}
SCHEMA = 1


def main() -> int:
    """Build what is missing, one domain after another; the exit code is 1 while one is missing."""
    options = _options()
    recipes = {
        name: recipe
        for name, recipe in CORPORA[options.corpus].items()
        if name not in options.without
    }
    builder = Builder(options.out, options.corpus, round(options.cap_mb * 1e6))
    missing = {}
    for name, recipe in recipes.items():
        try:
            print(builder.build(name, recipe), flush=True)
        except Missing as error:
            missing[name] = str(error)
    if missing:
        for name, reason in missing.items():
            print(f"{name} is missing: {reason}", file=sys.stderr)
        names = " ".join(missing)
        print(f"run the same command again, or leave out --without {names}", file=sys.stderr)
        return 1
    builder.finish(list(recipes))
    print(f"next: mixopt init STUDY --from {options.out}")
    return 0


class Builder:
    """One corpus in one folder; its manifest says which domains are there whole."""

    def __init__(self, out: Path, corpus: str, cap: int) -> None:
        self.out = out
        self.cap = cap
        self.store = Store(out / ".packages")
        self.manifest: dict[str, Any] = {
            "schema": SCHEMA,
            "corpus": corpus,
            "packages": {},
            "domains": {},
        }
        if self._path.exists():
            self.manifest = json.loads(self._path.read_text(encoding="utf-8"))
        if self.manifest["corpus"] != corpus:
            sys.exit(f"{out} holds the corpus {self.manifest['corpus']!r}: choose another folder")

    def build(self, name: str, recipe: Recipe) -> str:
        """A domain's file and its entry in the manifest, unless both are there; a line about it."""
        file = self.out / name / "text.jsonl"
        known = self.manifest["domains"].get(name, {})
        if known.get("cap_bytes") == self.cap and known.get("sha256") == _sha256(file):
            return _line(name, known)
        began = time.monotonic()
        file.parent.mkdir(parents=True, exist_ok=True)
        (self.out / ".packages").mkdir(exist_ok=True)
        with self.store.unpacked(recipe.packages) as folders:
            documents, cut = collect(recipe, folders, self.cap)
            self._keep_licences(folders)
        if not documents:
            raise Missing("its packages hold no text where the recipe looks")
        lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in documents]
        file.write_text("".join(lines), encoding="utf-8")
        entry = {
            "about": recipe.about,
            "packages": [package.name for package in recipe.packages],
            "documents": len(documents),
            "bytes": sum(len(text.encode()) for text in documents),
            "cap_bytes": self.cap,
            "cut": cut,
            "sha256": _sha256(file),
            "seconds": round(time.monotonic() - began, 1),
        }
        fetched = {item.name: asdict(self.store.fetch(item)) for item in recipe.packages}
        self.manifest["packages"].update(fetched)
        self.manifest["domains"][name] = entry
        self._write_manifest()
        return _line(name, entry)

    def finish(self, names: list[str]) -> None:
        """domains.csv: `mixopt init` reads it."""
        rows = [["name", "path"], *([name, name] for name in names)]
        with (self.out / "domains.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)

    @property
    def _path(self) -> Path:
        return self.out / "manifest.json"

    def _write_manifest(self) -> None:
        self.manifest["python"] = sys.version.split()[0]
        beside = self.out / ".manifest.json"
        text = json.dumps(self.manifest, ensure_ascii=False, indent=1) + "\n"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._path)

    def _keep_licences(self, folders: dict[str, Path]) -> None:
        """What each package says of its licences, beside the text that it gave."""
        for name, folder in folders.items():
            for place in (f"usr/share/doc/{name}/copyright", "package/license"):
                if (folder / place).is_file():
                    (self.out / ".licences").mkdir(exist_ok=True)
                    shutil.copyfile(folder / place, self.out / ".licences" / f"{name}.txt")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--corpus", choices=CORPORA, default="ten")
    parser.add_argument("--cap-mb", type=float, default=20.0, help="most text of a domain")
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME", help="domains")
    options = parser.parse_args()
    for name in options.without:
        if name not in CORPORA[options.corpus]:
            known = ", ".join(CORPORA[options.corpus])
            parser.error(f"{options.corpus} has no domain {name!r}, it has {known}")
    return options


def _line(name: str, entry: dict[str, Any]) -> str:
    cut = " (cut)" if entry["cut"] else ""
    return (
        f"{name:<11} {entry['bytes'] / 1e6:6.2f} MB {entry['documents']:>7,} documents "
        f"{entry['seconds']:5.1f} s  {entry['about']}{cut}"
    )


def _sha256(path: Path) -> str:
    """Of a file's content; nothing where there is no file."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
