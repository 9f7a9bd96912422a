"""What the documentation site shows beside the pages of `docs/`; a hook of MkDocs.

    mkdocs build --strict

The navigation follows `docs/index.md`. The help of every command, the public names of every
package, the model cards and the project's own files become pages. Nothing of this is written into
the repository: the pages exist during the build only, and those of `docs/` stay readable on GitHub.
"""

from __future__ import annotations

import ast
import json
import pkgutil
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zoo
from zoo.cli.commands import command_groups, find_command
from zoo.cli.help import help_text

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = "reference/commands.md"
PYTHON = "reference/python"
PROJECT = {
    "CONTRIBUTING.md": "Contributing",
    "CHANGELOG.md": "Changelog",
    "SECURITY.md": "Security",
    "CODE_OF_CONDUCT.md": "Code of conduct",
}
"""Files of the repository that are pages too, and their titles in the navigation."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
ENTRY = re.compile(r"^- \[(.+?)\]\((\S+?)\)", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Set the navigation: the sections of `docs/index.md`, the models and the project."""
    config.nav = navigation((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages, and the images that the model cards show."""
    from mkdocs.structure.files import File

    for uri, content in generated_pages().items():
        files.append(File.generated(config, uri, content=content))
    for image in sorted(ROOT.glob("bundles/*/models/*.png")):
        uri = site_uri(image.relative_to(ROOT).as_posix())
        files.append(File.generated(config, uri, abs_src_path=str(image)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Let the links to files outside `docs/` lead to the pages made from them."""
    uri = page.file.src_uri
    if uri == "index.md":
        lines = "".join(f"- [{title}]({target})\n" for title, target in generated_reference())
        markdown = markdown.replace("## Reference\n\n", f"## Reference\n\n{lines}", 1)
    return relink(markdown, sources().get(uri, f"docs/{uri}"), uri)


def navigation(index: str) -> list[dict[str, Any]]:
    """Return the navigation: the sections and entries of the index, and what is generated."""
    nav: list[dict[str, Any]] = [{"Home": "index.md"}]
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        entries: list[dict[str, Any]] = [
            {name: site_uri(f"docs/{uri}")}
            for name, uri in ENTRY.findall(body)
            if not uri.startswith("..")
        ]
        if title == "Reference":
            packages = [{name: python_uri(name)} for name in public_packages()]
            nav.append({"Models": [{name: site_uri(card_of(name))} for name in models()]})
            entries += [{"Commands": COMMANDS}, {"Python API": packages}]
        nav.append({title: entries})
    nav.append({"Project": [{PROJECT[name]: site_uri(name)} for name in project_files()]})
    return nav


def generated_reference() -> list[tuple[str, str]]:
    """Return the titles and the pages that a visitor of the index should know of."""
    return [("Commands", COMMANDS), ("Python API", python_uri("zoo"))]


def generated_pages() -> dict[str, str]:
    """Return the Markdown of the pages that are not in `docs/`, by their place in the site."""
    pages = {uri: page_of(ROOT / source) for uri, source in sources().items()}
    pages[COMMANDS] = commands_page()
    pages |= {python_uri(name): python_page(name) for name in public_packages()}
    return pages


def sources() -> dict[str, str]:
    """Return the files of the repository that are pages, by their place in the site."""
    names = [*map(card_of, models()), *project_files(), *notebooks()]
    return {site_uri(name): name for name in names}


def page_of(file: Path) -> str:
    """Return a file of the repository as Markdown; a notebook as its text and its code."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
    return "\n\n".join(parts)


def notebooks() -> list[str]:
    """Return the paths of the notebooks among the documentation."""
    found = (ROOT / "docs").rglob("*.ipynb")
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def models() -> list[str]:
    """Return the names of the bundles."""
    return sorted(path.parts[-3] for path in ROOT.glob("bundles/*/docs/README.md"))


def card_of(model: str) -> str:
    """Return the path of a model card in the repository."""
    return f"bundles/{model}/docs/README.md"


def project_files() -> list[str]:
    """Return the names of the project's files that are pages."""
    return [name for name in PROJECT if (ROOT / name).exists()]


def site_uri(path: str) -> str:
    """Return the place in the site of a file of the repository, or an empty text if it has none."""
    if path.startswith("docs/"):
        return re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/"))
    if card := re.fullmatch(r"bundles/(\w+)/docs/README\.md", path):
        return f"models/{card[1]}.md"
    if image := re.fullmatch(r"bundles/(\w+)/models/(\w+\.png)", path):
        return f"models/{image[1]}-{image[2]}"
    return f"project/{path.lower()}" if path in PROJECT else ""


def relink(markdown: str, source: str, uri: str) -> str:
    """Return a page with its links to files of the repository replaced by links in the site.

    `source` is the file that the page comes from and `uri` the place of the page in the site. A
    link to a file that is no page becomes its text. Code stays as it is.
    """

    def replace(match: re.Match[str]) -> str:
        image, text, path, anchor = match.groups()
        if ":" in path:
            return match[0]
        inside = relink_text(text)
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if not site_uri(target):
            return inside
        link = posixpath.relpath(site_uri(target), posixpath.dirname(uri) or ".")
        return f"{image}[{inside}]({link}{anchor or ''})"

    def relink_text(text: str) -> str:
        return LINK.sub(replace, text)

    return outside_code(markdown, relink_text)


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Return a page with `change` applied to everything between its blocks of code."""
    parts = re.split(r"(```.*?```)", markdown, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else change(part) for part in parts)


def commands_page() -> str:
    """Return the page with the help of every command, as the terminal shows it."""
    lines = [
        "# Commands",
        "",
        "The help of every command, as `regzoo COMMAND --help` prints it.",
        "",
    ]
    for title, commands in command_groups().items():
        lines += [f"## {title}", ""]
        for name in commands:
            lines += [f"### {name}", "", "``` { .text .command-help .no-copy }"]
            lines += [help_text(find_command(name)), "```", ""]
    return "\n".join(lines)


def python_page(package: str) -> str:
    """Return the page of a package: mkdocstrings fills in its public names.

    A function called like its module is hidden by the module there, so it gets an entry of its own.
    """
    modules = {path.stem for path in package_folder(package).glob("*.py")}
    lines = [f"# {package}", "", f"::: {package}", ""]
    for name in sorted(modules & set(public_names(package))):
        lines += [f"::: {package}.{name}.{name}", "    options:"]
        lines += ["      show_root_heading: true", "      show_root_toc_entry: true", ""]
    return "\n".join(lines)


def public_packages() -> list[str]:
    """Return `zoo` and its packages with public names."""
    names = [f"zoo.{module.name}" for module in pkgutil.iter_modules(zoo.__path__) if module.ispkg]
    return ["zoo", *(name for name in names if public_names(name))]


def public_names(package: str) -> list[str]:
    """Return the names in `__all__` of a package, which is read and not imported: that is quick."""
    source = (package_folder(package) / "__init__.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def package_folder(package: str) -> Path:
    """Return the folder of a package."""
    return ROOT / package.replace(".", "/")


def python_uri(package: str) -> str:
    """Return the place in the site of the page of a package."""
    return f"{PYTHON}/{package}.md"
