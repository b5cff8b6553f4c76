"""The docs say what is so."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from eggseg.__main__ import COMMANDS
from eggseg.serving.limits import Limits
from eggseg.training.config import Config

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_table_of_settings_has_every_setting_and_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SM_CHANNEL_TRAINING", "SM_OUTPUT_DATA_DIR", "SM_MODEL_DIR", "SM_NUM_GPUS"):
        monkeypatch.delenv(name, raising=False)
    rows = re.findall(r"^\| `--(\w+)` \| (.*?) \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    defaults = {name: "" if value in (None, "") else f"`{value}`" for name, value in Config().to_json().items()}
    assert dict(rows) == defaults


def test_the_table_of_the_servers_limits_has_each_and_its_default() -> None:
    rows = re.findall(r"^\| `--(\w+)` \| `(\d+)` \|", (ROOT / "docs/serving.md").read_text(), re.MULTILINE)
    assert dict(rows) == {field.name: str(field.default) for field in dataclasses.fields(Limits)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([\w./-]+)\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_top_level_module_is_in_the_design() -> None:
    design = (ROOT / "docs/design.md").read_text()
    names = {path.stem for path in (ROOT / "eggseg").glob("*.py")} - {"__init__"}
    assert {room for room in names if f"`{room}`" not in design} == set()


def test_the_readme_shows_commands_that_exist() -> None:
    shown = re.findall(r"^eggseg (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {"train", "predict", "evaluate"} <= set(shown) <= set(COMMANDS)


def test_the_folder_sagemaker_does_not_hide_the_package_of_that_name() -> None:
    assert not (ROOT / "sagemaker" / "__init__.py").exists()


def test_the_readmes_speeds_are_those_that_were_measured() -> None:
    section = (ROOT / "README.md").read_text().partition("## How fast it is")[2].partition("\n## ")[0]
    measured = (ROOT / "benchmarks/README.md").read_text().splitlines()
    rows = re.findall(r"^\|.*$", section, re.MULTILINE)
    assert rows
    assert [row for row in rows if row not in measured] == []
