from __future__ import annotations

from eggseg import findings
from eggseg.classes import EGGS_AND_PANS
from eggseg.findings import Finding
from eggseg.masks import Labels


def told(labels: dict[str, Labels]) -> list[str]:
    return [str(finding) for finding in findings.of_labels(labels, EGGS_AND_PANS)]


def test_rounding_is_told_once_and_strays_with_their_files() -> None:
    labels = {
        "a.jpg": Labels((5, 1, 1), 3, 7, {}),
        "b.jpg": Labels((5, 1, 1), 2, 9, {"170": 3}),
        **{f"c{i}.png": Labels((5, 1, 1), 0, 0, {"170": 1}) for i in range(6)},
    }
    assert told(labels) == [
        "masks: value 170 is no class and is left out of loss and metrics "
        "(in b.jpg, c0.png, c1.png, c2.png, c3.png, and 2 more)",
        "masks: 5 pixels rounded to the nearest class, by at most 9 grey levels",
    ]


def test_exact_masks_with_all_classes_are_not_worth_a_word() -> None:
    assert told({"a.png": Labels((1, 2, 3), 0, 0, {})}) == []
    assert told({}) == []


def test_a_class_that_nobody_drew_spoils_training() -> None:
    (finding,) = findings.of_labels({"a.png": Labels((9, 0, 3), 0, 0, {})}, EGGS_AND_PANS)
    assert finding.spoils
    assert str(finding) == "masks: none has any egg (value 128)"


def test_masks_of_other_values_spoil_training() -> None:
    labels = {"a.png": Labels((9, 1, 3), 0, 0, {}), "b.png": Labels((1, 1, 1), 0, 0, {"60": 4})}
    first, *_ = findings.of_labels(labels, EGGS_AND_PANS)
    assert first.spoils
    assert str(first) == "masks: 1 have values that are no class on most of their pixels (in b.png)"


def test_thousands_of_values_are_not_told_one_by_one() -> None:
    lines = told({"a.png": Labels((9, 9, 9), 0, 0, {f"#{i:06x}": 1 for i in range(25)})})
    assert len(lines) == 21
    assert lines[-1] == "masks: so are 5 other values"


def test_lines_of_files_are_indented_below_what_they_are_about() -> None:
    (finding,) = findings.of_pairs(["a has no mask", "b has no photo"])
    assert finding.spoils
    assert str(finding) == "pairs: 2 files without their other half\n  a has no mask\n  b has no photo"
    (finding,) = findings.of_faults([f"{i} is empty" for i in range(30)])
    assert str(finding).splitlines()[0] == "files: 30 that cannot be used"
    assert str(finding).splitlines()[-1] == "  and 10 more"
    assert findings.of_pairs([]) == findings.of_faults([]) == []


def test_a_finding_without_files_is_a_sentence() -> None:
    assert str(Finding("a kind", "a message")) == "a kind: a message"
