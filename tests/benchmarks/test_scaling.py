"""The page of the scaling benchmark: its arithmetic by hand."""

import pytest

from benchmarks.record import spread
from benchmarks.scaling import _page, seconds_on_network


@pytest.mark.parametrize(
    ("num_bytes", "num_messages", "size", "milliseconds"),
    [(4e6, 1, 2, 4 + 0.2), (4e6, 10, 2, 4 + 2), (4e6, 10, 4, 6 + 6), (0, 5, 3, 2), (4e6, 10, 1, 0)],
)
def test_the_messages_of_a_ring(num_bytes: float, num_messages: int, size: int, milliseconds: float) -> None:
    """A gigabyte a second, 0.1 ms until a message arrives; of two processes each sends all the bytes, of four 1.5 times."""
    assert 1000 * seconds_on_network(num_bytes, num_messages, size, 1e9, 1e-4) == pytest.approx(milliseconds)


def test_the_page_works_out_what_was_measured() -> None:
    run = {"network": "mlp", "optimizer": "adam", "batch_size": 500, "device": "cpu", "parameters": 1_000_000, "threads": 1}
    rows = {name: spread([value]) for name, value in {"step": 120, "compute": 100, "messages": 15, "input": 5}.items()}
    runs = {
        "1": run | {"messages_a_step": 0, "bytes_a_step": 0, "milliseconds": rows},
        "2": run | {"messages_a_step": 5, "bytes_a_step": 4_000_000, "milliseconds": rows},
    }
    page = _page({"command": "x", "processor": "y", "cores": 2, "system": "z", "versions": {}, "commit": "c", "runs": runs})
    assert "| 2 | 1 | 120.00 (120.00 to 120.00) | 100.00 (100.00 to 100.00) |" in page
    assert "sends 5 messages a step, 4.00 MB together" in page
    assert "| 1 Gbit/s Ethernet | 0.125 GB/s | 100 µs | 33.00 | 63.00 | 126.00 |" in page, "32 + 1, 56 + 7, 63 + 63"
    assert "two such processes would send for 33.0 ms,\n33 % of that" in page


def test_the_page_of_one_process_has_no_arithmetic() -> None:
    rows = {name: spread([1]) for name in ("step", "compute", "messages", "input")}
    run = {"network": "mlp", "optimizer": "adam", "batch_size": 500, "device": "cpu", "parameters": 10, "threads": 1}
    runs = {"1": run | {"messages_a_step": 0, "bytes_a_step": 0, "milliseconds": rows}}
    page = _page({"command": "x", "processor": "y", "cores": 2, "system": "z", "versions": {}, "commit": "c", "runs": runs})
    assert page.endswith("No run here had more than one process, so no messages were counted.\n")
