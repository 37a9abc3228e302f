"""The training images of one epoch, as the network sees them. Legend: N images of a batch, C, H, W of an image, K classes."""

from torch import Tensor

from classifier.params.train import TrainParams
from classifier.training.augmentations import Augmentations
from classifier.training.batches import Batches
from classifier.training.cutmix import CutMix, Mixture


class EpochInput:
    """Cuts batches from `batches`, augments them and, where `params` say so, mixes them: the draws are those of `epoch`."""

    def __init__(self, batches: Batches, params: TrainParams, epoch: int) -> None:
        self.batches = batches
        self.augmented = Augmentations(params.augment, len(batches.dataset), params.seed, epoch, batches.device)
        self.cutmix = CutMix.of_epoch(batches, params, epoch)

    def __call__(self, rows_N: Tensor) -> tuple[Tensor, Tensor, Mixture | None]:
        """Images_NCHW (uint8) and labels_N of the `placed` rows, and what else is in the images."""
        images_NCHW, labels_N = self._augmented_batch(rows_N)
        if self.cutmix is None:
            return images_NCHW, labels_N, None
        others_NCHW, others_N = self._augmented_batch(self.cutmix.partners_of(rows_N))
        images_NCHW, share_N = self.cutmix(images_NCHW, others_NCHW, rows_N)
        return images_NCHW, labels_N, Mixture(others_N, share_N)

    def _augmented_batch(self, rows_N: Tensor) -> tuple[Tensor, Tensor]:
        images_NCHW, labels_N = self.batches.cut(rows_N)
        return self.augmented(images_NCHW, rows_N), labels_N
