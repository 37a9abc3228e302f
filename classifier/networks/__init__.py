"""Our own networks and torchvision's, their layers, and published weights. The stage `weights`."""
