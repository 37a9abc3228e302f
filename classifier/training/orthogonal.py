"""The nearest orthogonal matrix, roughly and fast: the step of Muon."""

from torch import Tensor, addmm

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial a·x + b·x³ + c·x⁵, steep at 0: singular values end between about 0.5 and 1.5 (Jordan et al. 2024)."""
NUM_ITERATIONS = 5
SMALLEST_NORM = 1e-7


def orthogonalised(matrix_RC: Tensor) -> Tensor:
    """U·Vᵀ of the singular value decomposition U·S·Vᵀ, but for singular values near 1, in bfloat16: (R, C).

    By NUM_ITERATIONS steps of Newton-Schulz, on the side of the shorter edge.
    """
    is_tall = matrix_RC.shape[0] > matrix_RC.shape[1]
    wide = matrix_RC.bfloat16().T if is_tall else matrix_RC.bfloat16()
    wide = wide / wide.norm().clamp(min=SMALLEST_NORM)
    a, b, c = COEFFICIENTS
    for _ in range(NUM_ITERATIONS):
        gram = wide @ wide.T
        wide = addmm(wide, addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if is_tall else wide
