# /// script
# requires-python = ">=3.11"
# dependencies = ["lightning==2.6.6", "torch==2.14.1", "torchvision==0.29.2", "pydantic==2.14.3", "ruamel.yaml==0.19.1"]
# ///
"""Our default network in Lightning, by Adam at 0.001: DOWNLOADED EPOCHS, to the accuracy on Fashion-MNIST's test images."""

import sys

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import FashionMNIST

from classifier.networks.own import build_network
from classifier.networks.whitening import fit_first_layer


class Classifier(lightning.LightningModule):
    """Cross-entropy, Adam."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.right = 0

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss."""
        images, labels = batch
        return nn.functional.cross_entropy(self.network(images), labels)

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Count the right answers."""
        images, labels = batch
        self.right += int((self.network(images).argmax(1) == labels).sum())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As its documentation begins."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


downloaded, epochs = sys.argv[1], int(sys.argv[2])
lightning.seed_everything(0)
transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.286,), (0.353,))])
train, test = (FashionMNIST(downloaded, train=is_train, transform=transform) for is_train in (True, False))
network = build_network("pyramid", (1, 28, 28), 10, seed=0)
fit_first_layer(network, lambda: next(iter(DataLoader(Subset(train, range(5000)), batch_size=5000)))[0])
model = Classifier(network)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", **quiet)
trainer.fit(model, DataLoader(train, batch_size=64, shuffle=True))
trainer.test(model, DataLoader(test, batch_size=1000), verbose=False)
print(model.right / 10_000)
