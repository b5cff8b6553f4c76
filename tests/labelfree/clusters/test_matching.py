from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eggseg.data.classes import EGGS_AND_PANS, VOID
from eggseg.errors import InputError
from eggseg.labelfree.clusters import matching


def test_counts_leave_void_out():
    clusters = np.array([[0, 0, 1], [2, 2, 2]], np.uint8)
    truth = np.array([[0, 1, 1], [2, VOID, 0]], np.uint8)
    np.testing.assert_array_equal(matching.counts(clusters, truth, 4, 3), [[1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0]])


def test_confusion_has_truth_in_rows():
    table = np.array([[5, 1, 0], [0, 7, 2], [3, 0, 4]])
    np.testing.assert_array_equal(matching.confusion(table, np.array([0, 1, 0])), [[8, 0, 0], [1, 7, 0], [4, 2, 0]])


def test_clusters_that_are_classes_are_found():
    table = np.array([[0, 0, 50], [900, 0, 0], [0, 20, 0]])
    np.testing.assert_array_equal(matching.assign(table), [2, 0, 1])


def test_a_class_may_have_several_clusters():
    table = np.array([[500, 0, 1], [0, 30, 2], [400, 1, 0], [0, 25, 0], [2, 0, 40]])
    np.testing.assert_array_equal(matching.assign(table), [0, 1, 0, 1, 2])


def test_a_small_class_is_not_lost_in_the_background():
    # Of no cluster is egg the largest part, and one is egg nevertheless.
    table = np.array([[5000, 10, 0], [60, 50, 0], [30, 0, 400]])
    np.testing.assert_array_equal(matching.assign(table), [0, 1, 2])


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 5), st.just(3)), elements=st.integers(0, 1000)))
def test_no_other_name_for_one_cluster_is_better(table):
    found = matching.assign(table)
    assert (found.shape, found.dtype) == ((len(table),), np.uint8)
    score = matching.mean_iou(table, found)
    for cluster, owner in itertools.product(range(len(table)), range(3)):
        other = found.copy()
        other[cluster] = owner
        assert matching.mean_iou(table, other) <= score + 1e-9


def test_names_are_classes_of_clusters():
    found = matching.named(["3=egg", "0=pan"], 5, EGGS_AND_PANS)
    np.testing.assert_array_equal(found, [2, 0, 0, 1, 0])


@pytest.mark.parametrize("name", ["egg", "5=egg", "1=spoon", "=egg", "x=egg"])
def test_names_that_make_no_sense_are_errors(name):
    with pytest.raises(
        InputError, match=f"--name {name}: expected CLUSTER=CLASS, where CLUSTER is a number from 0 to 4"
    ):
        matching.named([name], 5, EGGS_AND_PANS)
