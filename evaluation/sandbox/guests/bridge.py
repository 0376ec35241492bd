"""Python code and its tests in two processes: what each runs in the sandbox, alone, without the project.

`answer` loads the code under test and answers requests for its names, calls and attributes. `examine` runs
the tests, for which those names stand for the functions of the other process. Only values cross, as copies;
an object without a plain value crosses as a handle, which equals itself alone. So the tests, what they expect
and how they compare are out of the code's reach.

Both read and write the pipes whose descriptors follow the role; a message is its length and an encoded tuple.
Imports are few and light, as interpreters are started for every program.
"""

import builtins
import os
import struct
import sys
from types import ModuleType
from typing import Any, NoReturn

_MOST_BYTES = 16 * 1024**2
_ONLY_PARSE = 0x400  # ast.PyCF_ONLY_AST, without importing ast
_CONTAINERS: dict[type, bytes] = {list: b"l", tuple: b"t", set: b"s", frozenset: b"z"}
_MAKE: dict[bytes, Any] = {tag: kind for kind, tag in _CONTAINERS.items()}


class Gone(BaseException):
    """The other process has ended or closed its pipe."""


class Unusable(BaseException):
    """The tests pass something that cannot be copied to the code."""


class Wire:
    """Sends and receives tuples of values. `objects` knows which objects cross as handles."""

    def __init__(self, reading: int, writing: int, objects: Any) -> None:
        self._reader = os.fdopen(reading, "rb")
        self._writing = writing
        self._objects = objects

    def send(self, *message: Any) -> None:
        out = bytearray(4)
        self._encode(message, out)
        if len(out) > _MOST_BYTES:
            raise ValueError(f"a value of more than {_MOST_BYTES} bytes")
        out[:4] = (len(out) - 4).to_bytes(4, "big")
        view = memoryview(out)
        try:
            while view:
                view = view[os.write(self._writing, view) :]
        except BrokenPipeError:
            raise Gone from None

    def receive(self) -> tuple[Any, ...]:
        size = int.from_bytes(self._read(4), "big")
        if size > _MOST_BYTES:
            raise ValueError(f"a value of more than {_MOST_BYTES} bytes")
        message, end = self._decode(self._read(size), 0)
        if end != size or type(message) is not tuple or not message:
            raise ValueError("a malformed message")
        return message

    def _read(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise Gone
        return data

    def _encode(self, value: Any, out: bytearray) -> None:
        if value is None:
            out += b"N"
        elif isinstance(value, bool):
            out += b"T" if value else b"F"
        elif isinstance(value, int):
            _append(out, b"i", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        elif isinstance(value, float):
            out += b"f" + struct.pack(">d", value)
        elif isinstance(value, str):
            _append(out, b"u", value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, (list, tuple, set, frozenset)):
            self._encode_items(_tag(value), value, out)
        elif isinstance(value, dict):
            self._encode_items(b"d", (part for pair in value.items() for part in pair), out, len(value))
        else:
            self._encode_rare(value, out)

    def _encode_items(self, tag: bytes, items: Any, out: bytearray, count: int | None = None) -> None:
        out += tag + (len(items) if count is None else count).to_bytes(4, "big")
        for item in items:
            self._encode(item, out)

    def _encode_rare(self, value: Any, out: bytearray) -> None:
        kind = type(value)
        if kind is complex:
            out += b"c" + struct.pack(">dd", value.real, value.imag)
        elif kind is bytes or kind is bytearray:
            _append(out, b"b" if kind is bytes else b"y", bytes(value))
        elif kind is range:
            self._encode_items(b"r", (value.start, value.stop, value.step), out)
        elif kind is type({}.keys()) or kind is type({}.items()):
            self._encode_items(b"s", value, out)  # as sets, to which they compare equal
        elif kind.__module__ == "fractions" and kind.__name__ == "Fraction":
            self._encode_items(b"q", (value.numerator, value.denominator), out)
        elif kind.__module__ == "decimal" and kind.__name__ == "Decimal":
            _append(out, b"D", str(value).encode())
        else:
            out += b"h" + self._objects.handle(value).to_bytes(4, "big")

    def _decode(self, data: bytes, start: int) -> tuple[Any, int]:
        tag, at = data[start : start + 1], start + 1
        if tag == b"N":
            return None, at
        if tag in (b"T", b"F"):
            return tag == b"T", at
        if tag == b"f":
            return struct.unpack_from(">d", data, at)[0], at + 8
        if tag == b"c":
            return complex(*struct.unpack_from(">dd", data, at)), at + 16
        (size,) = struct.unpack_from(">I", data, at)
        at += 4
        if tag == b"h":
            return self._objects.object(size), at
        if tag in b"iubyD":
            if at + size > len(data):
                raise ValueError("a malformed value")
            return _scalar(tag, data[at : at + size]), at + size
        items = []
        for _ in range(2 * size if tag == b"d" else size):
            item, at = self._decode(data, at)
            items.append(item)
        return _container(tag, items), at


def _append(out: bytearray, tag: bytes, data: bytes) -> None:
    out += tag + len(data).to_bytes(4, "big") + data


def _tag(value: Any) -> bytes:
    return next(tag for kind, tag in _CONTAINERS.items() if isinstance(value, kind))


def _scalar(tag: bytes, data: bytes) -> Any:
    if tag == b"i":
        return int.from_bytes(data, "big", signed=True)
    if tag == b"u":
        return data.decode("utf-8", "surrogatepass")
    if tag == b"D":
        from decimal import Decimal

        return Decimal(data.decode())
    return data if tag == b"b" else bytearray(data)


def _container(tag: bytes, items: list[Any]) -> Any:
    if tag == b"d":
        return dict(zip(items[::2], items[1::2], strict=True))
    if tag == b"r":
        return range(*items)
    if tag == b"q":
        from fractions import Fraction

        return Fraction(*items)
    return _MAKE[tag](items)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123 - pathlib is slow to import
        return file.read()


# --- the code's side


class Objects:
    """The objects of the code that the tests hold handles of, by number."""

    def __init__(self) -> None:
        self._known: list[Any] = []
        self._numbers: dict[int, int] = {}

    def handle(self, value: Any) -> int:
        number = self._numbers.setdefault(id(value), len(self._known))
        if number == len(self._known):
            self._known.append(value)  # which also keeps the id from being used again
        return number

    def object(self, number: int) -> Any:
        return self._known[number]


def answer(reading: int, writing: int) -> None:
    """Load the code and answer requests until the tests' side is done.

    What the code raises is its answer; SystemExit and its like end the process, as they would anywhere.
    """
    wire = Wire(reading, writing, Objects())
    program = ModuleType("program")
    sys.modules["program"] = program
    sys.argv = ["program.py"]
    source = _text("/sandbox/program.py")
    try:
        code = compile(source, "program.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        wire.send("unparsable", f"{type(error).__name__}: {error}")
        return
    try:
        exec(code, program.__dict__)  # noqa: S102 - what this process is for
    except Exception as error:  # noqa: BLE001 - see above
        wire.send(*_raised(error))
        return
    wire.send("loaded")
    try:
        while True:
            request = wire.receive()
            try:
                wire.send(*_answered(program.__dict__, *request))
            except Exception as error:  # noqa: BLE001 - see above
                wire.send(*_raised(error))
    except Gone:
        return


def _answered(names: dict[str, Any], verb: str, subject: Any, *rest: Any) -> tuple[Any, ...]:
    if verb == "name":
        if subject not in names:
            return ("missing",)
        value = names[subject]
        return ("module", value.__name__) if isinstance(value, ModuleType) else ("value", value)
    if verb == "call":
        return "value", subject(*rest[0], **rest[1])
    if verb == "get":
        return "value", getattr(subject, rest[0])
    if verb == "set":
        setattr(subject, rest[0], rest[1])
        return "value", None
    return "value", list(subject)


def _raised(error: Exception) -> tuple[str, str, str]:
    """The name of the error's first built-in class, and its text."""
    kind = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the text is made by the code under test
        text = ""
    own = "" if kind is type(error) else f"{type(error).__name__}: "
    return "raised", kind.__name__, f"{own}{text}"[:2_000]


# --- the tests' side


class Remote:
    """An object of the code. Equality is identity, whatever its class says; it is true, as objects are."""

    __slots__ = ("_asks", "_number")

    def __init__(self, asks: "Asks", number: int) -> None:
        object.__setattr__(self, "_asks", asks)
        object.__setattr__(self, "_number", number)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._asks.ask("call", self, arguments, keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._asks.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._asks.ask("set", self, name, value)

    def __iter__(self) -> Any:
        return iter(self._asks.ask("list", self))


class Asks:
    """Requests to the code's side."""

    def __init__(self, reading: int, writing: int) -> None:
        self._wire = Wire(reading, writing, self)
        self._remotes: dict[int, Remote] = {}
        self.gone = False

    def handle(self, value: Any) -> int:
        if isinstance(value, ModuleType):
            raise TypeError(
                "a module where the tests need a value"
            )  # which is what the code made of its name
        if type(value) is not Remote:
            raise Unusable(f"the tests pass a value of type {type(value).__name__}, which cannot be copied")
        return int(object.__getattribute__(value, "_number"))

    def object(self, number: int) -> Remote:
        return self._remotes.setdefault(number, Remote(self, number))

    def started(self) -> tuple[Any, ...]:
        """How loading the code went."""
        return self._wire.receive()

    def ask(self, *request: Any) -> Any:
        try:
            self._wire.send(*request)
            verb, *rest = self._wire.receive()
        except Gone:
            self.gone = True
            raise
        if verb == "value":
            return rest[0]
        if verb == "module" and request[0] == "name" and rest[0] in sys.stdlib_module_names:
            return __import__(rest[0])  # the tests' own copy of a module that the code imported
        if verb == "raised":
            raise _error(*rest)
        raise KeyError(request[1])


def _error(kind: str, text: str) -> Exception:
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            return known(text)
        except TypeError:  # UnicodeDecodeError and its like take more than a text
            pass
    return Exception(f"{kind}: {text}")


class Names(dict[str, Any]):
    """The tests' global names: their own, then the built-in ones, then the code's.

    A code's name goes before a built-in one only where the tests use no other name of the code (MBPP asks for
    a function `sum`): else a program could give the tests another `set` or `abs`.
    """

    def __init__(self, asks: Asks, tree: Any) -> None:
        super().__init__(__name__="tests", __builtins__=builtins)
        self._asks = asks
        used, own = _names(tree)
        foreign = used - own
        only_builtin = all(hasattr(builtins, name) for name in foreign)
        self._shadowable = foreign if only_builtin else frozenset()

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) and name not in self._shadowable:
            return getattr(builtins, name)
        value = self._asks.ask("name", name)
        self[name] = value
        return value


def _names(tree: Any) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a syntax tree reads, and those that it binds."""
    used: set[str] = set()
    bound: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        kind = type(node).__name__
        if kind == "Name":
            (used if type(node.ctx).__name__ == "Load" else bound).add(node.id)
        elif kind in ("FunctionDef", "ClassDef"):
            bound.add(node.name)
        elif kind == "arg":
            bound.add(node.arg)
        elif kind == "alias":
            bound.add((node.asname or node.name).partition(".")[0])
        for name in getattr(node, "_fields", ()):
            value = getattr(node, name)
            waiting += value if isinstance(value, list) else [value]
    return frozenset(used), frozenset(bound)


def examine(reading: int, writing: int) -> None:
    """Run the tests and report on standard output: a verdict on the first line, what was wrong below."""
    report = os.dup(1)
    os.dup2(2, 1)  # what the tests print
    source = _text("/sandbox/tests.py")
    verdict, detail = _examined(Asks(reading, writing), source)
    with os.fdopen(report, "w", encoding="utf-8", errors="replace") as file:
        file.write(f"{verdict}\n{detail}")


def _examined(asks: Asks, source: str) -> tuple[str, str]:
    try:
        tree = compile(source, "tests.py", "exec", _ONLY_PARSE)
        tests = compile(source, "tests.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        return "not_compiled", f"the problem's tests are not Python: {error}"
    try:
        verb, *rest = asks.started()
        if verb == "unparsable":
            return "not_compiled", rest[0] if type(rest[0]) is str else ""
        if verb != "loaded":
            return "failed", ": ".join(rest)
        exec(tests, Names(asks, tree))  # noqa: S102 - what this process is for
    except Gone:
        return "ended_early", ""
    except Unusable as error:
        return "unusable", str(error)
    except Exception as error:  # noqa: BLE001 - a failed test, whatever it raises
        return ("ended_early", "") if asks.gone else ("failed", _described(error, source))
    return ("ended_early", "") if asks.gone else ("passed", "")


def _described(error: Exception, source: str) -> str:
    """The error, and the line of the tests where it was raised."""
    line, frame = 0, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == "tests.py":
            line = frame.tb_lineno
        frame = frame.tb_next
    where = source.split("\n")[line - 1].strip() if line else ""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - it may hold a value of the code that has no text, as a huge number
        text = ""
    return f"{type(error).__name__}: {text}\nin line {line} of the tests: {where}"


def main(role: str, reading: str, writing: str) -> NoReturn:
    (examine if role == "examine" else answer)(int(reading), int(writing))
    os._exit(0)  # without waiting for threads that the code left


if __name__ == "__main__":
    main(*sys.argv[1:])
