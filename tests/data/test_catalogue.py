"""The page on what files may look like says what the code does."""

import ast
from collections.abc import Iterator

import pytest

from .catalogue import PAGE, QUIRKS, ROOT, page


@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.what[:40])
def test_what_shows_it_exists(quirk):
    file, _, function = quirk.test.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def sentences() -> Iterator[str]:
    """Every text in the data layer and of `verify`, "…" for what is filled in."""
    source = ROOT / "src" / "subgrid"
    for path in (*(source / "data").rglob("*.py"), *(source / "downscaling" / "verifying").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_what_is_said_is_in_the_source():
    every = list(sentences())
    assert [q.says for q in QUIRKS if not any(q.says in text for text in every)] == []


def test_the_page_is_that_of_the_list():
    """`.venv/bin/python -m tests.data.catalogue` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_no_quirk_comes_twice():
    assert len({quirk.what for quirk in QUIRKS}) == len(QUIRKS)
