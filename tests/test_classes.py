from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eggseg.classes import EGGS_AND_PANS, VOID, Class, ClassTable


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


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=9, unique=True), st.integers(0, 255))
def test_every_value_of_any_table_comes_back_from_snap_and_paint(values, tolerance):
    classes = table(*values, tolerance=tolerance)
    exact = np.array(values, np.uint8)
    np.testing.assert_array_equal(classes.snap(exact), np.arange(len(values)))
    np.testing.assert_array_equal(classes.paint(classes.snap(exact)), exact)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=9, unique=True), st.integers(0, 255), st.integers(0, 255))
def test_snap_is_void_exactly_when_no_class_is_near(values, tolerance, grey):
    found = int(table(*values, tolerance=tolerance).snap(np.uint8(grey)))
    nearest = min(abs(grey - v) for v in values)
    assert (found == VOID) == (nearest > tolerance)
    assert found == VOID or abs(grey - values[found]) == nearest


def test_void_cannot_be_painted():
    with pytest.raises(IndexError):
        EGGS_AND_PANS.paint(np.array([0, VOID], np.uint8))


def test_a_table_comes_back_from_json_text():
    rows = json.loads(json.dumps(EGGS_AND_PANS.to_json()))
    assert ClassTable.from_json(rows) == EGGS_AND_PANS


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
        ([("a", 0), ("b", 256)], "0..255"),
        ([("a", -1), ("b", 9)], "0..255"),
    ],
)
def test_an_impossible_table_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        ClassTable(tuple(Class(name, value, (0, 0, 0)) for name, value in rows))
