"""torchvision's ImageFolder in two workers, in a process of its own: python -m benchmarks.image_folder FOLDER SIZE

Brings each picture to SIZE×SIZE pixels, as `resize: crop` does. Prints how many there were.
"""

import sys

from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize

NUM_WORKERS = 2
BATCH = 8


def main() -> None:
    """Read all pictures once."""
    size = int(sys.argv[2])
    dataset = ImageFolder(sys.argv[1], Compose([Resize(size), CenterCrop(size), PILToTensor()]))
    print(sum(len(images_NCHW) for images_NCHW, _ in DataLoader(dataset, BATCH, num_workers=NUM_WORKERS)))


if __name__ == "__main__":
    main()
