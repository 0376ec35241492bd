"""Builds `flowertune-<version>-py3-none-any.whl`: the client with the parts of `evaluation` that it imports.

Those lie in the wheel as a private subpackage, and the imports in its files name that, so that nothing of the
site's enters a participant's environment. What the parts are follows from the imports themselves. Equal code
gives equal bytes.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.metadata
import importlib.util
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

NAME = "flowertune"
REQUIRES_PYTHON = ">=3.10"
# What the files import of others, in the ranges that they work with.
REQUIREMENTS = (
    "httpx>=0.25,<1",
    "platformdirs>=3",
    "tqdm>=4.60",
    'tomli>=2; python_version < "3.11"',
)
# What only some commands need, by the name of the extra. `cryptography` is compiled and weighs twenty times
# as much as the client, which most people install to submit.
EXTRAS = {"verify": ("cryptography>=42",), "card": ("PyYAML>=6",)}
_PROJECT = "flowertune-leaderboard"
_SHARED, _PRIVATE = "evaluation", "flowertune._evaluation"
_FORMAT = b"Wheel-Version: 1.0\nGenerator: flowertune\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Wheel:
    """A wheel's file."""

    name: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@cache
def version() -> str:
    """The client's is the site's."""
    return importlib.metadata.version(_PROJECT)


def file_name() -> str:
    """Known without building it."""
    return f"{NAME}-{version()}-py3-none-any.whl"


@cache
def client_wheel() -> Wheel:
    """The client of the code that runs here; read once, as that code is."""
    about = f"{NAME}-{version()}.dist-info"
    files = {_place(module): _own_imports(path, module) for module, path in sorted(_modules().items())}
    files[f"{about}/METADATA"] = _metadata().encode()
    files[f"{about}/licenses/LICENSE"] = (_root("portal").parent / "LICENSE").read_bytes()
    files[f"{about}/WHEEL"] = _FORMAT
    files[f"{about}/entry_points.txt"] = f"[console_scripts]\n{NAME} = {NAME}.__main__:main\n".encode()
    files[f"{about}/RECORD"] = _record(files, f"{about}/RECORD")
    return Wheel(file_name(), _zipped(files))


def _modules() -> dict[str, Path]:
    """All modules of the client, and those of `evaluation` that they import, at whatever depth."""
    found: dict[str, Path] = {}
    client = _file_of(NAME)
    assert client
    folder = client.parent
    waiting = [_module_name(path.relative_to(folder.parent)) for path in folder.rglob("*.py")]
    while waiting:
        module = waiting.pop()
        path = _file_of(module)
        if module in found or path is None:  # a name in a module, not one of its own
            continue
        found[module] = path
        waiting += [name for name in _imported(path) if name.split(".")[0] in (NAME, _SHARED)]
        waiting += [module.rpartition(".")[0]] if "." in module else []
    return found


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _root(package: str) -> Path:
    """The folder of a package, which is not imported for it."""
    spec = importlib.util.find_spec(package)
    assert spec and spec.origin, f"{package} is not installed"
    return Path(spec.origin).parent


def _file_of(module: str) -> Path | None:
    package, *rest = module.split(".")
    place = _root(package).joinpath(*rest)
    candidates = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


def _imported(path: Path) -> Iterator[str]:
    """The names of what a file imports: modules, and what may be one."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _place(module: str) -> str:
    """Where a module lies in the wheel."""
    path = _file_of(module)
    assert path
    inside = f"{_PRIVATE}{module.removeprefix(_SHARED)}" if _is_shared(module) else module
    suffix = "/__init__.py" if path.name == "__init__.py" else ".py"
    return f"{inside.replace('.', '/')}{suffix}"


def _is_shared(module: str | None) -> bool:
    return module is not None and module.split(".")[0] == _SHARED


def _own_imports(path: Path, module: str) -> bytes:
    """The file's source, its imports of `evaluation` naming the private copy. Raises ValueError for a form of
    import that this cannot rename.
    """
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(_is_shared(alias.name) for alias in node.names):
            raise ValueError(f"{module}, line {node.lineno}: write `from {_SHARED}… import …`")
        if isinstance(node, ast.ImportFrom) and _is_shared(node.module):
            before = lines[node.lineno - 1]
            lines[node.lineno - 1] = before.replace(f"from {_SHARED}", f"from {_PRIVATE}", 1)
    return "".join(lines).encode()


def _metadata() -> str:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {NAME}",
        f"Version: {version()}",
        "Summary: Submit federated fine-tuned adapters to a FlowerTune leaderboard, and follow them",
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        f"Requires-Python: {REQUIRES_PYTHON}",
        *(f"Requires-Dist: {requirement}" for requirement in REQUIREMENTS),
        *(f"Provides-Extra: {extra}" for extra in EXTRAS),
        *(f'Requires-Dist: {one}; extra == "{extra}"' for extra, needed in EXTRAS.items() for one in needed),
    ]
    return "\n".join(lines) + "\n"


def _record(files: Mapping[str, bytes], own: str) -> bytes:
    """Each file's digest and size, as the format of wheels wants them."""
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{own},,\n"]).encode()


def _zipped(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return target.getvalue()
