from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
from helpers.formats import encoded
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eggseg.data import findings, masks
from eggseg.data.classes import EGGS_AND_PANS, Class, ClassTable
from eggseg.data.findings import CLASS_TABLE, Finding
from eggseg.data.masks import Labels
from eggseg.errors import InputError

COLORED = ClassTable((Class("background", (0, 0, 0), (0, 0, 0)), Class("egg", (200, 0, 0), (200, 0, 0))))


def mask(pixels: Mapping[int, int], classes: ClassTable = EGGS_AND_PANS, kind: str = "PNG", **how: object) -> Labels:
    """The labels of a mask with so many pixels of each value, or of each colour 0xRRGGBB, in rows of a hundred."""
    values = np.repeat(np.array([*pixels]), [*pixels.values()]).reshape(-1, 100)
    picture = values.astype(np.uint8) if max(pixels) < 256 else np.stack([values >> s & 255 for s in (16, 8, 0)], -1)
    return masks.read(encoded(Image.fromarray(picture.astype(np.uint8)), kind, **how), classes).labels


def of(*several: Labels, classes: ClassTable = EGGS_AND_PANS) -> list[Finding]:
    return findings.of_labels({f"{i}.png": labels for i, labels in enumerate(several)}, classes)


def table(found: list[Finding]) -> list[dict]:
    """The class table that findings say fits: their last line, and no other, is JSON."""
    (finding,) = (finding for finding in found if finding.kind == CLASS_TABLE)
    return json.loads(str(finding).splitlines()[-1])


def told(labels: dict[str, Labels]) -> list[str]:
    return [str(finding) for finding in findings.of_labels(labels, EGGS_AND_PANS)]


def test_rounding_is_told_once_and_strays_with_their_files() -> None:
    labels = {
        "a.jpg": Labels((5, 1, 1), 3, 7, {}),
        "b.jpg": Labels((5, 1, 1), 2, 9, {"170": 3}),
        **{f"c{i}.png": Labels((5, 1, 1), 0, 0, {"170": 1}) for i in range(6)},
    }
    assert told(labels) == [
        "masks: value 170 matches no class; loss and metrics ignore it "
        "(in b.jpg, c0.png, c1.png, c2.png, c3.png, and 2 more)",
        "masks: 5 pixels rounded to the nearest class, by at most 9 grey levels",
    ]


def test_exact_masks_with_all_classes_are_not_worth_a_word() -> None:
    assert told({"a.png": Labels((1, 2, 3), 0, 0, {})}) == []
    assert told({}) == []


def test_a_class_that_nobody_drew_spoils_training() -> None:
    found = of(mask({0: 9000, 255: 1000}))
    assert [str(finding) for finding in found] == [
        "masks: no mask has the class egg (value 128)",
        "class table: the masks hold the values 0 (90.00%), 255 (10.00%)\n"
        "  this class table fits; correct its names, save it as FILE and pass --classes FILE:\n"
        '  [{"name": "background", "value": 0}, {"name": "pan", "value": 255}]',
    ]
    assert all(finding.spoils for finding in found)


def test_masks_of_other_values_spoil_training() -> None:
    first, second, *_ = of(mask({0: 900, 128: 100, 255: 100}), mask({0: 100, 60: 400}))
    assert first.spoils
    assert str(first) == "masks: most pixels match no class in 1 of 2 masks (in 1.png)"
    assert second.kind == CLASS_TABLE


OTHER_TABLES = {
    "numbers": ({0: 9000, 1: 700, 2: 300}, [0, 1, 2], ["background", "egg", "pan"]),
    "numbers and a border": (
        {0: 9000, 1: 300, 2: 200, 255: 500},
        [0, 1, 2, 255],
        ["background", "class_1", "class_2", "pan"],
    ),
    "two numbers": ({0: 9000, 1: 1000}, [0, 1], ["background", "class_1"]),
    "one that is no class": ({0: 9000, 128: 700, 1: 300}, [0, 1, 128], ["background", "class_1", "egg"]),
    "from one on": ({1: 9000, 2: 700, 3: 300}, [1, 2, 3], ["background", "egg", "pan"]),
    "greys that are no class": ({0: 9000, 60: 700, 200: 300}, [0, 60, 200], ["background", "egg", "pan"]),
    "the background too": ({50: 9000, 128: 700, 255: 300}, [50, 128, 255], ["background", "egg", "pan"]),
    "colours": (
        {0: 9000, 0x800000: 700, 0x008000: 300},
        [[0, 0, 0], [0, 128, 0], [128, 0, 0]],
        ["background", "egg", "pan"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pixels", "values", "names"), OTHER_TABLES.values(), ids=OTHER_TABLES.keys())
def test_masks_of_another_class_table_are_told_the_one_that_fits(pixels, values, names) -> None:
    found = of(*[mask(pixels)] * 3)
    rows = table(found)
    assert [row["value"] for row in rows] == values
    assert [row["name"] for row in rows] == names
    assert any(finding.misleads for finding in found), "what is measured by them is wrong"
    fits = ClassTable.from_json(rows)
    assert of(mask(pixels, fits), classes=fits) == [], "with the table there is nothing left to say"


def test_the_table_of_grey_masks_is_grey_where_classes_were_colours() -> None:
    assert table(of(mask({0: 900, 1: 100}, COLORED), classes=COLORED)) == [
        {"name": "background", "value": 0},
        {"name": "egg", "value": 1},
    ]


def test_the_values_of_lossy_masks_are_those_that_stand_out() -> None:
    """So are those of masks with smooth edges, in which every value between two classes comes once or twice."""
    smooth = dict.fromkeys(range(1, 128), 1) | {0: 8073, 128: 1800}
    for labels in (mask({0: 8000, 128: 1950, 0x7F: 50}, kind="JPEG", quality=60), mask(smooth)):
        found = of(labels)
        assert [row["value"] for row in table(found)] == [0, 128]
        assert not any(finding.misleads for finding in found), "a set without pans"


def test_the_table_of_numbers_in_16_bits_is_of_numbers() -> None:
    values = np.repeat(np.array([0, 1, 2], np.uint16), [700, 200, 100]).reshape(10, 100)
    found = of(masks.read(encoded(Image.fromarray(values), "PNG"), EGGS_AND_PANS).labels)
    assert "0 (70.00%), 1 of 65535 (20.00%), 2 of 65535 (10.00%)" in str(found[2])
    assert [row["value"] for row in table(found)] == [0, 1, 2]


def test_where_no_table_can_fit_the_values_are_said_alone() -> None:
    assert str(of(mask({0: 1000}))[-1]) == "class table: the masks hold the values 0 (100.00%)"
    wide = np.full((10, 10), 999, np.uint16)
    (*_, last) = of(masks.read(encoded(Image.fromarray(wide), "PNG"), EGGS_AND_PANS).labels)
    assert (
        str(last).splitlines()[0] == "masks: value 999 of 65535 matches no class; loss and metrics ignore it (in 0.png)"
    )


NAMES = {"background": 0, "egg": 128, "pan": 255}


@given(st.dictionaries(st.integers(0, 255), st.integers(1, 9).map(lambda n: 100 * n), min_size=1, max_size=16))
@settings(max_examples=60)
def test_whatever_greys_masks_hold_the_table_has_a_class_for_each(pixels: dict[int, int]) -> None:
    found = of(mask(pixels))
    if any("fits" in str(finding) for finding in found):
        rows = table(found)
        assert sorted(row["value"] for row in rows) == sorted(pixels)
        assert {row["name"]: row["value"] for row in rows}.items() >= {
            name: value for name, value in NAMES.items() if value in pixels
        }.items()
        assert rows[0]["name"] == "background"
        fits = ClassTable.from_json(rows)
        assert of(mask(pixels, fits), classes=fits) == []
    elif found and any(finding.spoils for finding in found):
        assert len(pixels) == 1 or 0 not in pixels, "none of them is the background"
        assert len(pixels) <= 2, "none of them is without a name"


MEASURED = {
    "no pan": [{0: 9000, 128: 1000}],
    "no pan, and regions that nobody named": [{0: 6000, 128: 1000, 64: 3000}],
    "empty kitchens": [{0: 10000}],
    "one mask of which most is unknown": [{0: 9000, 128: 500, 255: 500}, {0: 1000, 64: 6000, 128: 3000}],
    "no background": [{128: 5000, 255: 5000}],
    "a few grey levels off": [{0: 9000, 1: 40, 127: 920, 128: 40}],
}
REFUSED = {
    "numbers": [{0: 9000, 1: 700, 2: 300}],
    "numbers and a border that passes for a pan": [{0: 9000, 1: 500, 2: 100, 255: 400}],
    "nothing but background and the unknown": [{0: 9000, 64: 1000}],
    "all unknown": [{60: 10000}],
    "most are unknown": [{0: 9000, 128: 500, 255: 500}, {0: 1000, 64: 9000}, {0: 1000, 64: 9000}],
}


@pytest.mark.parametrize("sets", MEASURED.values(), ids=MEASURED.keys())
def test_what_lacks_something_is_measured(sets: list[dict[int, int]]) -> None:
    found = of(*map(mask, sets))
    assert any(finding.spoils for finding in found), "nobody should train on it"
    assert not any(finding.misleads for finding in found)


@pytest.mark.parametrize("sets", REFUSED.values(), ids=REFUSED.keys())
def test_what_speaks_another_class_table_is_not_measured(sets: list[dict[int, int]]) -> None:
    found = of(*map(mask, sets))
    assert any(finding.misleads for finding in found)
    assert all(finding.spoils for finding in found if finding.misleads)


def test_what_is_grave_is_refused_or_said(capsys: pytest.CaptureFixture[str]) -> None:
    told = [Finding("files", "a.png is empty", spoils=True), Finding("masks", "3 are odd")]
    with pytest.raises(InputError) as error:
        findings.settle(told, told[:1], "refuse")
    assert str(error.value) == "files: a.png is empty (--audit warn continues without the files that cannot be used)"
    assert capsys.readouterr().out == ""
    findings.settle(told, told[:1], "warn")
    findings.settle(told[1:], [], "refuse")
    assert capsys.readouterr().out == "files: a.png is empty\nmasks: 3 are odd\nmasks: 3 are odd\n"


def test_what_is_to_be_copied_stands_on_a_line_of_its_own() -> None:
    found = of(mask({0: 900, 1: 100}))
    with pytest.raises(InputError) as error:
        findings.settle(found, [finding for finding in found if finding.spoils], "refuse")
    assert json.loads(str(error.value).splitlines()[-2])[1] == {"name": "class_1", "value": 1}
    assert str(error.value).splitlines()[-1] == "(--audit warn continues without the files that cannot be used)"


def test_thousands_of_values_are_not_told_one_by_one() -> None:
    lines = told({"a.png": Labels((9, 9, 9), 0, 0, {f"#{i:06x}": 1 for i in range(25)})})
    assert len(lines) == 21
    assert lines[-1] == "masks: 5 other values match no class either"


def test_lines_of_files_are_indented_below_what_they_are_about() -> None:
    (finding,) = findings.of_pairs(["a has no mask", "b has no photo"])
    assert finding.spoils
    assert str(finding) == "pairs: 2 files without a pair\n  a has no mask\n  b has no photo"
    (finding,) = findings.of_faults([f"{i} is empty" for i in range(30)])
    assert str(finding).splitlines()[0] == "files: 30 files cannot be used"
    assert str(finding).splitlines()[-1] == "  and 10 more"
    assert findings.of_pairs([]) == findings.of_faults([]) == []


def test_a_finding_without_files_is_a_sentence() -> None:
    assert str(Finding("a kind", "a message")) == "a kind: a message"
