#!/usr/bin/env python3
"""Checks the allowed arrows between folders: who may include whom, and words a folder must not say.

The table below is ARCHITECTURE.md's, as data. THINK before changing it: an arrow that is missing here
is missing on purpose. Run from anywhere; exits 1 and lists every breach.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

DETERMINISTIC = [
    r"<thread>", r"<mutex>", r"<atomic>", r"<condition_variable>", r"<random>", r"<unordered_\w+>",
    r"flat_hash_\w+", r"\bsystem_clock\b", r"\bsteady_clock\b", r"std::random_device", r"\bgetenv\b",
]
NO_GRPC = [r"<grpc", r"\bgrpc::"]
NO_ROCKSDB = [r"<rocksdb/", r"\brocksdb::"]
NO_PROTOBUF = [r"<google/protobuf", r"\.pb\.h"]
NO_SPDLOG = [r"<spdlog/"]
EVERYWHERE = [r"absl::Mutex", r"<ranges>", r"<format>", r"<source_location>", r"\bco_await\b",
              r"using namespace", r"sleep_for", r"\busleep\("]

# folder: (folders of ours it may include, patterns it must not contain)
ARROWS = {
    "server/base": ([], NO_GRPC + NO_ROCKSDB + NO_PROTOBUF),
    "storage/types": (["server/base"], NO_GRPC + NO_ROCKSDB + NO_PROTOBUF),
    "storage": (["server/base", "storage/types"], NO_GRPC + NO_ROCKSDB + NO_PROTOBUF),
    "storage/memory": (["server/base", "storage", "storage/types"],
                       NO_GRPC + NO_ROCKSDB + NO_PROTOBUF + DETERMINISTIC),
    "storage/rocksdb": (["server/base", "storage", "storage/types"], NO_GRPC + NO_PROTOBUF),
    "server/raft": (["server/base", "storage/types"],
                    NO_GRPC + NO_ROCKSDB + NO_PROTOBUF + NO_SPDLOG + DETERMINISTIC),
    "server/metadata": (["server/base", "kvorum/v1"],
                        NO_GRPC + NO_ROCKSDB + NO_SPDLOG + DETERMINISTIC),
    "server/controller": (["server/base", "server/metadata", "kvorum/v1"],
                          NO_GRPC + NO_ROCKSDB + NO_SPDLOG + DETERMINISTIC),
    "server/publish": (["server/base", "server/metadata", "kvorum/v1"],
                       NO_GRPC + NO_ROCKSDB + NO_SPDLOG + DETERMINISTIC),
    "server/node": (["server/base", "server/raft", "server/controller", "server/publish",
                     "server/metadata", "storage", "storage/types", "kvorum/v1"],
                    NO_GRPC + NO_ROCKSDB + NO_SPDLOG + DETERMINISTIC),
    "server/runtime": (["server/base", "server/node", "server/raft", "server/controller",
                        "server/publish", "storage", "storage/types", "kvorum/v1"],
                       NO_GRPC + NO_ROCKSDB + NO_SPDLOG),
    "server/rpc": (["server/base", "server/runtime", "server/node/ports.h",
                    "server/publish/subscriber_sink.h", "server/controller/commands.h",
                    "server/raft", "storage/types", "kvorum/v1", "google/rpc", "grpc/reflection/v1alpha"],
                   NO_ROCKSDB + NO_SPDLOG),
    "server/config": (["server/base"], NO_GRPC + NO_ROCKSDB + NO_PROTOBUF + NO_SPDLOG),
    "server/observability": (["server/base", "server/runtime", "server/node", "server/raft"],
                             NO_GRPC + NO_ROCKSDB),
    "server/cmd": (["server", "storage", "kvorum/v1"], []),
    "client": (["client", "kvorum/v1", "google/rpc"], NO_ROCKSDB + NO_SPDLOG + [r"<CLI/"]),
    "client/cli": (["client", "kvorum/v1", "google/rpc"], NO_ROCKSDB + NO_SPDLOG),
    "client/examples": (["client", "kvorum/v1", "google/rpc"], NO_ROCKSDB + NO_SPDLOG),
}

INCLUDE = re.compile(r'^\s*#include\s+"([^"]+)"', re.MULTILINE)


def folder_of(path):
    """The most specific folder of the table that holds `path`, or None."""
    parts = path.parent.parts
    for length in range(len(parts), 0, -1):
        folder = "/".join(parts[:length])
        if folder in ARROWS:
            return folder
    return None


def is_allowed(include, folder, allowed):
    owner = folder_of(pathlib.PurePath(include))
    if owner == folder or include.startswith(folder + "/") and owner in (folder, None):
        return True
    for target in allowed:
        if include == target:
            return True
        # "storage" allows storage/*.h, not the folders below it that have rows of their own.
        if include.startswith(target + "/") and (owner in (target, None) or target == "server"
                                                 or (target == "storage" and folder == "server/cmd")):
            return True
    return False


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


MUTANT_USE = re.compile(r"KVORUM_MUTANT\((\w+)\)")
MUTANT_TEXT = re.compile(r"(?<!#define )KVORUM_MUTANT\b")
MUTANTS_OPTION = re.compile(r"\bKVORUM_MUTANTS\b|\bIsSelectedMutant\b|\bSelectMutant\b")


def check_mutants():
    """Known bugs are compiled in by one option alone, and each has its row in the table."""
    breaches = []
    used = set()
    for top in ("server", "storage", "client"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".h", ".cc") or path.stem == "mutants":
                continue
            code = strip_comments(path.read_text())
            used.update(MUTANT_USE.findall(code))
            if MUTANTS_OPTION.search(code):
                breaches.append(f"{path.relative_to(ROOT)}: only KVORUM_MUTANT(name) may be asked")
            if len(MUTANT_USE.findall(code)) != len(MUTANT_TEXT.findall(code)):
                breaches.append(f"{path.relative_to(ROOT)}: KVORUM_MUTANT without a name")
    rows = (ROOT / "tests/sim/mutants.txt").read_text().splitlines()
    known = {row.split("|")[0].strip() for row in rows if row.strip() and not row.startswith("#")}
    breaches += [f"mutant {name} has no row in tests/sim/mutants.txt" for name in used - known]
    breaches += [f"tests/sim/mutants.txt: nothing asks for {name}" for name in known - used]
    return breaches


def main():
    breaches = check_mutants()
    for top in ("server", "storage", "client"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            relative = path.relative_to(ROOT)
            text = path.read_text()
            folder = folder_of(relative)
            if folder is None:
                if relative.as_posix() == "server/main.cc":
                    continue
                breaches.append(f"{relative}: its folder has no row in tests/tools/check_layers.py")
                continue
            allowed, forbidden = ARROWS[folder]
            for include in INCLUDE.findall(text):
                if include.startswith("absl/") or include.startswith("google/protobuf/"):
                    continue
                if not is_allowed(include, folder, allowed):
                    breaches.append(f"{relative}: {folder} may not include {include}")
            code = strip_comments(text)
            for pattern in forbidden + EVERYWHERE:
                if re.search(pattern, code):
                    breaches.append(f"{relative}: {folder} must not mention {pattern}")
            if "#pragma once" not in text and path.suffix == ".h":
                breaches.append(f"{relative}: a header without #pragma once")
    for breach in breaches:
        print(breach)
    print(f"{len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
