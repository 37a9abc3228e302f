# /// script
# requires-python = ">=3.11"
# dependencies = ["fastai==2.8.12", "torch==2.14.1", "torchvision==0.29.2"]
# ///
"""fastai's learner of a ResNet-18 with its body frozen: FOLDER (train, test) EPOCHS SIDE, to the accuracy on the test pictures.

Random weights in place of ImageNet's: no time depends on them.
"""

import sys

from fastai.vision.all import ImageDataLoaders, Resize, accuracy, resnet18, set_seed, vision_learner

folder, epochs, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
set_seed(0)
loaders = ImageDataLoaders.from_folder(folder, train="train", valid="test", item_tfms=Resize(side))
learner = vision_learner(loaders, resnet18, pretrained=False, metrics=accuracy)
learner.freeze()
with learner.no_bar(), learner.no_logging():
    learner.fit_one_cycle(epochs)
print(learner.recorder.final_record[-1])
