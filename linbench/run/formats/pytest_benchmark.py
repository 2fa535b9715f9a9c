"""pytest-benchmark's JSON files, read as runs.

All benchmarks of such a file were measured in one process, which is one round here: however many
calls it holds, nothing in it tells how much processes differ. Several files in one folder, of the
same commit and machine, are one run with a round each.
"""

import hashlib
import itertools
import json
import re
import statistics
import warnings
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from linbench.errors import RunFileError
from linbench.run.formats import schema1
from linbench.run.lines import Git, Header, Machine, Record, Timing, first_fault, flaw_in
from linbench.run.metrics import Measurement

EXTRA = "linbench"
"""Where `suites/bench_attention.py` leaves the fields of a record in `extra_info`."""

PARAMETERS = ("n", "seq", "seq_len", "seqlen", "seq_length", "sequence_length", "length", "size")
"""Parameters of a test that are taken for n, the first that is there; case does not matter."""


class _Stats(BaseModel):
    data: list[float] | None = None
    median: float
    rounds: int
    iterations: int = 1


class _Options(BaseModel):
    timer: str | None = None


class _Benchmark(BaseModel):
    fullname: str
    param: str | None = None
    params: dict[str, Any] | None = None
    extra_info: dict[str, Any] = {}
    options: _Options = _Options()
    stats: _Stats


class _Cpu(BaseModel):
    brand_raw: str | None = None
    count: int | None = None


class _MachineInfo(BaseModel):
    system: str | None = None
    release: str | None = None
    machine: str | None = None
    python_version: str | None = None
    cpu: _Cpu = _Cpu()


class _CommitInfo(BaseModel):
    id: str | None = None
    branch: str | None = None
    dirty: bool = False

    @property
    def git(self) -> Git | None:
        """The commit, where it is one: outside a repository there is a word in its place."""
        if self.id is None or not re.fullmatch("[0-9a-f]{7,64}", self.id):
            return None
        return Git(commit=self.id, branch=self.branch, dirty=self.dirty)


class _Document(BaseModel):
    machine_info: _MachineInfo
    commit_info: _CommitInfo = _CommitInfo()
    benchmarks: list[_Benchmark]
    datetime: datetime
    version: str = "of unknown version"

    @property
    def code(self) -> str:
        """The commit, in words."""
        git = self.commit_info.git
        changed = " with changes" if self.commit_info.dirty else ""
        return f"{git.commit if git else 'unknown'}{changed}"

    @property
    def fingerprint(self) -> str:
        """A digest of what stays put between runs: never clocks, host names or versions."""
        info = self.machine_info
        lasting = (info.system, info.machine, info.cpu.brand_raw, info.cpu.count)
        return hashlib.sha256(f"pytest-benchmark {lasting}".encode()).hexdigest()[:12]


def wrote(path: Path, content: bytes) -> bool:
    """Say whether a file looks like one that pytest-benchmark wrote, whole or not."""
    return b'"machine_info"' in content or (
        path.suffix == ".json" and not content.startswith(b'{"type"')
    )


def read(path: Path) -> tuple[Header, list[Record]]:
    """Read a file of pytest-benchmark, or a folder of them, as a run.

    Args:
        path: What `--benchmark-json` or `--benchmark-save` wrote; or a folder whose `*.json` files
            are the rounds of one run, in the order of their names.

    Raises:
        RunFileError: a file is not whole or not of pytest-benchmark, holds no benchmark, or the
            files of a folder are of several commits or machines, or one is a copy of another.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise RunFileError(
            f"folder '{path}' holds no *.json, expected files that pytest-benchmark wrote "
            "(pytest --benchmark-json=FILE); name a folder that has them"
        )
    documents = {file: _document(file) for file in files}
    _refuse_mixtures(path, documents)
    _refuse_copies(documents)
    if len(files) == 1:
        warnings.warn(
            f"{path}: pytest-benchmark measured this in one process, thus one round: no interval "
            "says how much processes differ; run pytest several times into one folder and name it",
            stacklevel=2,
        )
    records = [
        record
        for round_, (file, document) in enumerate(documents.items())
        for record in _records(file, document, round_)
    ]
    return _header(path, documents[files[0]], len(files)), records


def _document(file: Path) -> _Document:
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise RunFileError(f"cannot read run '{file}': {error.strerror}") from None
    except ValueError as error:
        raise RunFileError(
            f"'{file}' is not whole JSON ({error}), expected a file of pytest-benchmark; "
            "run pytest again with --benchmark-json"
        ) from None
    if not isinstance(found, dict) or not {"benchmarks", "machine_info"} <= set(found):
        raise RunFileError(
            f"'{file}' is neither a run of linbench nor of pytest-benchmark, expected 'benchmarks' "
            "and 'machine_info' in it; name a file of 'linbench sweep' or 'pytest --benchmark-json'"
        )
    try:
        document = _Document.model_validate(found)
    except ValidationError as error:
        raise RunFileError(
            f"'{file}' is not what pytest-benchmark writes: {first_fault(error)}; "
            "run pytest again with --benchmark-json"
        ) from None
    if not document.benchmarks:
        raise RunFileError(
            f"'{file}' holds no benchmark (did all of them fail?); run pytest again and look at "
            "what it says"
        )
    return document


def _refuse_mixtures(path: Path, documents: dict[Path, _Document]) -> None:
    every = documents.values()
    found = {
        "commits": {document.code for document in every},
        "machines": {document.fingerprint for document in every},
        "versions of Python": {str(document.machine_info.python_version) for document in every},
    }
    for what, values in found.items():
        if len(values) > 1:
            raise RunFileError(
                f"the files in '{path}' are of several {what} ({', '.join(sorted(values))}), "
                "expected the rounds of one; keep a folder for each, or name a file"
            )


def _refuse_copies(documents: dict[Path, _Document]) -> None:
    """Refuse a round that is there twice: intervals would be of fewer processes than they say."""
    for (first, one), (second, other) in itertools.combinations(documents.items(), 2):
        if one.datetime == other.datetime:
            same = f"began at the same time ({one.datetime.isoformat()})"
        elif _raw(one) == _raw(other):
            same = "hold the same raw data"
        else:
            continue
        raise RunFileError(
            f"'{first}' and '{second}' {same}, expected a file for each run of pytest; delete the "
            "copy"
        )


def _raw(document: _Document) -> dict[str, _Stats]:
    return {bench.fullname: bench.stats for bench in document.benchmarks}


def _header(path: Path, first: _Document, processes: int) -> Header:
    info = first.machine_info
    created = first.datetime if first.datetime.tzinfo else first.datetime.replace(tzinfo=UTC)
    return Header(
        # the time makes it one of a kind: files are often all called out.json
        run_id=f"{path.resolve().stem}-{created:%Y%m%dT%H%M%S.%fZ}",
        created=created.isoformat(timespec="seconds"),
        linbench=f"pytest-benchmark {first.version}",
        suite={"name": "pytest-benchmark"},
        machine=Machine(
            fingerprint=first.fingerprint,
            cpu=info.cpu.brand_raw,
            threads=f"{info.cpu.count} cores" if info.cpu.count else None,
            gpu_reason="pytest-benchmark does not say",
            python=info.python_version,
            system="-".join(filter(None, (info.system, info.release))) or None,
        ),
        git=first.commit_info.git,
        warnings=[f"measured by pytest-benchmark, each round in one process: {processes} of them"],
    )


def _records(file: Path, document: _Document, round_: int) -> list[Record]:
    names = _names(document.benchmarks)
    records: dict[str, Record] = {}
    for bench in document.benchmarks:
        try:
            record = _record(bench, *names[bench.fullname], round_, document.datetime)
        except ValidationError as error:
            raise RunFileError(
                f"'{file}': {bench.fullname}: {first_fault(error)}; was it written by another "
                "version of linbench? Run pytest again"
            ) from None
        if flaw := flaw_in(record):
            raise RunFileError(
                f"'{file}': {bench.fullname}: {flaw}; its timer is too coarse for it: raise "
                "--benchmark-min-time, and run pytest again"
            )
        if record.case_id in records:
            warnings.warn(f"{file}: {bench.fullname} is there twice; the later one counts",
                          stacklevel=2)  # fmt: skip
        records[record.case_id] = record
    return list(records.values())


def _record(bench: _Benchmark, name: str, n: int | None, round_: int, started: datetime) -> Record:
    """Return what the suite left in `extra_info`, or what is known of a stranger's function."""
    unknown = dict.fromkeys(("d_model", "heads", "batch", "dtype", "device", "seed"))
    said: Any = {"case": {"impl": name, "seq": n, "scope": "function", **unknown}}
    if EXTRA in bench.extra_info:
        said = schema1.upgraded(bench.extra_info[EXTRA])
    if isinstance(said, dict):
        said = {"case_id": "", "status": "ok", **said, "round": round_}
    own = Record.model_validate(said)
    stats, clock = bench.stats, bench.options.timer
    seconds = stats.data or [stats.median]
    time = {"time": Measurement(statistics.median(seconds), seconds, clock)}
    timing = (own.detail.timing or Timing()).model_copy(
        update={"clock": clock, "calls_per_sample": stats.iterations}
    )
    kept = (
        f"the median of {stats.rounds} samples stands for them: pytest-benchmark kept none "
        "(--benchmark-save-data does)"
    )
    update = {
        "case_id": own.case.id,
        "metrics": own.metrics | (time if own.status == "ok" else {}),
        "detail": own.detail.model_copy(update={"timing": timing}),
        "warnings": [] if stats.data else [kept],
        "started": started.isoformat(timespec="seconds"),
    }
    return own.model_copy(update=update)


def _names(benchmarks: list[_Benchmark]) -> dict[str, tuple[str, int | None]]:
    """Return name and n of each benchmark by its full name, no two the same.

    The name is the full name with `n` for the value of n among the parameters, so that the
    benchmarks of a test at several n are one series. Where that would name two, all of the test
    keep their full names.
    """
    names = {bench.fullname: _name(bench) for bench in benchmarks}
    taken = Counter(names.values())
    unclear = {_test(full) for full, name in names.items() if taken[name] > 1}
    return {
        full: (full if _test(full) in unclear else name, n) for full, (name, n) in names.items()
    }


def _test(fullname: str) -> str:
    return fullname.partition("[")[0]


def _name(bench: _Benchmark) -> tuple[str, int | None]:
    name, n = _length(bench.params or {})
    test = bench.fullname.removesuffix(f"[{bench.param}]")
    if name is None or bench.param is None or test == bench.fullname:
        return bench.fullname, n
    parts = bench.param.split("-")
    for written in (str(n), f"{name}={n}"):
        if written in parts:
            parts[parts.index(written)] = "n"
            break
    return (test if parts == ["n"] else f"{test}[{'-'.join(parts)}]"), n


def _length(params: dict[str, Any]) -> tuple[str, int] | tuple[None, None]:
    """Return the parameter that stands for n and its value, where there is one."""
    found = (
        (name, value)
        for wanted in PARAMETERS
        for name, value in params.items()
        if name.lower() == wanted and type(value) is int and value > 0
    )
    return next(found, (None, None))
