#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "server/cmd/exit_codes.h"
#include "server/cmd/offline_replica.h"
#include "server/cmd/recover.h"
#include "storage/log_verifier.h"

namespace kvorum {
namespace {

// The order of logs (consensus.md §1.4): the greater of two holds whatever was committed in either.
std::pair<Epoch, Offset> LogOrder(const OfflineReplica& replica) {
  const BatchEnd end = EndOf(replica.state());
  return {end.epoch, end.end_offset};
}

// The chain hash of the log below `offset`; nullopt if no batch here ends there.
std::optional<uint64_t> ChainAt(const RecoveredState& state, Offset offset) {
  if (offset == state.log_start_offset) {
    return state.chain_at_start;
  }
  for (const BatchEnd& end : state.batch_ends) {
    if (end.end_offset == offset) {
      return end.chain_hash;
    }
  }
  return std::nullopt;
}

std::string NameOf(const OfflineReplica& replica) {
  return fmt::format("{} (node {})", replica.data_dir(), replica.properties().node_id);
}

class Inspection {
 public:
  explicit Inspection(std::vector<OfflineReplica> replicas) : replicas_(std::move(replicas)) {
    std::stable_sort(replicas_.begin(), replicas_.end(),
                     [](const OfflineReplica& a, const OfflineReplica& b) {
                       // A quarantined one may lack what it had promised: never before the others.
                       return std::tuple(!a.state().quarantine.has_value(), LogOrder(a)) >
                              std::tuple(!b.state().quarantine.has_value(), LogOrder(b));
                     });
  }

  v1::RecoveryReport Report() const {
    v1::RecoveryReport report;
    for (const OfflineReplica& replica : replicas_) {
      *report.add_directories() = replica.Describe();
    }
    if (replicas_.empty()) {
      return report;
    }
    report.set_best_data_dir(best().data_dir());
    FindForeign(report);
    CountVoters(report);
    FindTails(report);
    FindOddities(report);
    return report;
  }

 private:
  const OfflineReplica& best() const { return replicas_.front(); }

  bool IsOfBestCluster(const OfflineReplica& replica) const {
    return replica.properties().cluster_id == best().properties().cluster_id &&
           replica.properties().generation == best().properties().generation;
  }

  void FindForeign(v1::RecoveryReport& report) const {
    for (const OfflineReplica& replica : replicas_) {
      if (!IsOfBestCluster(replica)) {
        report.add_findings(fmt::format(
            "{} belongs to generation {} of cluster {}, the best log to generation {} of {}: it "
            "cannot be compared; leave it out",
            NameOf(replica), HexText(replica.properties().generation),
            replica.properties().cluster_id, HexText(best().properties().generation),
            best().properties().cluster_id));
      }
    }
  }

  void CountVoters(v1::RecoveryReport& report) const {
    const raft::VoterSet voters = best().Voters();
    std::set<ReplicaKey> sound;
    for (const OfflineReplica& replica : replicas_) {
      if (IsOfBestCluster(replica) && !replica.state().quarantine.has_value()) {
        sound.insert({replica.properties().node_id, replica.properties().directory_id});
      }
    }
    std::string missing;
    for (const auto& [id, voter] : voters.voters()) {
      if (!sound.contains(voter.key)) {
        report.add_missing_voters(id.value());
        missing += fmt::format("{}{}", missing.empty() ? "" : ", ", id);
      }
    }
    const size_t missing_count = static_cast<size_t>(report.missing_voters_size());
    report.set_voter_count(static_cast<int32_t>(voters.size()));
    report.set_has_quorum(voters.size() - missing_count >= voters.majority());
    report.set_may_lose_committed(missing_count >= voters.majority());
    if (report.has_quorum()) {
      report.add_findings(
          fmt::format("{} of {} voters are here: that is a majority. Start them; nothing needs to "
                      "be recovered, "
                      "and nothing is lost",
                      voters.size() - missing_count, voters.size()));
    } else if (report.may_lose_committed()) {
      report.add_findings(fmt::format(
          "the missing voters ({}) are a majority by themselves: they alone may have committed and "
          "acknowledged records at and above offset {}, and these are lost with them",
          missing, EndOf(best().state()).end_offset));
    } else {
      report.add_findings(fmt::format(
          "the missing voters ({}) are no majority by themselves: every committed record is in the "
          "best log, but without them nobody can be elected",
          missing));
    }
  }

  // What the others have and the best has not.
  void FindTails(v1::RecoveryReport& report) const {
    const Offset committed = best().CommittedAtLeast();
    const Offset end = EndOf(best().state()).end_offset;
    if (committed < end) {
      report.add_findings(
          fmt::format("of the best log everything below offset {} was committed for certain; what "
                      "follows, up to {}, may or may not have been, and will be",
                      committed, end));
    }
    for (const OfflineReplica& replica : replicas_) {
      if (&replica == &best() || !IsOfBestCluster(replica)) {
        continue;
      }
      const BatchEnd its_end = EndOf(replica.state());
      const bool is_contained = its_end.end_offset < best().state().log_start_offset ||
                                ChainAt(best().state(), its_end.end_offset) == its_end.chain_hash;
      if (!is_contained) {
        report.add_findings(fmt::format(
            "{} ends at offset {} in epoch {} with records that the best log does not hold: they "
            "were never committed, or are lost with a quarantined replica",
            NameOf(replica), its_end.end_offset, its_end.epoch));
      }
    }
  }

  void FindOddities(v1::RecoveryReport& report) const {
    for (const OfflineReplica& replica : replicas_) {
      if (replica.state().quarantine.has_value()) {
        report.add_findings(fmt::format("{} is quarantined: {}", NameOf(replica),
                                        replica.state().quarantine->reason));
      }
      if (replica.properties().recovering_from.has_value()) {
        report.add_findings(fmt::format("{}: `recover apply` began and did not end; run it again",
                                        NameOf(replica)));
      }
    }
    if (!best().Voters().Contains(
            {best().properties().node_id, best().properties().directory_id})) {
      report.add_findings(
          fmt::format("{} was no voter at the end of its log, but an observer", NameOf(best())));
    }
  }

  std::vector<OfflineReplica> replicas_;  // the best first
};

void PrintText(const v1::RecoveryReport& report) {
  for (const v1::DirectoryState& state : report.directories()) {
    std::string voters;
    for (const v1::Voter& voter : state.voters().voters()) {
      voters += fmt::format("{}{}", voters.empty() ? "" : ",", voter.node_id());
    }
    std::string snapshots;
    for (const v1::SnapshotState& snapshot : state.snapshots()) {
      snapshots += fmt::format(" {}", snapshot.end_offset());
    }
    fmt::print("{}{}\n", state.data_dir(),
               state.data_dir() == report.best_data_dir() ? "  <- best log" : "");
    fmt::print("  node {} directory {} of cluster {} generation {}\n", state.node_id(),
               state.directory_id(), state.cluster_id(), state.generation());
    fmt::print("  log {} to {}, last epoch {}; quorum epoch {}\n", state.log_start_offset(),
               state.log_end_offset(), state.log_end_epoch(), state.epoch());
    fmt::print("  committed for certain below {}; snapshots that end at{}; voters {}{}\n",
               state.committed_at_least(), snapshots.empty() ? " none" : snapshots, voters,
               state.quarantine().empty() ? "" : "; QUARANTINED");
  }
  for (const std::string& text : report.unreadable()) {
    fmt::print("unusable: {}\n", text);
  }
  for (const std::string& text : report.findings()) {
    fmt::print("* {}\n", text);
  }
  if (!report.best_data_dir().empty() && !report.has_quorum()) {
    fmt::print(
        "\nBefore anything else: copy every surviving directory. If the missing voters can come "
        "back, bring them back instead.\nTo go on without them:\n"
        "  kvorumd recover apply --data-dir {} --yes-lose-data\n",
        report.best_data_dir());
  }
}

}  // namespace

v1::RecoveryReport InspectDirectories(const std::vector<std::string>& data_dirs) {
  std::vector<OfflineReplica> replicas;
  std::vector<std::string> unreadable;
  for (const std::string& data_dir : data_dirs) {
    absl::StatusOr<OfflineReplica> replica = OfflineReplica::Open(data_dir);
    if (replica.ok()) {
      replicas.push_back(*std::move(replica));
    } else {
      unreadable.push_back(
          fmt::format("{}: {}", data_dir, std::string(replica.status().message())));
    }
  }
  v1::RecoveryReport report = Inspection(std::move(replicas)).Report();
  for (std::string& text : unreadable) {
    report.add_unreadable(std::move(text));
  }
  return report;
}

int RecoverInspect(const RecoverInspectOptions& options) {
  const v1::RecoveryReport report = InspectDirectories(options.data_dirs);
  if (options.json) {
    PrintJsonLine(report);
  } else {
    PrintText(report);
  }
  return report.best_data_dir().empty() ? kExitStorageFailed : kExitOk;
}

}  // namespace kvorum
