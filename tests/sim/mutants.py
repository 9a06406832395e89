#!/usr/bin/env python3
"""Brings back each known bug of mutants.txt and runs the simulator until it notices.

    cmake --preset mutants && cmake --build --preset mutants --target kvorum_sim storage_test raft_protocol_test node_test controller_test
    tests/sim/mutants.py [--bin build/mutants/bin] [--seeds 2000] [NAME ...]

Prints a table: bug, what is broken, who caught it, after how many runs. Exits 1 if one was missed.
A bug that only a real disk can show names a directed test, which must fail with it and pass without.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# A bug may make a run endless; then it was noticed by that.
RUN_SECONDS = 600


def read_rows(names):
    rows = []
    for line in (HERE / "mutants.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split("|")]
            if not names or cells[0] in names:
                rows.append(cells + [""] * (4 - len(cells)))
    return rows


def why(output):
    """The first broken check, in a few words."""
    for line in output.splitlines():
        if found := re.search(r"(invariant \d+ \w+|liveness: L\d)", line):
            return found.group(1)
    for line in output.splitlines():
        if found := re.search(r"(\w+/\w+\.cc:\d+): check failed: .*?: ([^:]*)$", line):
            return f"{found.group(1)} {found.group(2)[:60]}"
    return "killed by a signal" if "signal" in output else "?"


def run(command, mutant):
    environment = dict(os.environ, KVORUM_MUTANT=mutant)
    try:
        done = subprocess.run(command, env=environment, text=True, capture_output=True,
                              timeout=RUN_SECONDS, check=False)
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        return 1, "never ends"


def simulate(binary, name, options):
    code, output = run([binary, "--seeds", str(options.seeds), "--base", str(options.base),
                        "--jobs", str(options.jobs)], name)
    if code == 0:
        return None
    passed = re.search(r": (\d+) passed", output)
    return (why(output), int(passed.group(1)) + 1 if passed else 0)


def test_directly(folder, name, test):
    binary, tests = test.split()
    command = [folder / binary, f"--gtest_filter={tests}"]
    if run(command, "")[0] != 0:
        sys.exit(f"{test} fails without a bug")
    code, output = run(command, name)
    failed = re.search(r"\[  FAILED  \] (\S+) \(", output)
    return None if code == 0 else (failed.group(1) if failed else test, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--bin", default="build/mutants/bin", type=pathlib.Path)
    parser.add_argument("--seeds", default=2000, type=int)
    parser.add_argument("--base", default=1, type=int)
    parser.add_argument("--jobs", default=2, type=int)
    options = parser.parse_args()
    missed = 0
    for name, seen, broken, test in read_rows(options.names):
        started = time.monotonic()
        if test:
            caught = test_directly(options.bin, name, test)
        else:
            caught = simulate(options.bin / "kvorum_sim", name, options)
        missed += caught is None
        by, runs = caught or ("MISSED", options.seeds)
        print(f"| {name} | {seen} | {broken} | {by} | {runs} | "
              f"{time.monotonic() - started:.1f} s", flush=True)
    print(f"{missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
