"""Every public name is there, documented in sections, and in the reference; what no stub names is private."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
STUBS = sorted(SOURCE.rglob("__init__.pyi"))
PACKAGES = [".".join(stub.parent.relative_to(SOURCE).parts) for stub in STUBS]


def names_of(package: str) -> list[str]:
    return importlib.import_module(package).__all__


def functions_and_classes() -> list[str]:
    found = []
    for stub, package in zip(STUBS, PACKAGES, strict=True):
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found += [f"{package}.{node.module}.{alias.name}" for alias in node.names]
    return sorted(set(found))


def definition(name: str) -> ast.FunctionDef | ast.ClassDef:
    module, _, own = name.rpartition(".")
    path = SOURCE / (module.replace(".", "/") + ".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == own:
            return node
    raise AssertionError(f"{name} is in a stub, and not defined in {path}")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_stub_can_be_imported(package):
    module = importlib.import_module(package)
    assert module.__all__
    for name in module.__all__:
        found = getattr(module, name)
        assert inspect.getmodule(found) is not module or name == "__version__", (
            f"{package}.{name} is defined in __init__"
        )


@pytest.mark.parametrize("name", functions_and_classes())
def test_a_public_name_has_the_sections_that_it_needs(name):
    node = definition(name)
    text = ast.get_docstring(node) or ""
    assert text, f"{name} has no docstring"
    assert "**Arguments:**" not in text and "**Returns:**" not in text, f"{name}: sections are those of Google style"
    if isinstance(node, ast.ClassDef):
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
        described = [
            a for a, b in zip(node.body, node.body[1:], strict=False) if isinstance(a, ast.AnnAssign) and is_text(b)
        ]
        assert "Args:" in text or len(described) == len(fields), (
            f"{name}: fields without a word, in Args: or below each"
        )
        return
    arguments = [a.arg for a in [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg] if a]
    if arguments:
        assert "Args:" in text, f"{name} has no Args:"
        section = text.split("Args:")[1]
        missing = [a for a in arguments if not re.search(rf"\b{a}\b", section)]
        assert not missing, f"{name}: Args: leaves out {missing}"
    if not (isinstance(node.returns, ast.Constant) and node.returns.value is None):
        assert "Returns:" in text or "Yields:" in text, f"{name} has no Returns:"


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_the_reference_has_every_package_once():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
    found = re.findall(r"^\[\[public: (subgrid[\w.]*)\]\]$", pages, re.MULTILINE)
    assert sorted(found) == sorted(package for package in PACKAGES if package != "subgrid")
    # What the package itself offers is described by hand, on the first page.
    index = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")
    assert all(name in index for name in names_of("subgrid") if name != "__version__")
