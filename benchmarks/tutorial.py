"""The usual ways to train on Fashion-MNIST, written here from their description: what our loop is compared with.

Each is a generator that yields after every training step, epoch after epoch. Legend: N images, H height, W width.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms
from torchvision.datasets import FashionMNIST

NUM_WORKERS = 2
STEPS_BETWEEN_LOGS = 10


class TutorialCnn(nn.Module):
    """Convolutions of 5×5 to 32 and 64 channels, each rectified, pooled by 2 and dropped out by 0.3; 512 hidden, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=5)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.3)
        self.hidden = nn.Linear(64 * 4 * 4, 512)
        self.output = nn.Linear(512, 10)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits of images of 1×28×28."""
        features = self.dropout(self.pool(torch.relu(self.conv1(images_NCHW))))
        features = self.dropout(self.pool(torch.relu(self.conv2(features))))
        logits: Tensor = self.output(torch.relu(self.hidden(features.flatten(1))))
        return logits


class TutorialDataset(Dataset[tuple[Tensor, int]]):
    """Images from a table, each turned into a picture and back into a tensor whenever it is asked for."""

    def __init__(self, images_NHW: NDArray[np.uint8], labels_N: NDArray[np.int64]) -> None:
        self.images_NHW = images_NHW
        self.labels_N = labels_N
        self.transform = transforms.Compose([transforms.ToPILImage(), transforms.Resize((28, 28)), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.labels_N)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images_NHW[index]), int(self.labels_N[index])


def tutorial_steps(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images_NHW: NDArray[np.uint8],
    labels_N: NDArray[np.int64],
    batch_size: int,
) -> Iterator[None]:
    """As tutorials write it: transforms of every sample, a DataLoader in the same process, the loss read at every step."""
    loader = DataLoader(TutorialDataset(images_NHW, labels_N), batch_size=batch_size, shuffle=True)
    return _steps(network, optimizer, loader, steps_between_logs=1)


def example_steps(network: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, batch_size: int) -> Iterator[None]:
    """After PyTorch's own MNIST example: torchvision's data set in `folder`, normalised, loaded by processes of their own."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.286,), (0.353,))])
    dataset = FashionMNIST(str(folder), train=True, transform=transform)
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, num_workers=NUM_WORKERS, persistent_workers=True)
    return _steps(network, optimizer, loader, STEPS_BETWEEN_LOGS)


def tensor_steps(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images_NHW: NDArray[np.uint8],
    labels_N: NDArray[np.int64],
    batch_size: int,
) -> Iterator[None]:
    """The leanest usual way: everything normalised once, in memory, in a TensorDataset and a DataLoader."""
    images_N1HW = (torch.from_numpy(images_NHW.astype(np.float32))[:, None] / 255 - 0.286) / 0.353
    loader = DataLoader(TensorDataset(images_N1HW, torch.from_numpy(labels_N.copy())), batch_size=batch_size, shuffle=True)
    return _steps(network, optimizer, loader, STEPS_BETWEEN_LOGS)


def write_for_torchvision(folder: Path, images_NHW: NDArray[np.uint8], labels_N: NDArray[np.int64]) -> None:
    """Write the files that torchvision's FashionMNIST expects in `folder`; its test split is the first image alone."""
    raw = folder / "FashionMNIST/raw"
    raw.mkdir(parents=True)
    for split, num_images in (("train", len(images_NHW)), ("t10k", 1)):
        _write_idx(raw / f"{split}-images-idx3-ubyte", images_NHW[:num_images])
        _write_idx(raw / f"{split}-labels-idx1-ubyte", labels_N[:num_images].astype(np.uint8))


def _write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """The format of LeCun's MNIST page: two zeros, the type of a byte, the dimensions, the bytes."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(header + array.tobytes())


def usual_optimizer(network: nn.Module, name: str) -> torch.optim.Optimizer:
    """The tutorials' of the MLP, "sgd", with momentum; else Adam."""
    if name == "sgd":
        return torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)
    return torch.optim.Adam(network.parameters(), lr=0.001)


def _steps(
    network: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader[Any], steps_between_logs: int
) -> Iterator[None]:
    loss_function = nn.CrossEntropyLoss()
    network.train()
    logged_loss = 0.0
    while True:
        for step, (images_NCHW, labels_N) in enumerate(loader):
            optimizer.zero_grad()
            loss = loss_function(network(images_NCHW), labels_N)
            loss.backward()
            optimizer.step()
            if step % steps_between_logs == 0:
                logged_loss += loss.item()
            yield
