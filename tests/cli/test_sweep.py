"""The command line as a user meets it: real processes, real runs, exit codes, one-line errors."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import psutil
import pytest

from linbench.cli.progress import Progress
from linbench.record import load
from linbench.run.record import read

BIN = Path(sys.executable).parent / "linbench"
TESTS = Path(__file__).parents[1]
QUICK = ("--impl", "sdpa", "--seq", "64..128", "--d-model", "64", "--rounds", "2")


def linbench(*words, cwd, code=0, **options):
    options.setdefault("env", dict(os.environ))  # not the COLUMNS that readline adds
    done = subprocess.run(
        [BIN, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=120, **options
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A folder with one small run named `r`."""
    folder = tmp_path_factory.mktemp("swept")
    linbench(
        "sweep", "--impl", "vanilla,sdpa,linformer", "--seq", "64..256", "--k", "32,128",
        "--sharing", "headwise,layerwise", "--d-model", "64", "--rounds", "2", "--name", "r",
        cwd=folder,
    )  # fmt: skip
    return folder


def test_the_largest_batch_is_a_task_of_a_sweep(tmp_path):
    """Searched for once beside two rounds of time, shown, listed, reported, held by the paper."""
    linbench(
        "sweep", "--task", "efficiency,max_batch", "--memory-limit", "8MB", "--impl",
        "vanilla,sdpa,linformer", "--seq", "128", "--k", "32", "--sharing", "layerwise",
        "--d-model", "64", "--heads", "2", "--rounds", "2", "--name", "m", cwd=tmp_path,
    )  # fmt: skip
    _, frame = load(tmp_path / "results" / "m.jsonl")
    searched = frame[frame["task"] == "max_batch"]
    assert list(searched["status"]) == ["ok"] * 3
    assert all(found["max_batch"]["limit_bytes"] == 2**23 for found in searched["detail"])
    batches = {row["impl"]: int(row["max_batch"]) for _, row in searched.iterrows()}
    assert batches["sdpa"] > batches["vanilla"] > 1
    wide = {"cwd": tmp_path, "env": {**os.environ, "COLUMNS": "200"}}
    shown = linbench("show", "m", **wide).stdout
    assert f"{batches['sdpa']} sequences (extrapolated)" in shown
    assert "m" in linbench("list", "runs", cwd=tmp_path).stdout
    both = f"{batches['linformer']}:{batches['sdpa']}"
    assert both in linbench("paper", "m", **wide).stdout
    said = json.loads(linbench("scaling", "m", "--json", cwd=tmp_path).stdout)
    assert {series["metric"] for series in said["series"]} >= {"time", "memory"}
    linbench("compare", "m", "m", cwd=tmp_path)
    linbench("report", "m", cwd=tmp_path)
    foreseen = linbench("sweep", "paper-table3", "--dry-run", "--json", cwd=tmp_path).stdout
    cases = json.loads(foreseen)["cases"]
    assert {case["case"]["task"] for case in cases} == {"efficiency", "max_batch"}


def test_the_help_loads_neither_torch_nor_pandas():
    """`linbench --help` answers fast because it imports nothing heavy."""
    code = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from linbench.cli import main\n"
        "try: main()\n"
        "except SystemExit as left: assert not left.code, left.code\n"
        "heavy = {'torch', 'pandas', 'numpy', 'scipy', 'matplotlib', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sweep" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_parent_of_a_sweep_loads_no_torch(tmp_path):
    """Only workers load torch: the parent stays small, and no thread of it disturbs a fork."""
    code = (
        f"import sys; sys.argv[1:] = ['sweep', *{QUICK!r}, '--json']\n"
        "from linbench.cli import main\n"
        "try: main()\n"
        "except SystemExit as left: assert not left.code, left.code\n"
        "print('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False False"


def test_a_sweep_measures_its_grid(swept):
    """3 n x (vanilla + sdpa + linformer at two k and two sharings), but for k = 128 > n = 64."""
    header, frame = load(swept / "results" / "r.jsonl")
    ok = frame[frame["status"] == "ok"]
    assert ok["case_id"].nunique() == 3 * (2 + 4) - 2
    assert (ok.groupby("case_id")["round"].apply(sorted).map(list) == [[0, 1]] * 16).all()
    assert header["run_id"] == "r"
    assert header["argv"][:2] == ["linbench", "sweep"]
    assert header["machine"]["torch"]
    assert (ok["peak_bytes"] > 0).all()


def test_every_written_line_matches_the_schema(swept):
    """The published JSON Schema describes what a sweep really writes."""
    schema = json.loads((TESTS.parent / "docs" / "run-file.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    lines = (swept / "results" / "r.jsonl").read_text().splitlines()
    assert len(lines) == 33
    for line in lines:
        validator.validate(json.loads(line))


def test_the_closing_table_says_what_was_left_out_and_what_is_next(tmp_path):
    """The table, the combinations that cannot exist, the run file and the next command."""
    done = linbench(
        "sweep", "--impl", "linformer", "--seq", "64..128", "--k", "128", "--d-model", "64",
        "--rounds", "1", "--name", "x", cwd=tmp_path,
    )  # fmt: skip
    assert "left out: linformer k=128 headwise n=64: k=128 is longer" in done.stdout
    assert "1 of 1 cases measured" in done.stdout
    assert "next: linbench report results/x.jsonl" in done.stdout


def test_json_for_machines(tmp_path):
    """--json prints one object and nothing else."""
    done = linbench("sweep", *QUICK, "--json", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert said["statuses"] == {"ok": 4}
    assert Path(tmp_path / said["run"]).is_file()


def test_dry_run_measures_nothing(tmp_path):
    """Every case comes with predicted time and memory, and what would be skipped says why."""
    words = ("sweep", "--impl", "vanilla", "--seq", "512,131072", "--dry-run")
    said = json.loads(linbench(*words, "--json", cwd=tmp_path).stdout)
    assert [entry["case"]["seq"] for entry in said["cases"]] == [512, 131072]
    assert said["cases"][0]["skipped"] is None
    assert "predicted memory" in said["cases"][1]["skipped"]
    assert said["cases"][0]["predicted_memory_bytes"] > 512 * 512 * 4 * 4
    assert "1 of 2 cases" in linbench(*words, cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_a_budget_too_small_is_one_line_for_each_cause(tmp_path):
    """Not one for each case; what would do is said."""
    done = linbench(
        "sweep", "--impl", "vanilla,sdpa", "--seq", "512..16384", "--budget", "2s", "--rounds",
        "1", "--name", "x", cwd=tmp_path,
    )  # fmt: skip
    (said,) = (line for line in done.stdout.splitlines() if "did not fit --budget 2s" in line)
    assert "s would do" in said
    records = read(tmp_path / "results" / "x.jsonl")[1]
    skipped = [record for record in records if record.status == "skipped"]
    assert len(skipped) >= 4
    assert {record.round for record in skipped} == {0}
    assert all(record.detail.prediction["round_s"] > 0 for record in skipped)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seq", "4096..512"], "--seq '4096..512' is inverted"),
        (["--seq", ""], "is empty"),
        (["--seq", "64", "--k", "128"], "no combination of 'linformer' is possible"),
        (["--heads", "3"], "does not divide"),
        (["--impl", "vanila"], "did you mean 'vanilla'?"),
        (["--dtype", "float12"], "--dtype 'float12' is unknown"),
        (["--device", "cuda"], "--device cuda is not there"),
        (["nosuchsuite"], "no suite 'nosuchsuite'"),
        (["gone.toml"], "no file 'gone.toml'"),
        (["--case-timeout", "0s"], "--case-timeout '0s' must be positive"),
        (["--budget", "soon"], "not a duration"),
        (["--rounds", "0"], "--rounds 0"),
        (["--rounds", "many"], "--rounds 'many' is not valid: input should be a valid integer"),
        (["--name", "a/b"], "cannot be a file name"),
        (["--out", "/proc/nothing"], "choose another folder with --out"),
        (["--resume", "nothing"], "no run 'nothing'"),
        (["--resume", "nothing", "--dry-run"], "--resume goes on with the run's own grid"),
        (["--resume", "nothing", "--name", "foo"], "--resume goes on with the run's own grid"),
        (["--impl", "a=gone.py:build"], "'gone.py' was not found"),
        (["--name", "a" * 300], "cannot be a file name"),
        (["--task", "eficiency"], "did you mean 'efficiency'?"),
        (["--task", "accuracy=gone.py:TASK", "--shots", "7"], "file 'gone.py' was not found"),
        (["--task", "accuracy=gone"], "--task 'accuracy=gone' is malformed"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(tmp_path, words, says):
    """The line names the value, the expectation and the remedy."""
    if words == ["--device", "cuda"] and Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    done = linbench("sweep", *words, cwd=tmp_path, code=2)
    lines = [line for line in done.stderr.splitlines() if "warning: other programs" not in line]
    assert len(lines) == 1
    assert says in lines[0]
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_cannot_run_here(tmp_path):
    """As the sweep itself would."""
    words = ("--impl", "sdpa,xformers", "--seq", "64", "--device", "cpu", "--dry-run", "--json")
    cases = json.loads(linbench("sweep", *words, cwd=tmp_path).stdout)["cases"]
    assert {one["case"]["impl"]: one["skipped"] for one in cases} == {
        "sdpa": None,
        "xformers": "xformers runs on CUDA only, not on cpu",
    }


def test_no_round_is_said_to_be_above_the_maximum(capsys):
    """Cases that were begun late have rounds after everybody's last."""
    plan = SimpleNamespace(rounds=3)
    schedule = SimpleNamespace(plan=plan, remaining_s=1.0, spent_s=1.0)
    progress = Progress(schedule, quiet=False)
    for number in (2, 3, 4):
        progress.visiting(SimpleNamespace(round=number, case=None))
    said = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["round 3 of at most 3", "last rounds"]


def test_a_failing_plugin_is_exit_1_and_the_rest_is_measured(tmp_path):
    """A case in error or incorrect makes the sweep exit 1; what is beside it is kept."""
    bad = TESTS / "misbehaving.py"
    words = ["--impl", "sdpa"]
    for name in ("raises_running", "nan", "leaves"):
        words += ["--impl", f"{name}={bad}:{name}"]
    done = linbench(
        "sweep", *words, "--seq", "64", "--rounds", "2", "--name", "x", cwd=tmp_path, code=1
    )
    _, records = read(tmp_path / "results" / "x.jsonl")
    assert {r.case.impl: r.status for r in records} == {
        "sdpa": "ok", "raises_running": "error", "nan": "incorrect", "leaves": "error",
    }  # fmt: skip
    assert "IndexError: off by one" in done.stdout
    assert "IndexError: off by one" in done.stderr


def test_show_list_and_env(swept):
    """The verbs that look things up, in text and in JSON."""
    assert "linformer k=32 layerwise" in linbench("show", "latest", cwd=swept).stdout
    shown = json.loads(linbench("show", "r", "--json", cwd=swept).stdout)
    assert len(shown["records"]) == 32
    (run,) = json.loads(linbench("list", "runs", "--json", cwd=swept).stdout)
    assert (run["run"], run["cases"], run["records"]) == ("r", 16, 32)
    suites = json.loads(linbench("list", "suites", "--json", cwd=swept).stdout)
    assert {"smoke", "scaling", "peers"} <= {row["suite"] for row in suites}
    assert "xformers runs on CUDA only" in linbench("list", "impls", cwd=swept).stdout
    env = json.loads(linbench("env", "--json", cwd=swept).stdout)
    assert env["fingerprint"]
    assert (env["gpu"] is None) == (env["gpu_reason"] is not None)


def test_scaling_and_report_of_a_real_run(swept):
    """A small run is analysed and rendered; skipping nothing and inventing nothing."""
    said = json.loads(linbench("scaling", "r", "--json", cwd=swept).stdout)
    assert {series["impl"] for series in said["series"]} == {"vanilla", "sdpa", "linformer"}
    assert {series["metric"] for series in said["series"]} >= {"time", "memory"}
    done = linbench("report", "r", "--format", "md", cwd=swept)
    page = (swept / "reports" / "r" / "report.md").read_text()
    assert "reports/r/report.md" in done.stdout
    for figure in {word.split(")")[0] for word in page.split("](")[1:]}:
        if figure.endswith((".png", ".svg")):
            assert (swept / "reports" / "r" / figure).stat().st_size > 1000


def test_comparing_a_run_with_itself(swept):
    """Every case is there, every ratio is 1, and nothing is told apart."""
    said = json.loads(linbench("compare", "r", "r", "--json", cwd=swept).stdout)
    assert said["same_machine"]
    assert len({one["case_id"] for one in said["comparisons"]}) == 16
    assert {one["ratio"] for one in said["comparisons"]} == {1.0}
    assert {one["verdict"] for one in said["comparisons"]} <= {"unclear", "same"}
    assert "linformer k=32 layerwise n=256" in linbench("compare", "r", "r", cwd=swept).stdout


def test_env_check_reports_the_noise_floor(tmp_path):
    """A short A/A test: what the machine resolves in how many rounds, and what disturbs it."""
    said = json.loads(linbench("env", "--check", "--pairs", "3", "--json", cwd=tmp_path).stdout)
    assert said["noise"]["pairs"] == 3
    assert said["noise"]["resolves"]["5"] > said["noise"]["resolves"]["20"] > 0
    assert {"CPU governor", "load", "GPU"} <= {finding["what"] for finding in said["findings"]}
    text = linbench("env", "--check", "--pairs", "3", cwd=tmp_path).stdout
    assert "in  5 rounds this machine resolves differences of" in text
    assert list(tmp_path.iterdir()) == []


def _start(folder):
    return subprocess.Popen(
        [BIN, "sweep", "--impl", "sdpa", "--seq", "64..512", "--rounds", "6", "--name", "x"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def _wait_for_records(path, count):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if path.exists() and path.read_text().count('"type": "record"') >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {count} records in {path} within 60 s")


def _family(pid):
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _alive(family):
    """Which of some processes still run after five seconds; the dead may wait for their reaper."""
    _, left = psutil.wait_procs(family, timeout=5)
    return [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


def test_ctrl_c_keeps_what_is_recorded_and_says_how_to_resume(tmp_path):
    """SIGINT: exit 130, whole records, no process left; --resume measures the rest once."""
    path = tmp_path / "results" / "x.jsonl"
    sweep = _start(tmp_path)
    _wait_for_records(path, 3)
    family = _family(sweep.pid)
    sweep.send_signal(signal.SIGINT)
    _, said = sweep.communicate(timeout=30)
    assert sweep.returncode == 130
    assert "linbench sweep --resume results/x.jsonl" in said
    assert "Traceback" not in said
    assert _alive(family) == []
    before = read(path)[1]
    linbench("sweep", "--resume", "x", cwd=tmp_path)
    after = read(path)[1]
    assert after[: len(before)] == before
    assert sorted((r.case.seq, r.round) for r in after) == [
        (n, round_) for n in (64, 128, 256, 512) for round_ in range(_rounds(after, n))
    ]


def _rounds(records, n):
    """How many rounds a case got: five if it was steady by then, else six."""
    rounds = {record.round for record in records if record.case.seq == n}
    assert len(rounds) in (5, 6)
    return len(rounds)


def test_kill_9_leaves_a_readable_file_and_no_orphan(tmp_path):
    """Three kills at different moments and a torn line, then --resume: each round exactly once."""
    path = tmp_path / "results" / "x.jsonl"
    words: tuple[str, ...] = ()
    for count in (1, 4, 9):
        sweep = _start(tmp_path) if not words else subprocess.Popen(
            [BIN, "sweep", *words], cwd=tmp_path, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        _wait_for_records(path, count)
        family = _family(sweep.pid)
        os.kill(sweep.pid, signal.SIGKILL)
        sweep.wait()
        assert _alive(family) == []
        with path.open("a") as file:
            file.write('{"type": "record", "case_i')
        words = ("--resume", "x")
        if sweep.stdout:
            sweep.stdout.close()
            sweep.stderr.close()
    linbench("sweep", "--resume", "x", cwd=tmp_path)
    records = read(path)[1]
    visits = [(record.case.seq, record.round) for record in records]
    assert len(visits) == len(set(visits))
    assert all(_rounds(records, n) for n in (64, 128, 256, 512))


def test_resume_refuses_other_code_unless_forced(tmp_path):
    """A plug-in that was edited since is another code; --force is recorded in every record."""
    (tmp_path / "mine.py").write_text("from linbench.attention.fused import sdpa as build\n")
    words = ("--impl", "mine=mine.py:build", "--seq", "64..256", "--name", "x")
    linbench("sweep", *words, "--rounds", "1", cwd=tmp_path)
    path = tmp_path / "results" / "x.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    (tmp_path / "mine.py").write_text("from linbench.attention.vanilla import vanilla as build\n")
    done = linbench("sweep", "--resume", "x", cwd=tmp_path, code=2)
    assert "the code has changed" in done.stderr
    assert len(read(path)[1]) == 2
    linbench("sweep", "--resume", "x", "--force", cwd=tmp_path)
    last = read(path)[1][-1]
    assert any("resumed with --force: the code has changed" in text for text in last.warnings)


def test_resume_takes_no_other_grid(swept):
    """The grid of a run is its own."""
    done = linbench("sweep", "--resume", "r", "--seq", "512", cwd=swept, code=2)
    assert "the run's own grid" in done.stderr


def test_a_full_disk_is_one_line_and_the_file_stays_whole(tmp_path):
    """With room for the header and little more, the sweep ends with exit 2 and a readable file."""
    words = f"ulimit -f 12; exec {BIN} sweep --impl sdpa --seq 64..512 --d-model 64 --name x"
    done = subprocess.run(
        ["bash", "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(read(tmp_path / "results" / "x.jsonl")[1]) >= 1
