"""The training input without a network, in a process of its own: python -m benchmarks.scale_input HOW NUM_BATCHES, in a project

HOW is `plain`, as training takes it, `asked`, as training takes a file larger than memory, or `neighbours`, as it would take
one without asking for rows. NUM_BATCHES 0 means an epoch. Prints, as JSON, the images and the seconds, with the order's
and without.
"""

import json
import sys
import time
from pathlib import Path

import torch

from benchmarks.made_up import params_of_one_epoch, recipe_for
from classifier.compute.device import set_up_compute
from classifier.model import dataset as row_requests
from classifier.model.dataset import ImageDataset
from classifier.training.augment import Augmentations
from classifier.training.loader import Batches, steps_of_epoch


def main() -> None:
    """Measure and print."""
    how, num_batches = sys.argv[1], int(sys.argv[2])
    row_requests.SHARE_OF_MEMORY = {"plain": row_requests.SHARE_OF_MEMORY, "asked": 0, "neighbours": float("inf")}[how]
    device = set_up_compute("cpu", 1)  # two wait for each other when the machine has other work
    dataset = ImageDataset.from_folder(Path("data/dataset/train"))
    recipe = recipe_for(params_of_one_epoch(), dataset.labels_N, device)
    batches = Batches(dataset, device)
    began, used = time.perf_counter(), time.process_time()
    steps = steps_of_epoch(recipe, 1, batches.rows_device)
    augment = Augmentations(recipe.augment, len(dataset), recipe.seed, 1, device)
    drawn = time.perf_counter() - began
    num_images = 0
    for rows_N in steps[: num_batches or None]:
        images_NCHW, _ = batches.cut(rows_N)
        num_images += len(augment(images_NCHW, rows_N))
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    print(json.dumps({"seconds": seconds, "processor": processor, "batches": seconds - drawn, "images": num_images}))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
