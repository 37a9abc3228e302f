"""What is handed on, as one network. Legend: N images, C channels, H height, W width, K classes."""

from torch import Tensor, nn

from classifier.model.image_classifier import ImageClassifier


class Probabilities(nn.Module):
    """uint8 images (N, C, H, W) to the float32 probabilities (N, K) that `evaluate` measured, its mirror images included.

    It computes in float32, whatever the model was trained in, and takes the model over: its precision changes.
    """

    def __init__(self, model: ImageClassifier, *, flip_tta: bool) -> None:
        super().__init__()
        model.set_precision("float32")
        self.model = model
        self.flip_tta = flip_tta
        self.eval()

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Normalise, classify, and bring the scores of each image to a sum of 1."""
        logits_NK: Tensor = self.model(images_NCHW)
        if self.flip_tta:
            logits_NK = (logits_NK + self.model(images_NCHW.flip(3))) / 2
        return logits_NK.softmax(dim=1)
