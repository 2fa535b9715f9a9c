"""NVML through the real binding, against a stand-in library compiled here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from linbench.executors import worker
from linbench.executors.local import Local, fields_of
from linbench.plan.suite import Suite
from linbench.probes import machine
from linbench.run.case import Case

HERE = Path(__file__).parent
MIB = 2**20


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The folder of the stand-in library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "these tests need a C compiler"
    folder = tmp_path_factory.mktemp("nvml")
    target = folder / "libnvidia-ml.so.1"
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Werror",
            "-o",
            target,
            HERE / "nvml_stub.c",
        ],
        check=True,
    )
    return folder


def ask(library, code, says="", pid=None):
    """Run code in a process that finds the stand-in, and return what it prints as JSON."""
    env = {**os.environ, "LD_LIBRARY_PATH": str(library), "NVML_STUB": says}
    if pid:
        env["NVML_STUB_PID"] = str(pid)
    done = subprocess.run(
        [sys.executable, "-c", f"import json, os\n{code}"],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


FIRST = "from linbench.probes import nvml; print(json.dumps(nvml.first_gpu()))"
SAMPLE = """
from linbench.probes.nvml import PeakSampler
sampler = PeakSampler(4711, "GPU-x")
for _ in range(5): sampler.sample()
print(json.dumps(sampler.close()))
"""
CLOCKS = """
from linbench.probes import nvml
with nvml.opened() as (handle, missing):
    before, after = nvml.energy_j(handle), nvml.energy_j(handle)
    print(json.dumps([missing, nvml.clocks(handle), before, after]))
"""


def test_the_first_gpu(library):
    """Name, memory and driver come from NVML."""
    gpu, reason = ask(library, FIRST)
    assert reason is None
    assert 0 < gpu.pop("free_bytes") < 16 * 2**30
    assert gpu == {
        "name": "Stub GPU", "memory_bytes": 16 * 2**30, "driver": "1.2.3", "count": 1,
    }  # fmt: skip


def test_no_driver_is_a_reason(library):
    """A library without a driver behind it is no GPU, and says so."""
    gpu, reason = ask(library, FIRST, "no_driver")
    assert gpu is None
    assert reason == "no NVIDIA driver answers: Driver Not Loaded"


def test_no_library_is_a_reason(tmp_path):
    """A machine that never saw NVIDIA's driver has no library at all."""
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    gpu, reason = ask(tmp_path, FIRST)
    assert gpu is None
    assert reason.startswith("no NVIDIA driver answers: ")


def test_peaks_follow_memory_that_grows(library):
    """The highest of all looks is kept, for the process and for the device."""
    peaks = ask(library, SAMPLE, pid=4711)
    assert peaks["nvml_samples"] == 5
    assert peaks["nvml_device_bytes"] == (1024 + 5) * MIB
    assert peaks["nvml_process_bytes"] == (1024 + 5) * MIB // 2
    assert peaks["reasons"] == {}


def test_a_container_that_hides_process_ids(library):
    """Without our PID in the list the process's memory is unknown, not 0; the device's is known."""
    peaks = ask(library, SAMPLE, "no_pids", pid=4711)
    assert peaks["nvml_process_bytes"] is None
    assert "lists no process 4711 (a container may hide" in peaks["reasons"]["nvml_process_bytes"]
    assert peaks["nvml_device_bytes"] == (1024 + 5) * MIB


def test_calls_that_are_not_supported_give_null_with_the_reason(library):
    """What the device does not support is null; nothing raises."""
    peaks = ask(library, SAMPLE, "not_supported")
    assert peaks["nvml_process_bytes"] is peaks["nvml_device_bytes"] is None
    assert peaks["reasons"]["nvml_device_bytes"] == "NVML device memory: Not Supported"
    missing, clocks, before, _ = ask(library, CLOCKS, "not_supported")
    assert missing is clocks["sm_mhz"] is clocks["throttles"] is None
    assert clocks["reason"] == "NVML SM clock: Not Supported"
    assert before == [None, "NVML total energy: Not Supported"]


def test_clocks_throttling_and_energy(library):
    """A throttle bit becomes words; idle is no throttling; the energy counter is in joules."""
    _, clocks, before, after = ask(library, CLOCKS, "throttled")
    assert clocks["sm_mhz"] == 900
    assert clocks["throttles"] == ["power cap", "thermal slowdown (hardware)"]
    assert after[0] - before[0] == pytest.approx(2.5)
    assert ask(library, CLOCKS)[1]["throttles"] == []


def test_warnings_about_clocks():
    """Throttled or shifted samples are flagged, steady ones are not."""
    from linbench.probes.cuda import clock_warnings

    steady = [{"sm_mhz": 1800, "throttles": []}] * 4
    assert clock_warnings(steady) == []
    assert clock_warnings([*steady, {"sm_mhz": 900, "throttles": ["power cap"]}]) == [
        "throttled in 1 of 5 samples: power cap",
        "SM clock moved between 900 and 1800 MHz while timing",
    ]


def test_the_server_samples_from_outside_while_memory_is_measured(library, monkeypatch):
    """The measured process does not look at itself: its parent does, in the memory phase alone."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    monkeypatch.setenv("NVML_STUB", "no_pids")
    with Local(Suite()) as local:
        local._wait_ready()
        case = Case(impl="vanilla", seq=2048, scope="core")
        job = {**local._job, "case": worker.as_job(case), "device": "cuda"}
        local._jobs.write(json.dumps(job).encode() + b"\n")
        fields = fields_of(local._read(), 30.0, case)
    memory = fields["detail"]["memory"]
    assert fields["status"] == "ok"
    assert memory["nvml_samples"] > 3
    assert memory["nvml_device_bytes"] > 1024 * MIB
    assert memory["nvml_process_bytes"] is None
    assert "a container may hide" in memory["reasons"]["nvml_process_bytes"]


def test_env_shows_what_nvml_saw(library):
    """`linbench env --json` names the GPU, or says why there is none."""
    code = "from linbench.probes import machine; print(json.dumps(machine.describe()))"
    seen = ask(library, code)
    assert (seen["gpu"], seen["driver"], seen["gpu_reason"]) == ("Stub GPU", "1.2.3", None)
    assert seen["fingerprint"] != machine.describe()["fingerprint"]
