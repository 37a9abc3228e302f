# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn==1.9.1"]
# ///
"""scikit-learn's histogram gradient boosting on the pixels: ARRAYS (.npz) ITERATIONS, to the accuracy on the test images."""

import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

arrays, iterations = np.load(sys.argv[1]), int(sys.argv[2])
model = HistGradientBoostingClassifier(max_iter=iterations, random_state=0)
model.fit(arrays["train_images"], arrays["train_labels"])
print(model.score(arrays["test_images"], arrays["test_labels"]))
