"""Hooks of MkDocs: pages of the repository that lie outside of docs/ are on the site too.

The site has the folders of the repository, with the content of docs/ at the top. Links are relative paths of the
repository, as GitHub follows them; the site follows the same links. A link to a file that is not there stays as it is:
MkDocs warns of it, and `make docs` fails.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/*.md", "notebooks/*.md", "notebooks/*.ipynb")
"""Patterns of the pages outside of docs/."""

LINK = re.compile(r"(?<=\]\()[\w./-]+(?=[)#])")
"""Target of a relative link of Markdown, without its anchor."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside of docs/; notebooks become Markdown."""
    for path in outside():
        content = notebook(path) if path.suffix == ".ipynb" else path.read_text()
        files.append(File.generated(config, site_path(path), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to files of the repository at their places on the site; copy files that are no pages, as pictures."""
    uri = page.file.src_uri
    source = {site_path(path): path for path in outside()}.get(uri, DOCS / uri)

    def target(link: re.Match[str]) -> str:
        path = (source.parent / link[0]).resolve()
        if not path.is_file() or not path.is_relative_to(ROOT):
            return link[0]
        place = site_path(path)
        if files.get_file_from_path(place) is None and path.suffix not in (".md", ".ipynb"):
            files.append(File.generated(config, place, abs_src_path=str(path)))
        return posixpath.relpath(place, posixpath.dirname(uri) or ".")

    return LINK.sub(target, markdown)


def outside() -> list[Path]:
    """The pages outside of docs/, sorted within each pattern."""
    return [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


def site_path(path: Path) -> str:
    """Where a file of the repository lies on the site, with a `.md` that MkDocs renders as a page."""
    if path == ROOT / "README.md":
        return "overview.md"  # as README.md it would take the place of index.md
    if path.suffix == ".ipynb":
        path = path.with_suffix(".md")
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()


def notebook(path: Path) -> str:
    """A notebook as Markdown: text as it is, code in fences. Notebooks are committed without outputs."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    return "\n\n".join(parts) + "\n"
