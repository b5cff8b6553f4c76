"""The benchmark of what masks are worth: what its tables say of the runs that it knows."""

from __future__ import annotations

import json
from pathlib import Path

import labels
import pytest
from helpers.data_sets import draw

from eggseg.data import pairs

RIGHT, HALF = [[8, 0, 0], [0, 8, 0], [0, 0, 8]], [[8, 0, 0], [4, 4, 0], [4, 0, 4]]
"""Confusion counts of mIoU 1 and 0.5."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the benchmark's files lie, instead of benchmarks/."""
    monkeypatch.setattr(labels, "HERE", tmp_path)
    monkeypatch.setattr(labels, "RECORD", tmp_path / "labels.json")
    return tmp_path


def record(**done: dict[str, object]) -> None:
    labels.RECORD.write_text(json.dumps(done))


def rows(folder: Path, way: str) -> list[list[str]]:
    """The cells of a way's rows in the first table."""
    text = (folder / "labels.md").read_text().split("\nMinutes")[0]
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(f"| {way} |")]


def named(way: str, *, upper_bound: bool) -> labels.Run:
    return next(run for run in labels.planned() if run.way == way and run.upper_bound == upper_bound)


@pytest.mark.parametrize("way", ["k-means on pixels", "k-means on features", "Segment Anything"])
def test_clusters_named_by_all_masks_are_an_upper_bound_and_no_row_of_0_masks(folder, way):
    upper, honest = named(way, upper_bound=True), named(way, upper_bound=False)
    record(**{upper.key: {"seconds": 60, "confusion": RIGHT, "machine": "one"}})
    labels.write(labels.planned())
    head = (folder / "labels.md").read_text().split("| way | ")[1].splitlines()[0]
    assert head.startswith("masks | upper bound | seeds | mIoU |")
    few, bound = rows(folder, way)
    assert few[:5] == [way, "5", "", "0", "not measured"]
    assert bound[:5] == [way, "295", "yes", "1", "1.000"]
    record(**{honest.key: {"seconds": 60, "confusion": HALF, "machine": "one"}})
    labels.write(labels.planned())
    few, bound = rows(folder, way)
    assert few[:5] == [way, "5", "", "1", "0.500"]
    assert bound[2:5] == ["yes", "0", "not measured"]


def test_upper_bounds_are_hollow_in_the_plot(folder, monkeypatch):
    seen = {}

    def saved(figure, *_: object, **__: object) -> None:
        for line in figure.axes[0].lines:
            if not line.get_label().startswith("_"):
                seen[line.get_label()] = line.get_markerfacecolor()

    monkeypatch.setattr(labels.plt.Figure, "savefig", saved)
    runs = [named("k-means on pixels", upper_bound=upper_bound) for upper_bound in (False, True)]
    record(**{run.key: {"seconds": 60, "confusion": HALF, "machine": "one"} for run in runs})
    labels.write(labels.planned())
    assert seen == {"k-means on pixels": "C0", "k-means on pixels, upper bound": "none"}


def test_minutes_of_different_machines_are_not_averaged(folder):
    first, second = (labels.trained(labels.ALONE, 37, seed).key for seed in (0, 1))
    record(
        **{
            first: {"seconds": 60, "confusion": HALF, "machine": "fast"},
            second: {"seconds": 600, "confusion": RIGHT, "machine": "slow"},
        }
    )
    labels.write(labels.planned())
    row = next(row for row in rows(folder, labels.ALONE) if row[1] == "37")
    assert row[3:5] == ["2", "0.750 ± 0.354"]
    assert row[7] == "1.0 A, 10.0 B"
    assert "\n- A: fast\n- B: slow\n" in (folder / "labels.md").read_text()


def test_runs_of_an_earlier_commit_are_told_apart_and_not_run_again(folder, tmp_path):
    record()
    now, before = (run for run in labels.planned() if run.way.startswith("gan") and run.labels == 9)
    assert (now.commit, before.commit) == ("", "ec280c8")
    assert f"{before.key} --epochs 20 --init none" == now.key.replace("--labelled_photos 9", "--labels 9").replace(
        " --epochs", " at ec280c8 --epochs"
    )
    labels.do(before, tmp_path / "nowhere", None, tmp_path, "one")
    assert labels.recorded() == {}


def test_the_record_names_a_machine_for_every_run():
    done = labels.recorded()
    assert done.keys() <= {run.key for run in labels.planned()}
    assert all(of["machine"] for of in done.values())


def test_examples_are_training_photos_with_their_masks(tmp_path):
    data = draw(tmp_path / "data", 30)
    labels.choose(data, 0, tmp_path / "few")
    found, _, parts = labels.split(data, 0)
    chosen = [pair.name for pair in pairs.find(tmp_path / "few")]
    assert len(chosen) == 5
    assert set(chosen) <= {found[i].name for i in parts.train}
    for pair in pairs.find(tmp_path / "few"):
        assert pair.mask.read_bytes() == (data / "masks" / pair.mask.name).read_bytes()


def test_other_photos_than_those_of_the_record_are_refused(folder, tmp_path, monkeypatch):
    data = draw(tmp_path / "data", 2)
    record(run={"seconds": 1, "confusion": HALF, "machine": "one", "photos": "others"})
    monkeypatch.setattr("sys.argv", ["labels.py", str(data)])
    with pytest.raises(SystemExit, match=f"holds runs on other photos than {data}: move it away"):
        labels.main()
