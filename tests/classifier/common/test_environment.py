"""Variables of the environment that change numbers: put aside, or recorded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from classifier.common.environment import NOT_USED, recorded_variables, remove_unused
from classifier.common.errors import UserError
from classifier.compute import device
from classifier.compute.device import all_facts, compute_facts, set_up_compute

ROOT = Path(__file__).parents[3]


def test_variables_that_params_replace_are_removed_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NOT_USED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert remove_unused() == ["OMP_THREAD_LIMIT"]
    assert "OMP_THREAD_LIMIT" not in os.environ
    assert os.environ["MKL_CBWR"] == "COMPATIBLE"
    assert remove_unused() == []


def test_what_is_recorded() -> None:
    given = {"MKL_CBWR": " COMPATIBLE ", "DNNL_MAX_CPU_ISA": "SSE41", "NVIDIA_TF32_OVERRIDE": "", "LANG": "C"}
    assert recorded_variables(given) == {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    assert recorded_variables({"ONEDNN_MAX_CPU_ISA": "AVX", "DNNL_MAX_CPU_ISA": "SSE41"}) == {"ONEDNN_MAX_CPU_ISA": "AVX"}
    assert recorded_variables({"MKL_CBWR": "a\udce9"}) == {"MKL_CBWR": "a\\udce9"}, "can be written as text"


def test_what_torch_needs_for_the_same_bits_is_recorded_where_it_is_not_what_we_set() -> None:
    assert recorded_variables({"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}) == {}
    assert recorded_variables({"CUBLAS_WORKSPACE_CONFIG": ":16:8"}) == {"CUBLAS_WORKSPACE_CONFIG": ":16:8"}


def test_a_recorded_variable_is_a_fact_of_the_model_and_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    without = compute_facts(cpu, 2, "float32")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert compute_facts(cpu, 2, "float32") == without | {"MKL_CBWR": "COMPATIBLE"}
    assert all_facts(compute_facts(cpu, 2, "float32")) != all_facts(without)


@pytest.mark.parametrize("package", ["numpy", "torchvision", "pillow"])
def test_the_version_of_each_package_that_computes_is_a_fact_of_the_state(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_facts({})
    assert all_facts({}) == before
    monkeypatch.setattr(device, "installed_version", lambda name: "0.1" if name == package else "1")
    others = all_facts({})
    monkeypatch.setattr(device, "installed_version", lambda name: "1")
    assert all_facts({}) != others


@pytest.mark.parametrize("instruction", ["avx512_f", "amx_bf16"])
def test_the_instructions_of_the_cpu_are_facts_of_the_state_and_its_cores_are_not(
    instruction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = {instruction: False, "num_logical_cores": 2}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    before = all_facts({})
    capabilities["num_logical_cores"] = 64
    assert all_facts({}) == before
    capabilities[instruction] = True
    assert all_facts({}) != before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only torch sees its OpenMP")
@pytest.mark.parametrize("variable", ["OMP_THREAD_LIMIT=1", "OMP_MAX_ACTIVE_LEVELS=0"])
def test_fewer_threads_than_the_param_are_refused_where_they_cannot_be_put_aside(variable: str) -> None:
    """The program imports torch with the variable set, as where LD_PRELOAD has loaded OpenMP before."""
    program = (
        "from classifier.compute.device import set_up_compute\nfrom classifier.common.errors import UserError\n"
        "set_up_compute('cpu', 1)\ntry:\n  set_up_compute('cpu', 2)\nexcept UserError as error:\n  print(error)"
    )
    name, _, value = variable.partition("=")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ | {name: value}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "threads: OpenMP gives 1 of 2, by OMP_THREAD_LIMIT or OMP_MAX_ACTIVE_LEVELS; unset them\n"


def test_openmp_may_not_give_fewer_threads_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As OMP_DYNAMIC=true lets it."""
    calls: list[int] = []

    class OpenMP:
        def omp_get_thread_limit(self) -> int:
            return 4

        def omp_get_max_active_levels(self) -> int:
            return 1

        def omp_set_dynamic(self, value: int) -> None:
            calls.append(value)

    threads = torch.get_num_threads()
    monkeypatch.setattr(device, "_openmp", OpenMP)
    set_up_compute("cpu", 4)
    assert calls == [0]
    with pytest.raises(UserError, match=r"^threads: OpenMP gives 4 of 5, "):
        set_up_compute("cpu", 5)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
