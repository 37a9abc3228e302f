"""The page of benchmarks/scale.py: its tables, and the arithmetic of larger data from the figures that were measured."""

import math
import textwrap
from typing import Any

from benchmarks.record import circumstances_lines, page_head
from benchmarks.scale_data import NUM_TEST, NUM_TRAIN
from classifier.images.packed_pixels import MAX_COLUMNS

STEPS = {"convert": "convert", "build": "build", "input, warm": "training input", "input, cold": "the same, from disk"}
FOLDER_STEPS = {"download": "download", "convert": "convert", "build": "build"}
IMAGE_BYTES = 28 * 28
BILLION = 10**9
SHARD_IMAGES = 10**6
READERS = 32


def page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    facts = [
        f"memory: {record['memory_GiB']} GiB; one run of each, and right after it one of size 1",
        "data: random images of 28×28, half of their pixels 0; size n is n × 60,000 training images, and 10,000 test images",
    ]
    lines = [
        *page_head("Millions of images", "scale", record, facts),
        "",
        "![Seconds an image, and memory, by the number of images](scale.png)",
        "",
        *paragraph(
            "Each step is a process of its own. µs are microseconds an image, without the imports, in brackets those of all",
            "processors together; after the semicolon the same of size 1, run right after it: what else the machine does",
            "slows both. Anonymous memory is what the process holds alone; mapped are pages of files, which the system takes",
            "back when something else needs the room. The training input is an epoch of shuffled batches, augmented as",
            "`params.yaml` says, without a network and in one thread; from disk means that the file was thrown out of memory",
            "before.",
        ),
        "",
        "## From idx files",
        "",
        *_table(record["idx"], STEPS),
        "",
        *_wanted(record["idx"], STEPS, record["wanted"]),
        "",
        *paragraph(
            "The training input of size 1 finds its 42 MB in the processor's cache. Larger data come from memory, and their",
            "pages are mapped one by one as they are touched. It is to be compared with what the training of an image takes:",
            "some 320 µs for `pyramid` on two cores ([train.md](train.md)).",
        ),
        "",
        "## From folders of PNGs",
        "",
        *_folders(record["folder"], record["wanted"], record.get("folder_circumstances")),
        "",
        *_larger_than_memory(record["idx"][-1]),
        "",
        *_widths(record["widths"]),
        "",
        "## DVC",
        "",
        *paragraph(
            f"`dvc add` takes {record['dvc']['seconds_per_GB']:.1f} s a GB (one file of random bytes, in memory): it hashes",
            "the file and copies it into its cache. So every GB of `data/` takes another one in `.dvc/cache`, unless the",
            "file system can share them.",
        ),
        "",
        "## A billion images",
        "",
        *_billion(record),
    ]
    return "\n".join(lines) + "\n"


def paragraph(*pieces: str) -> list[str]:
    """The pieces as one text, in lines of at most 120 characters."""
    return textwrap.wrap(" ".join(pieces), 120, break_long_words=False, break_on_hyphens=False)


def microseconds(row: dict[str, Any], step: str, kind: str = "seconds") -> float:
    """An image: a stage handles all of `row`, the training input those that are left to train on. `kind` may be processor."""
    return float(1e6 * row[step][kind] / row[step].get("images", row["images"]))


def bytes_more(rows: list[dict[str, Any]], step: str) -> float:
    """Anonymous memory for each image that the last of `rows` has more than the first."""
    first, last = rows[0], rows[-1]
    return float((last[step]["anonymous_MiB"] - first[step]["anonymous_MiB"]) * 2**20 / (last["images"] - first["images"]))


def times_first(rows: list[dict[str, Any]], step: str, kind: str = "seconds") -> float:
    """The most that an image of a row takes, in what one of size 1 took right after it."""
    return max(microseconds(row, step, kind) / microseconds(_beside(row, step), step, kind) for row in rows[1:])


def _beside(row: dict[str, Any], step: str) -> dict[str, Any]:
    """The row of the run of size 1 that belongs to that step."""
    return {"images": NUM_TRAIN + NUM_TEST, step: row[step]["beside"]}


def _table(rows: list[dict[str, Any]], steps: dict[str, str]) -> list[str]:
    return [
        "| µs (of processors); size 1 | images | " + " | ".join(steps.values()) + " |",
        f"|---|---|{'---|' * len(steps)}",
        *(
            f"| size {row['size']} | {row['images']:,} | "
            + " | ".join(f"{_cost(row, step)}; {_cost(_beside(row, step), step)}" for step in steps)
            + " |"
            for row in rows
        ),
        "",
        "| anonymous (mapped), MiB | the arrays of train | " + " | ".join(steps.values()) + " |",
        f"|---|---|{'---|' * len(steps)}",
        *(
            f"| size {row['size']} | {row['MB']['arrays'] * 1e6 / 2**20:,.0f} | "
            + " | ".join(f"{row[step]['anonymous_MiB']:,.0f} ({row[step]['mapped_MiB']:,.0f})" for step in steps)
            + " |"
            for row in rows
        ),
    ]


def _cost(row: dict[str, Any], step: str) -> str:
    return f"{microseconds(row, step):.1f} ({microseconds(row, step, 'processor'):.1f})"


def _wanted(rows: list[dict[str, Any]], steps: dict[str, str], wanted: dict[str, float]) -> list[str]:
    """Whether each step stays the same, with the figures."""
    if len(rows) < 2:
        return ["One size alone says nothing of growth."]
    times, more, *of_download = wanted.values()
    allowed = {"download": of_download[0] if of_download else more}
    return [
        *paragraph(
            f"Wanted: at most {times:g} times the seconds an image of size {rows[0]['size']}, and at most {more:g} bytes of",
            "anonymous memory for each image more (a tenth of its pixels). Measured, the worst of the sizes, and the memory",
            "of the largest:" if "download" not in steps else f"of the largest; of `download` at most {allowed['download']}:",
        ),
        "",
        "| | times the seconds | | times those of processors | bytes an image more | |",
        "|---|---|---|---|---|---|",
        *(
            f"| {title} | {times_first(rows, step):.2f} | {_met(times_first(rows, step) <= times)} "
            f"| {times_first(rows, step, 'processor'):.2f} "
            f"| {bytes_more(rows, step):.1f} | {_met(bytes_more(rows, step) <= allowed.get(step, more))} |"
            for step, title in steps.items()
        ),
    ]


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _folders(rows: list[dict[str, Any]], wanted: dict[str, float], of_these: dict[str, Any] | None) -> list[str]:
    if not rows:
        return ["Not measured in this run."]
    return [
        *([f"- command: `{of_these['command']}`", *circumstances_lines(of_these), ""] if of_these else []),
        *_table(rows, FOLDER_STEPS),
        "",
        *_wanted(rows, FOLDER_STEPS, wanted),
        "",
        *paragraph(
            "`download` is the one step that holds something of every picture while it runs: its path, and a few numbers. DVC",
            "lists the folder too, since each file of the folder is a dependency.",
            "What comes after it reads packed files.",
        ),
    ]


def _larger_than_memory(row: dict[str, Any]) -> list[str]:
    asked, neighbours, cold = row["asked, cold"], row["neighbours, cold"], row["input, cold"]
    return [
        "## Batches of a file larger than memory",
        "",
        *paragraph(
            "Shuffled batches take rows from all over the file. By itself the system reads the neighbourhood of each row",
            f"too. Where the file fits into memory that brings it all in soon: {batch_cost(cold):.1f} µs an image over a",
            f"whole epoch ({cold['images']:,} images). Of a larger file the neighbours would be gone before they are needed,",
            f"so that each image would cost what the first ones of the epoch do: {batch_cost(neighbours):,.0f} µs",
            f"({neighbours['images']:,} images). So `classifier/model/dataset.py` asks for the rows of each batch, and",
            "for nothing else, when the file takes more than half of the memory (of the container, where it has less):",
            f"{batch_cost(asked):.1f} µs ({asked['images']:,} images). The order of the images and the bytes of the results",
            f"are the same. All three were measured on the file of size {row['size']}, thrown out of memory before.",
        ),
    ]


def batch_cost(step: dict[str, float]) -> float:
    """Microseconds an image, without drawing the order."""
    return 1e6 * step["batches"] / step["images"]


def _widths(widths: dict[str, dict[str, float]]) -> list[str]:
    rates = [pandas_rate(row) for row in widths.values()]
    narrowest, *_, widest = widths
    return [
        "## Where CSV is the wrong shape",
        "",
        *paragraph(
            "Random pixels, as photographs have them, written and read back by our own code, in µs an image; for pandas, the",
            "milliseconds of `read_csv` for a MB of CSV. The last two columns are GB for a million images.",
        ),
        "",
        "| image | columns | CSV, bytes | packed | times | CSV, µs | packed | times | pandas, ms a MB | CSV, GB | packed |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_width_row(name, row) for name, row in widths.items()),
        "",
        *paragraph(
            "For our own code no width is a cliff: a pixel costs about the same in a wide table. But a table is there for",
            f"other programs to read, and for them there is one: pandas takes {rates[0]:.0f} ms a MB of {narrowest} and",
            f"{rates[-1]:.0f} of {widest}, and spreadsheets end at 16,384 columns. So up to {MAX_COLUMNS:,} columns (64×64",
            "in colour) the pixels lie in CSV. Above, `convert` writes packed pixels: `train.npy`, images_NCHW of uint8 in",
            "NumPy's own format, which any program maps into memory, and beside it `train.csv` with the lines `row,label`",
            "(`classifier/images/packed_pixels.py`). Nothing has to be set.",
        ),
    ]


def _width_row(name: str, row: dict[str, float]) -> str:
    csv, packed = (1e6 * (row[f"{kind}_write_seconds"] + row[f"{kind}_read_seconds"]) for kind in ("csv", "packed"))
    sizes = row["csv_bytes"], row["packed_bytes"]
    columns = math.prod(int(side) for side in name.split("×"))
    return (
        f"| {name} | {columns:,} | {sizes[0]:,.0f} | {sizes[1]:,.0f} | {sizes[0] / sizes[1]:.1f} | {csv:,.0f} | {packed:,.1f} "
        f"| {csv / packed:.0f} | {pandas_rate(row):.0f} | {sizes[0] / 1000:,.1f} | {sizes[1] / 1000:,.1f} |"
    )


def pandas_rate(row: dict[str, float]) -> float:
    """Milliseconds a MB of CSV."""
    return 1000 * row["pandas_read_seconds"] / (row["csv_bytes"] / 1e6)


def hours_of_a_billion(microseconds_an_image: float) -> float:
    """At that rate."""
    return microseconds_an_image * BILLION / 1e6 / 3600


def _billion(record: dict[str, Any]) -> list[str]:
    """What would have to be different, by arithmetic from the largest size."""
    row = record["idx"][-1]
    convert, build, epoch = (hours_of_a_billion(microseconds(row, step)) for step in ("convert", "build", "input, warm"))
    csv_bytes = row["MB"]["csv"] * 1e6 / (row["size"] * NUM_TRAIN)
    terabytes = (2 * IMAGE_BYTES + csv_bytes) * BILLION / 1e12
    return paragraph(
        f"By arithmetic, not measured. A billion images of {IMAGE_BYTES} bytes are 784 GB as idx,",
        f"{csv_bytes * BILLION / 1e12:.1f} TB as CSV ({csv_bytes:,.0f} bytes an image) and 784 GB as arrays, twice that while",
        f"`build` runs. At the rates of size {row['size']}, `convert` would take {convert:.1f} hours, `build` {build:.1f},",
        f"and DVC's hashing of {terabytes:.1f} TB {1000 * terabytes * record['dvc']['seconds_per_GB'] / 3600:.1f}. An epoch",
        f"of the input would take {epoch:.1f} hours from memory that few machines have, and",
        f"{hours_of_a_billion(batch_cost(row['asked, cold'])):.1f} from this disk, row by row. What is held for each image is",
        "no longer small: the order 8 GB, the labels 8 GB, the draws 4 GB for flips, 24 for cutmix and 8 each for crops,",
        "shifts and cutout, two checksums in `build` 16 GB. And an eight-byte checksum would be the same for two different",
        f"images once in 37 such data sets (n² / 2⁶⁵), so it would need sixteen bytes. So: {BILLION // SHARD_IMAGES:,} shards",
        "of a million images (784 MB each) in place of one array, and packed pixels in place of CSV. Each shard is a file of",
        "its own that DVC hashes and that `convert` and `build` make by themselves: a changed file makes one shard again, and",
        f"{READERS} readers on several machines bring `build` to {60 * build / READERS:.0f} minutes. Training draws the order",
        "of the shards, and the order of the images within a few shards at a time, 8 MB a shard, which are read from front",
        "to back by several readers. Checksums are sorted in 256 parts, by their first byte. Promises that would change: an",
        "epoch is no longer a uniform shuffle of all images, the validation split is drawn shard by shard, and a run goes on",
        "after its last whole shard, since an epoch takes days. That the same inputs give the same bytes would stay: the",
        "draws of a shard follow from seed, epoch and shard, not from who reads it.",
    )
