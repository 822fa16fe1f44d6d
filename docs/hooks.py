"""mkdocs hook: turns the tutorials in examples/ (jupytext scripts) into Markdown pages, without running them."""

from pathlib import Path

import jupytext
from mkdocs.structure.files import File

EXAMPLES = Path(__file__).parent.parent / "examples"


def on_files(files, config):
    for script in sorted(EXAMPLES.glob("*.py")):
        notebook = jupytext.read(script)
        notebook.metadata = {}  # no YAML header on the page
        text = jupytext.writes(notebook, fmt="md")
        source = f"\n\n---\n\nThis page is `examples/{script.name}`; run it with `python examples/{script.name}`.\n"
        files.append(File.generated(config, f"tutorials/{script.stem}.md", content=text + source))
    return files
