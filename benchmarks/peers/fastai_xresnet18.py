# /// script
# requires-python = ">=3.11"
# dependencies = ["fastai==2.8.12", "torch==2.14.1", "torchvision==0.29.2"]
# ///
"""fastai's xresnet18 by one-cycle: FOLDER (train, test) EPOCHS, to the accuracy on the test pictures."""

import sys

from fastai.vision.all import ImageDataLoaders, Learner, accuracy, set_seed, xresnet18

folder, epochs = sys.argv[1], int(sys.argv[2])
set_seed(0)
loaders = ImageDataLoaders.from_folder(folder, train="train", valid="test")
learner = Learner(loaders, xresnet18(n_out=loaders.c), metrics=accuracy)
with learner.no_bar(), learner.no_logging():
    learner.fit_one_cycle(epochs)
print(learner.recorder.final_record[-1])
