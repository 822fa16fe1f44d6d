"""mkdocs hooks: CONTRIBUTING.md and tutorials in examples/ (jupytext scripts, not run) become pages; and a line

    [[public: subgrid.diffusion]]

of a reference page becomes the names that the package makes public, module by module. Formulas, $…$ and $$…$$ in
Markdown, become MathML, which browsers draw by themselves; one that cannot be read ends the build. In text, a dollar
is &#36;.
"""

import ast
import html
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import jupytext
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
MATHML = "http://www.w3.org/1998/Math/MathML"
CHILDREN = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "msubsup": 3, "mover": 2, "munder": 2, "munderover": 3}
OPENING = {"(", "[", ",", "=", "≈"}
ACCENTS = {"~", "^", "¯", "―"}
# What pymdownx.arithmatex leaves of a formula.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
CODE = re.compile(r"<(pre|code|script|style|math)\b.*?</\1>", re.DOTALL)
TAG, STRAY = re.compile(r"<[^>]*>"), re.compile(r".{0,30}\$.{0,30}")
PUBLIC = re.compile(r"^\[\[public: (subgrid[\w.]*)\]\]$", re.MULTILINE)


def on_files(files, config):
    for script in sorted(EXAMPLES.glob("*.py")):
        notebook = jupytext.read(script)
        notebook.metadata = {}  # no YAML header on the page
        text = jupytext.writes(notebook, fmt="md")
        source = f"\n\n---\n\nThis page is `examples/{script.name}`; run it with `python examples/{script.name}`.\n"
        files.append(File.generated(config, f"tutorials/{script.stem}.md", content=text + source))
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "contributing.md", content=contributing))
    return files


def on_page_markdown(markdown, page, config, files):
    return PUBLIC.sub(lambda found: entries(found[1]), markdown)


def on_page_content(content, page, config, files):
    broken = []

    def replace(found):
        tag, latex = found[1], html.unescape(found[3]).strip()
        try:
            formula = mathml(latex, display="block" if found[2] == "[" else "inline")
            return f'<{tag} class="formula">{formula}</{tag}>'
        except Exception as error:  # latex2mathml raises several kinds
            broken.append(f"{latex!r} ({error or type(error).__name__})")
            return found[0]

    content = FORMULA.sub(replace, content)
    broken += STRAY.findall(TAG.sub("", CODE.sub("", content)))
    if broken:
        raise PluginError(f"{page.file.src_uri}: these formulas cannot be read: {'; '.join(broken)}")
    return content


def mathml(latex, *, display):
    """A formula as MathML.

    latex2mathml passes over what it does not know; here that is an error.

    Raises:
        ValueError: a command is unknown, or an argument or a brace is missing.
    """
    if latex.count("{") != latex.count("}"):
        raise ValueError("braces do not match")
    ET.register_namespace("", MATHML)
    root = ET.fromstring(re.sub("&(?!#)", "&amp;", convert(latex, display=display)))
    for element in root.iter():
        kind = element.tag.removeprefix(f"{{{MATHML}}}")
        if len(element) != CHILDREN.get(kind, len(element)):
            raise ValueError("an argument is missing")
        if re.search(r"[\\{}&$]", element.text or ""):
            raise ValueError(f"{element.text} is unknown, or not closed")
        mend(element, kind)
    root.set("alttext", latex)
    return ET.tostring(root, encoding="unicode")


def mend(element, kind):
    """Where browsers would set what latex2mathml writes too far apart, too close, or too small."""
    texts = [child.text or "" for child in element]
    if kind == "mover" and texts[1] in ACCENTS:
        element.set("accent", "true")
    if kind == "msup" and texts[1] == "′":  # the sign is raised as it is
        element.tag = f"{{{MATHML}}}mrow"
        element[1].tag = f"{{{MATHML}}}mo"
        element[1].attrib.update(lspace="0", rspace="0")
    for before, sign in pairwise(element):
        if sign.text == "−" and before.text in OPENING:
            sign.set("form", "prefix")
    if element.text == "/":
        element.attrib.update(lspace="0", rspace="0")
    if element.text == "~" and kind == "mi":  # "distributed as", and not an accent
        element.tag, element.text = f"{{{MATHML}}}mo", "∼"


def entries(package):
    """What mkdocstrings takes: a heading for each module of a package, and each of its public names.

    What a package hands on from one inside it that has public names of its own is described there, and once.
    """
    lines = []
    for module, names in public_names(package).items():
        inner = module.rpartition(".")[0]
        if inner and set(names) <= handed_on(f"{package}.{inner}"):
            continue
        lines += [f"## {module.replace('_', ' ')}", ""]
        lines += [line for name in names for line in (f"::: {package}.{module}.{name}".rstrip("."), "")]
    return "\n".join(lines)


def handed_on(package):
    """The public names of a package inside another; none where it has no stub."""
    return {name for names in public_names(package).values() for name in names} if stub_of(package).exists() else set()


def stub_of(package):
    return ROOT / "src" / package.replace(".", "/") / "__init__.pyi"


def public_names(package):
    """Names by module, as the stub beside the package's __init__ lists them; a module listed whole has the name ""."""
    stub = stub_of(package)
    found = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is None:
            found |= {alias.name: [""] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.setdefault(node.module, []).extend(alias.name for alias in node.names)
    return found
