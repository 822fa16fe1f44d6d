"""What a compiled program moves through memory, read from its own text: bytes in and out of every kernel, by kind."""

import math
import re
from collections import Counter
from typing import NamedTuple

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
_FREE = {"parameter", "constant", "bitcast", "get-tuple-element", "tuple", "while", "reshape"}
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*->")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)")


class Instruction(NamedTuple):
    """One line of a computation."""

    shape: str
    operation: str
    operands: list[str]
    calls: str | None


Program = dict[str, dict[str, Instruction]]


def parse(text: str) -> Program:
    """Computations of `compiled.as_text()`: name → instructions by name."""
    program: Program = {}
    name = ""
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            name = header[1]
            program[name] = {}
        elif found := _INSTRUCTION.match(line):
            called = re.search(r"calls=%?([\w.\-]+)", line)
            operands = re.findall(r"%([\w.\-]+)", found[4].split("), ")[0])
            program[name][found[1]] = Instruction(found[2], found[3], operands, called[1] if called else None)
    return program


def shape_bytes(shape: str) -> int:
    """Bytes of an array, or of a tuple of arrays, as XLA writes its shape."""
    found = re.findall(r"(\w+)\[([\d,]*)\]", shape)
    return sum(_BYTES.get(kind, 4) * math.prod(int(n) for n in sizes.split(",") if n) for kind, sizes in found)


def kind_of(operations: set[str]) -> str:
    """What a kernel is for, from the operations fused into it."""
    if "dot" in operations:
        return "matrix products"
    if "fft" in operations:
        return "Fourier transforms"
    if operations & {"reduce", "reduce-window"}:
        return "sums"
    if "pad" in operations:
        return "fields padded with zeros"
    if operations <= {"parameter", "concatenate", "slice", "bitcast"}:
        return "shifts and windows"
    if operations & {"transpose", "copy"}:
        return "transposes and copies"
    return "elementwise"


def traffic(text: str) -> dict[str, tuple[int, int]]:
    """Kind → (kernels, bytes) of the largest computation of a program: the body of its loop of steps.

    An operand counts in full, also where a kernel reads a part of it.
    """
    program = parse(text)
    body = max(program.values(), key=len)
    kernels, moved = Counter(), Counter()
    for found in body.values():
        if found.operation in _FREE:
            continue
        inner = program[found.calls].values() if found.calls else [found]
        kind = kind_of({part.operation for part in inner})
        arrays = [body[name].shape for name in found.operands if name in body and body[name].operation != "tuple"]
        kernels[kind] += 1
        moved[kind] += shape_bytes(found.shape) + sum(map(shape_bytes, arrays))
    return {kind: (kernels[kind], size) for kind, size in moved.most_common()}
