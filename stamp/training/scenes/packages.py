"""Packages of artwork: their definition, download from a registry, check and unpacking.

No code of a package is ever run: `npm pack --ignore-scripts` and `apt-get download` only fetch the archive, which you
can also put in the `downloads` folder by hand.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stamp.training.scenes.rasterise import ArtError


@dataclass(frozen=True)
class ArtSource:
    """One package of artwork, pinned by version and by its sha512 integrity string. `registry` is "npm" or "debian"."""

    package: str
    version: str
    integrity: str
    licence: str
    notice: str
    registry: str = "npm"

    @property
    def spec(self) -> str:
        """Name and version, as npm or apt takes them."""
        return f"{self.package}@{self.version}" if self.registry == "npm" else f"{self.package}={self.version}"

    @property
    def archive_name(self) -> str:
        """The file name that the registry's client gives: for npm, "@scope/name" becomes "scope-name"."""
        if self.registry == "debian":
            return f"{self.package}_{self.version}_all.deb"
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def fetch(source: ArtSource, folder: Path) -> Path:
    """The unpacked package of a source, downloaded if needed: npm's inner `package` folder, or a Debian package's root.

    Raises:
        ArtError: no client for the registry, a failed download, or a wrong checksum.
    """
    target = folder / "packages" / Path(source.archive_name).stem
    if not target.is_dir():
        archive = folder / "downloads" / source.archive_name
        if not archive.is_file():
            _download(source, archive)
        extract_checked(archive, source.integrity, target)
    return target / "package" if source.registry == "npm" else target


def _download(source: ArtSource, archive: Path) -> None:
    client = {"npm": "npm", "debian": "apt-get"}[source.registry]
    program = shutil.which(client)
    if program is None:
        hint = "install Node.js" if client == "npm" else "this style needs a Debian or Ubuntu system"
        raise ArtError(
            f"{client} is not on PATH: {hint}, or put {source.archive_name} of {source.registry} {source.spec} "
            f"at {archive}"
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        destination = str(Path(scratch).resolve())  # the client runs in the scratch folder
        command = [program, "download", "-q", source.spec]
        if client == "npm":
            command = [program, "pack", source.spec, "--ignore-scripts", "--silent", "--pack-destination", destination]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, check=False)
        packed = Path(scratch) / source.archive_name
        if done.returncode != 0 or not packed.is_file():
            raise ArtError(
                f"{client} could not download {source.spec} ({done.returncode}): {done.stderr.strip()[-500:]}; check "
                f"the registry, or put the archive at {archive}, or leave this style out"
            )
        os.replace(packed, archive)


def extract_checked(archive: Path, integrity: str, target: Path) -> None:
    """Unpacks a .tgz or .deb into `target`, all or nothing, after comparing its sha512 with an integrity string.

    Raises:
        ArtError: a wrong checksum, a member that would end up outside the target, or no dpkg for a .deb.
    """
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    actual = "sha512-" + base64.b64encode(digest).decode()
    if actual != integrity:
        raise ArtError(f"{archive.name}: expected {integrity}, got {actual}; delete {archive} and install again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        inner = Path(scratch) / "extracted"
        (_extract_deb if archive.suffix == ".deb" else _extract_tarball)(archive, inner)
        os.replace(inner, target)


def _extract_tarball(archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive) as members:
            members.extractall(target, filter="data")
    except tarfile.TarError as error:
        raise ArtError(f"{archive.name} was refused: {error}") from error


def _extract_deb(archive: Path, target: Path) -> None:
    program = shutil.which("dpkg")
    if program is None:
        raise ArtError(f"dpkg is not on PATH, so {archive.name} cannot be unpacked; leave its style out")
    done = subprocess.run([program, "-x", str(archive), str(target)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ArtError(f"dpkg could not unpack {archive.name}: {done.stderr.strip()[-500:]}")
