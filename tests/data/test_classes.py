from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eggseg.data.classes import EGGS_AND_PANS, VOID, Class, ClassTable, code_of_color
from eggseg.errors import InputError


def table(*values: int, tolerance: int = 32) -> ClassTable:
    return ClassTable(tuple(Class(f"class {v}", v, (v, 0, 0)) for v in values), tolerance)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (32, 0),
        (33, VOID),
        (95, VOID),
        (96, 1),
        (112, 1),
        (128, 1),
        (160, 1),
        (161, VOID),
        (170, VOID),
        (222, VOID),
        (223, 2),
        (239, 2),
        (255, 2),
    ],
)
def test_a_grey_value_is_its_nearest_class_or_void_beyond_the_tolerance(value, expected):
    assert EGGS_AND_PANS.snap(np.uint8(value)) == expected


def test_snap_and_paint_keep_shape_and_are_uint8():
    ids = EGGS_AND_PANS.snap(np.array([[0, 128, 255], [3, 120, 250]], np.uint8))
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, [[0, 1, 2], [0, 1, 2]])
    values = EGGS_AND_PANS.paint(ids)
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, [[0, 128, 255], [0, 128, 255]])


@settings(max_examples=60)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=9, unique=True), st.integers(0, 255))
def test_every_value_of_any_table_comes_back_from_snap_and_paint(values, tolerance):
    classes = table(*values, tolerance=tolerance)
    exact = np.array(values, np.uint8)
    np.testing.assert_array_equal(classes.snap(exact), np.arange(len(values)))
    np.testing.assert_array_equal(classes.paint(classes.snap(exact)), exact)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=9, unique=True), st.integers(0, 255), st.integers(0, 255))
def test_snap_is_void_exactly_when_no_class_is_near(values, tolerance, grey):
    found = int(table(*values, tolerance=tolerance).snap(np.uint8(grey)))
    nearest = min(abs(grey - v) for v in values)
    apart = min(abs(v - w) for v in values for w in values if v != w)
    assert (found == VOID) == (nearest > tolerance or 2 * nearest >= apart), "half way to another is no way"
    assert found == VOID or abs(grey - values[found]) == nearest


def test_void_cannot_be_painted():
    with pytest.raises(IndexError):
        EGGS_AND_PANS.paint(np.array([0, VOID], np.uint8))


def test_a_table_comes_back_from_json_text():
    rows = json.loads(json.dumps(EGGS_AND_PANS.to_json()))
    assert ClassTable.from_json(rows) == EGGS_AND_PANS


COLORED = ClassTable((Class("wall", (0, 0, 0), (0, 0, 0)), Class("egg", (255, 200, 0), (9, 9, 9))))


def test_a_table_of_colours_snaps_and_paints_colours():
    colors = np.array([[(0, 0, 0), (255, 200, 0)], [(30, 2, 32), (255, 170, 40)]], np.uint8)
    ids = COLORED.snap(code_of_color(colors))
    np.testing.assert_array_equal(ids, [[0, 1], [0, VOID]])
    np.testing.assert_array_equal(COLORED.paint(np.array([[0, 1]], np.uint8)), [[(0, 0, 0), (255, 200, 0)]])
    assert COLORED.is_colored
    assert COLORED.distance_of_code[code_of_color(colors[1, 1])] == 40
    assert ClassTable.from_json(json.loads(json.dumps(COLORED.to_json()))) == COLORED


@settings(max_examples=8)
@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=2, max_size=4, unique=True), st.integers(0, 2**24 - 1))
def test_a_colour_is_its_nearest_class_or_void(values, code):
    classes = ClassTable(tuple(Class(f"class {i}", value, (0, 0, 0)) for i, value in enumerate(values)))
    color = (code >> 16, code >> 8 & 255, code & 255)
    away = [max(abs(a - b) for a, b in zip(color, value, strict=True)) for value in values]
    assert classes.distance_of_code[code] == min(away)
    found = int(classes.snap(np.uint32(code)))
    assert found == (away.index(min(away)) if min(away) <= classes.reach else VOID)


@pytest.mark.parametrize(
    ("values", "reach"), [((0, 128, 255), 32), ((0, 1, 2), 0), ((0, 3), 1), ((0, 64), 31), ((0, 66), 32)]
)
def test_the_reach_ends_before_the_middle_between_two_classes(values, reach):
    assert table(*values).reach == reach


def test_a_table_is_read_from_a_file_and_shown_in_colours_of_its_own(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text(
        '[{"name": "a", "value": 0}, {"name": "b", "value": 9}, {"name": "c", "value": 3, "color": [1, 2, 3]}]'
    )
    classes = ClassTable.read(path)
    assert classes.values == (0, 9, 3)
    assert classes.colors.tolist() == [[0, 0, 0], [230, 159, 0], [1, 2, 3]]
    path.write_text('[{"name": "a", "value": [0, 0, 0]}, {"name": "b", "value": [9, 8, 7]}]')
    assert ClassTable.read(path).colors.tolist() == [[0, 0, 0], [9, 8, 7]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "cannot be read as JSON"),
        ("[]", "2 to 254 classes, this one has 0"),
        ("{}", "is no list"),
        ('[{"name": "a"}, {"name": "b", "value": 1}]', "row 0 has no value"),
        ('[{"name": "a", "value": [1, 2]}, {"name": "b", "value": 1}]', "not a class table"),
        ('[{"name": "a", "value": [1, 2, 3]}, {"name": "b", "value": 1}]', "all grey values or all colours"),
        ('[{"name": "a", "value": 300}, {"name": "b", "value": 1}]', "must be 0 to 255: .*300"),
        ('["background", "egg"]', "row 0 is 'background', expected an object"),
        ('[{"name": "a", "value": "128"}, {"name": "b", "value": 1}]', "'128' is neither a grey value nor"),
        (
            '[{"name": "a", "value": 0, "color": [0.9, 0.6, 0.1]}, {"name": "b", "value": 1}]',
            r"color is \[0.9, 0.6, 0.1\], expected",
        ),
        ('[{"name": "a", "value": 0, "color": 0}, {"name": "b", "value": 1}]', "color is 0, expected"),
    ],
)
def test_a_file_that_holds_no_table_is_named_with_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        ClassTable.read(path)
    assert str(error.value).startswith(str(path))


def test_the_default_table():
    assert EGGS_AND_PANS.names == ("background", "egg", "pan")
    assert EGGS_AND_PANS.values == (0, 128, 255)
    assert EGGS_AND_PANS.colors.shape == (3, 3)
    assert len(EGGS_AND_PANS) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("only", 0)], "2 to 254 classes"),
        ([("egg", 0), ("egg", 9)], "names must differ: egg, egg"),
        ([("a", 7), ("b", 7)], "values must differ"),
        ([("a", 0), ("b", 256)], "must be 0 to 255"),
        ([("a", -1), ("b", 9)], "must be 0 to 255"),
    ],
)
def test_an_impossible_table_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        ClassTable(tuple(Class(name, value, (0, 0, 0)) for name, value in rows))
