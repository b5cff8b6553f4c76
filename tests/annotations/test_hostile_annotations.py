"""Annotations by somebody who means harm, or by a program that is broken: an error that names the file, or masks."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import annotated
from helpers.annotated import EGG, HEIGHT, PAN, WIDTH, photo, points, refused, ring, shape
from helpers.formats import encoded
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eggseg import convert
from eggseg.annotations.coco import _unpacked
from eggseg.data.classes import EGGS_AND_PANS
from eggseg.errors import InputError

MOST = 200_000_000
"""Bytes by which a small file may make the process grow; what these ask for is a hundred times as much."""


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    before = peak()
    yield
    assert peak() - before < MOST


BOMB = (
    '{"images":[{"id":1,"file_name":"a.jpg","width":100000,"height":100000}],"categories":[{"id":1,"name":"egg"}],'
    '"annotations":[{"id":1,"image_id":1,"category_id":1,"segmentation":%s}]}'
)


@pytest.mark.parametrize("size", [(100000, 100000), (WIDTH, HEIGHT)])
@pytest.mark.parametrize(
    "segmentation",
    [
        '{"size":[100000,100000],"counts":[0,10000000000]}',
        '{"size":[100000,100000],"counts":"0PPPP:"}',
        '{"size":[29,37],"counts":[0,1000000000000]}',
        "[[0,0,99999,0,99999,99999,0,99999]]",
        "[[0,0,1e11,0,1e11,1e11,0,1e11]]",
    ],
)
def test_a_small_coco_file_takes_little_memory(tmp_path: Path, size: tuple[int, int], segmentation: str) -> None:
    photo(tmp_path / "a.jpg")
    text = BOMB % segmentation
    assert len(text) < 259
    text = text.replace('"width":100000,"height":100000', f'"width":{size[0]},"height":{size[1]}')
    (tmp_path / "a.json").write_text(text)
    with little_memory():
        code = convert.main([str(tmp_path / "a.json"), str(tmp_path / "out")])
    assert code == 2 or (segmentation.startswith("[[") and size == (WIDTH, HEIGHT))


@pytest.mark.parametrize(
    "mask",
    [
        '<mask label="egg" rle="0,24000000000" left="0" top="0" width="1" height="1"/>',
        '<mask label="egg" rle="0,24000000000" left="0" top="0" width="200000" height="120000"/>',
        '<mask label="egg" rle="24000000000" left="-9999999" top="0" width="37" height="29"/>',
    ],
)
def test_a_small_cvat_file_takes_little_memory(tmp_path: Path, mask: str) -> None:
    photo(tmp_path / "a.jpg")
    path = annotated.cvat(tmp_path / "a.xml", mask)
    with little_memory():
        refused(path)


def test_entities_that_multiply_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo(tmp_path / "a.jpg")
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(12))
    with little_memory():
        refused(annotated.cvat(tmp_path / "a.xml", "&e12;", f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]>'))
    assert "a.xml cannot be read as XML: EntitiesForbidden" in capsys.readouterr().err


def test_elements_in_elements_without_end_are_an_error_or_nothing(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    path = annotated.cvat(tmp_path / "a.xml", "<box>" * 100_000 + "</box>" * 100_000)
    refused(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "\ud800", "nul", "", "\0"])
def test_json_that_is_none_is_an_error(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text(text, errors="surrogatepass")
    refused(tmp_path / "a.json")
    error = capsys.readouterr().err
    assert "a.json cannot be read as JSON" in error
    assert error.count("\n") == 1


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 7.5, 29, 1e300, -1e12, float("nan"), float("inf"), 10**400, 1 << 63),
    *("", "7", "7.0", "nan", "a.jpg", "../a.jpg", "/", "a\0", "\ud800", "x" * 300, "egg", "mask", "rectangle", "0" * 9),
    *([], {}, [[]], [[0, 0]], [None], {"size": [29, 37]}, {"size": [29, 37], "counts": [1, 1072]}, {"id": 7}),
)
"""What may stand anywhere."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything in a JSON value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(place for key in keys for place in places(value[key], (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn, whole: Any) -> Any:
    """A sound JSON value of which one to three parts are gone, doubled or something else."""
    value = [copy.deepcopy(whole)]
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(value)[1:]))
        parent: Any = value
        for key in way:
            parent = parent[key]
        what = draw(st.sampled_from(["odd", "odd", "odd", "gone", "twice"]))
        if what == "gone" and parent is not value:
            del parent[last]
        elif what == "twice" and isinstance(parent, list) and parent is not value:
            parent.append(copy.deepcopy(parent[last]))
        else:
            parent[last] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return value[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "labels").mkdir()
    for name in ("a.jpg", "labels/a.jpg"):
        photo(folder / name)
    return folder


def read(kind: str, source: Path) -> None:
    """Read and paint everything; nothing but `InputError` may come of it."""
    with contextlib.suppress(InputError):
        for photo_of in convert.READERS[kind](source, None, 10_000):
            with contextlib.suppress(InputError):
                photo_of().ids(EGGS_AND_PANS, {})


COCO = annotated.coco((3, [ring(*EGG)]), (5, {"size": [HEIGHT, WIDTH], "counts": [100, 200, 773]}))
MASK = base64.b64encode(encoded(Image.new("1", (2, 2), 1), "PNG")).decode()
LABELME = annotated.labelme(
    *(shape("polygon", points(EGG)), shape("rectangle", points(PAN), "pan"), shape("circle", [[9, 9], [12, 12]])),
    shape("mask", [[3, 3], [4, 4]], mask=MASK),
)
CVAT = (
    '<annotations><image id="0" name="a.jpg" width="37" height="29"><polygon label="egg" points="1,2;3,4;9,1"/>'
    '<box label="pan" xtl="4" ytl="5" xbr="30" ybr="25" rotation="5" z_order="1"/><ellipse label="egg" cx="9" cy="9" '
    'rx="3" ry="4"/><mask label="egg" rle="0,48" left="12" top="9" width="8" height="6"/></image></annotations>'
)


@settings(max_examples=300)
@given(content=mutated(COCO))
def test_changed_coco_is_read_or_refused(folder: Path, content: Any) -> None:
    (folder / "a.json").write_text(json.dumps(content))
    read("coco", folder / "a.json")


@settings(max_examples=300)
@given(content=mutated(LABELME))
def test_changed_labelme_is_read_or_refused(folder: Path, content: Any) -> None:
    (folder / "labels/a.json").write_text(json.dumps(content))
    read("labelme", folder / "labels")


@settings(max_examples=300)
@given(data=st.data())
def test_changed_xml_is_read_or_refused(folder: Path, data: st.DataObject) -> None:
    parts = CVAT.split('"')
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(parts) - 1))
        parts[at] = data.draw(st.sampled_from([str(odd) for odd in ODD if odd not in ("a\0", "\ud800")]) | st.text())
    (folder / "a.xml").write_text('"'.join(parts), "utf-8", "surrogatepass")
    read("cvat", folder / "a.xml")


@settings(max_examples=300)
@given(text=st.text() | st.text("0123456789:;<=>?@ABCPQRSTUVWXYZ_`abcmno"))
def test_any_text_is_run_lengths_or_refused(folder: Path, text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(isinstance(count, int) for count in _unpacked(text))
    (folder / "a.json").write_text(json.dumps(annotated.coco((3, {"size": [HEIGHT, WIDTH], "counts": text}))))
    read("coco", folder / "a.json")


@settings(max_examples=200)
@given(data=st.binary(max_size=200), at=st.integers(0, 600))
def test_changed_bytes_are_read_or_refused(folder: Path, data: bytes, at: int) -> None:
    for kind, name, content in (("coco", "a.json", json.dumps(COCO)), ("cvat", "a.xml", CVAT)):
        whole = content.encode()
        (folder / name).write_bytes(whole[:at] + data + whole[at + len(data) :])
        read(kind, folder / name)
