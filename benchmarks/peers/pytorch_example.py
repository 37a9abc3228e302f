# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.14.1", "torchvision==0.29.2"]
# ///
"""The network and the settings of PyTorch's MNIST example (Adadelta, batches of 64, `lr` times 0.7 after each epoch).

Arguments: DOWNLOADED EPOCHS, to the accuracy on the test images of Fashion-MNIST.
"""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import FashionMNIST

downloaded, epochs = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0)
transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
train, test = (
    DataLoader(FashionMNIST(downloaded, train=is_train, transform=transform), batch_size=size, shuffle=is_train)
    for is_train, size in ((True, 64), (False, 1000))
)
model = nn.Sequential(
    nn.Conv2d(1, 32, 3),
    nn.ReLU(),
    nn.Conv2d(32, 64, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Dropout(0.25),
    nn.Flatten(),
    nn.Linear(9216, 128),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(128, 10),
)
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
for _ in range(epochs):
    model.train()
    for images, labels in train:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    scheduler.step()
model.eval()
with torch.no_grad():
    right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in test)
print(right / 10_000)
