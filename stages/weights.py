"""Stage `weights`: published weights of the network, or those of a file -> models/pretrained.safetensors; maybe no tensors."""

import os
from pathlib import Path

from safetensors import serialize

from classifier.common.files import replacing, state_folder
from classifier.networks.params import PUBLISHED, WeightsParams
from stages.runner import run_stage


def main(params: WeightsParams, root: Path = Path()) -> None:
    """Get them when `params.pretrained`, so that `train` needs no network; else leave it a file of no tensors to depend on."""
    target = root / "models/pretrained.safetensors"
    if params.pretrained and params.pretrained_source == PUBLISHED:
        _get(params.network, root, target)
    elif params.pretrained:
        from classifier.networks.pretrained import write_own_weights

        write_own_weights(root / params.pretrained_source, params.network, target)
    else:
        with replacing(target) as partial:
            partial.write_bytes(serialize({}))  # DVC warns of a file of no bytes, at every run


def _get(network: str, root: Path, target: Path) -> None:
    # These import torch and torchvision, seconds that most runs need not spend.
    from classifier.networks.pretrained import published_file, write_weights
    from classifier.sources.fetch import MIRROR_VARIABLE, fetch_all

    files = {"weights": published_file(network)}
    paths = fetch_all("weights", files, state_folder(root) / "downloads", os.environ.get(MIRROR_VARIABLE))
    write_weights(paths["weights"], network, target)


if __name__ == "__main__":
    run_stage("weights", main, WeightsParams)
