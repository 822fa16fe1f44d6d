"""mkdocs hooks: tutorials in examples/ (jupytext scripts) become pages, without running them; and a line

    [[public: subgrid.diffusion]]

of a reference page becomes the names that the package makes public, module by module.
"""

import ast
import re
from pathlib import Path

import jupytext
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PUBLIC = re.compile(r"^\[\[public: (subgrid[\w.]*)\]\]$", re.MULTILINE)


def on_files(files, config):
    for script in sorted(EXAMPLES.glob("*.py")):
        notebook = jupytext.read(script)
        notebook.metadata = {}  # no YAML header on the page
        text = jupytext.writes(notebook, fmt="md")
        source = f"\n\n---\n\nThis page is `examples/{script.name}`; run it with `python examples/{script.name}`.\n"
        files.append(File.generated(config, f"tutorials/{script.stem}.md", content=text + source))
    return files


def on_page_markdown(markdown, page, config, files):
    return PUBLIC.sub(lambda found: entries(found[1]), markdown)


def entries(package):
    """What mkdocstrings takes: a heading for each module of a package, and each of its public names."""
    lines = []
    for module, names in public_names(package).items():
        lines += [f"## {module.replace('_', ' ')}", ""]
        lines += [line for name in names for line in (f"::: {package}.{module}.{name}".rstrip("."), "")]
    return "\n".join(lines)


def public_names(package):
    """Names by module, as the stub beside the package's __init__ lists them; a module listed whole has the name ""."""
    stub = ROOT / "src" / package.replace(".", "/") / "__init__.pyi"
    found = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is None:
            found |= {alias.name: [""] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.setdefault(node.module, []).extend(alias.name for alias in node.names)
    return found
