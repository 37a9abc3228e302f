"""The networks' names and the smallest image each works on, known without importing torch."""

SMALLEST_IMAGE = {"softmax": 1, "mlp": 1, "cnn": 16, "mnist_cnn": 4, "cifar_cnn": 8, "pyramid": 8}
"""Network name to the smallest height and width, in pixels, that leaves at least one value after its last pooling."""
