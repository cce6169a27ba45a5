"""One package of Debian or npm at a time: fetched by the registry's own client, never installed.

Debian's lists of packages are kept in a folder of their own, so that neither root nor the machine's
lists are needed. A package that was fetched once is not asked for again.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path


class Missing(Exception):
    """A tool or a package is not there; one sentence."""


@dataclass(frozen=True)
class Package:
    """A package and the licence of its text; a later release may call it by the next name."""

    names: tuple[str, ...]
    licence: str
    version: str = ""
    """Of npm, where any version can be had; Debian has the one of its release."""

    @property
    def name(self) -> str:
        """What the package is called here."""
        return self.names[0]


@dataclass(frozen=True)
class Fetched:
    """A package's file, as the manifest has it."""

    package: str
    registry: str
    version: str
    file: str
    bytes: int
    sha256: str
    licence: str


@dataclass(frozen=True)
class Store:
    """Packages in one folder, with a record of each."""

    folder: Path

    def fetch(self, package: Package) -> Fetched:
        """The package's record; fetches what is not there whole.

        Raises Missing where the client, or the package, is not to be had.
        """
        record = self.folder / f"{package.name}.json"
        if record.exists():
            known = Fetched(**json.loads(record.read_text(encoding="utf-8")))
            if _sha256(self.folder / known.file) == known.sha256:
                return known
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            file, registry, version = self._download(package, Path(place))
            shutil.move(file, self.folder / file.name)
        path = self.folder / file.name
        size, name = path.stat().st_size, path.name
        fetched = Fetched(
            package.name, registry, version, name, size, _sha256(path), package.licence
        )
        record.write_text(json.dumps(asdict(fetched), indent=1) + "\n", encoding="utf-8")
        return fetched

    @contextmanager
    def unpacked(self, packages: Sequence[Package]) -> Iterator[dict[str, Path]]:
        """The files of packages, each in a folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as place:
            folders = {}
            for package in packages:
                folders[package.name] = Path(place, package.name)
                self._unpack(self.fetch(package), folders[package.name])
            yield folders

    def _download(self, package: Package, place: Path) -> tuple[Path, str, str]:
        """Fetch into a folder: the file, where from, its version."""
        if package.version:
            return _from_npm(f"{package.name}@{package.version}", place), "npm", package.version
        lists = self.folder / "apt"
        if not lists.exists():
            _update(lists)
        for name in package.names:
            if _run(_apt(lists, "download", name), place).returncode == 0:
                (file,) = place.glob("*.deb")
                return file, "debian", _field(file, "Version")
        shutil.rmtree(lists)  # perhaps it is only the lists that are old
        raise Missing(f"apt-get finds no package {' or '.join(package.names)}")

    def _unpack(self, fetched: Fetched, folder: Path) -> None:
        path = self.folder / fetched.file
        if fetched.registry == "npm":
            _untar(path, folder)
            return
        done = _run(["dpkg-deb", "-x", str(path.resolve()), str(folder.resolve())], self.folder)
        if done.returncode:
            raise Missing(f"{path} cannot be unpacked: {_last_line(done.stderr)}")


def _untar(path: Path, folder: Path) -> None:
    """The plain files of an archive; none that would lie outside the folder."""
    with tarfile.open(path) as archive:
        for member in archive:
            place = folder / member.name
            content = archive.extractfile(member) if member.isfile() else None
            if content and place.resolve().is_relative_to(folder.resolve()):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())


def _from_npm(name: str, place: Path) -> Path:
    done = _run(["npm", "pack", name, "--ignore-scripts"], place)
    if done.returncode:
        raise Missing(f"npm cannot fetch {name}: {_last_line(done.stderr)}")
    (file,) = place.glob("*.tgz")
    return file


def _update(lists: Path) -> None:
    """Debian's lists of packages, into a folder of our own."""
    lists.mkdir(parents=True)
    (lists / "status").touch()
    done = _run(_apt(lists, "update"), lists)
    if done.returncode:
        shutil.rmtree(lists)
        raise Missing(f"apt-get cannot fetch the lists of packages: {_last_line(done.stderr)}")


def _apt(lists: Path, *arguments: str) -> list[str]:
    state = lists.resolve()
    options = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "root",  # no other user can write here
        "Debug::NoLocking": "1",
        "APT::Update::Error-Mode": "any",
    }
    settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["apt-get", "-qq", *settings, *arguments]


def _field(deb: Path, name: str) -> str:
    done = _run(["dpkg-deb", "-f", str(deb), name], deb.parent)
    return done.stdout.strip()


def _run(command: Sequence[str], place: Path) -> subprocess.CompletedProcess[str]:
    """Run a client in a folder. Raises Missing where there is no such program."""
    try:
        return subprocess.run(command, cwd=place, capture_output=True, text=True)
    except FileNotFoundError as error:
        if shutil.which(command[0]):
            raise
        raise Missing(f"{command[0]} is not on this machine") from error


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it gave no reason"])[-1]


def _sha256(path: Path) -> str:
    """Of a file's content; nothing where there is no file."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
