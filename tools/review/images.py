"""The test images of the workspace, if they are those that the predictions are of."""

from pathlib import Path

from classifier.arrays import load_split
from classifier.blocks import Images
from classifier.common.errors import UserError
from tools.review.results import TEST_SPLIT, Results


def load_test_images(results: Results) -> tuple[Images | None, str | None]:
    """images_NCHW and None, or None and why they are not to be had here."""
    folder = Path(TEST_SPLIT)
    if not folder.is_dir():
        return None, f"the pictures of the images need {TEST_SPLIT}, which is not here; `dvc pull` or `dvc repro` brings it"
    from tools.clean_room.content import md5  # the import of DVC takes a second

    if md5(folder) != results.test_hash:
        return None, f"the pictures of the images need {TEST_SPLIT} as dvc.lock records it; here is another version of it"
    try:
        images_NCHW, _ = load_split(folder)
    except UserError as error:
        return None, str(error)
    if len(images_NCHW) != len(results.predictions):
        return None, f"{TEST_SPLIT} has {len(images_NCHW):,} images, but {len(results.predictions):,} have predictions"
    return images_NCHW, None
