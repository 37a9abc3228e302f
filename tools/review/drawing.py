"""Draws the pictures of a review into a folder."""

from pathlib import Path

from classifier.figures.style import save_png, styled
from tools.review.images import load_test_images
from tools.review.pictures import confusion_change, flip_gallery, overlaid_curves
from tools.review.review import Review

CURVES, CONFUSION, FLIPS = "curves.png", "confusion.png", "flips.png"
CAPTIONS = {
    CURVES: "Learning curves, before (dashed) and after",
    CONFUSION: "How the confusion matrix changed: test images after less before",
    FLIPS: "Images that changed sides",
}


def draw(review: Review, folder: Path) -> tuple[list[str], str | None]:
    """Write what can be drawn; return the names of the files, and what is missing in them and why, if something is."""
    with styled([*review.before.classes, *review.after.classes]) as remark:
        save_png(overlaid_curves(review.before, review.after), folder / CURVES)
        if review.flips is None:
            return [CURVES], None
        save_png(confusion_change(review.before, review.after), folder / CONFUSION)
        images_NCHW, no_images = load_test_images(review.after)
        missing = "; ".join(line for line in (no_images, remark) if line) or None
        if images_NCHW is None:
            return [CURVES, CONFUSION], missing
        save_png(flip_gallery(images_NCHW, review.flips, review.before, review.after), folder / FLIPS)
    return [CURVES, CONFUSION, FLIPS], missing
