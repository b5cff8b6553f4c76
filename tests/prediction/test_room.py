from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from eggseg.prediction.room import Room


@pytest.mark.parametrize("most", [1, 10, 25])
def test_the_sizes_under_way_stay_within_the_bound_and_what_is_larger_goes_alone(most: int) -> None:
    room, lock = Room(most), threading.Lock()
    under_way: list[int] = []
    seen: list[list[int]] = []

    def work(size: int) -> None:
        with room.taken(size):
            with lock:
                under_way.append(size)
                seen.append(under_way.copy())
            threading.Event().wait(0.001)
            with lock:
                under_way.remove(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [1, 7, 3, 30, 12, 9, 1, 1, 30, 10] * 4))
    assert len(seen) == 40
    assert all(sum(sizes) <= most or len(sizes) == 1 for sizes in seen)


def test_an_error_gives_the_room_back() -> None:
    room = Room(5)
    with pytest.raises(ValueError, match="no"), room.taken(5):
        raise ValueError("no")
    with room.taken(5):
        pass
