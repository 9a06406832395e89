#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kvorum/v1/stream.pb.h"
#include "server/base/random.h"
#include "tests/sim/checkers/client_checker.h"
#include "tests/sim/checkers/filtered_stream_checker.h"
#include "tests/sim/checkers/model_checker.h"
#include "tests/sim/controller_finder.h"
#include "tests/sim/sim_stream.h"
#include "tests/sim/world.h"

namespace kvorum::sim {

// Who follows a part of the metadata: by kind, by topic, by what a broker hosts, by several of
// them, sometimes everything; of any controller, or of the leader only. Brings its own faults: cuts
// its stream or its paths, reads slowly, asks for something else, forgets what it has; and it has
// partitions moved, to the broker whose it follows and away. What it draws is drawn apart, so that
// a seed without one is the run that it was. Owned by the simulation.
class FilteredSubscriber : public SimStream::Reader {
 public:
  FilteredSubscriber(World& world, ClientChecker& clients, ModelChecker& model, int number,
                     Random random);

  void Start();
  // From now on it brings no faults of its own.
  void Calm();

  int actor() const;
  Offset applied_end() const;
  std::optional<BookmarkCount> bookmarks() const;  // of the stream that is open

  // SimStream::Reader.
  void OnStreamMessage(const std::string& bytes) override;
  void OnStreamEnd(const absl::Status& status) override;

 private:
  void Later(Duration delay, void (FilteredSubscriber::*task)());
  void Act();
  void CutPaths();
  void MendPaths();
  void MovePartition();
  void CheckServer(const v1::MetadataUpdate& update) const;
  void Watch();
  void Subscribe();
  void EndStream();
  v1::SubscribeRequest DrawRequest();
  void DrawTopics(v1::SubscribeFilter& filter);

  World& world_;
  ClientChecker& clients_;
  ModelChecker& model_;  // knows every move of partitions
  int number_;
  std::string name_;
  Random random_;
  ControllerFinder finder_;
  bool is_calm_ = false;
  v1::SubscribeRequest request_;  // what it wants; where it goes on is added
  FilteredStreamChecker::Held held_;
  std::shared_ptr<SimStream> stream_;
  std::optional<FilteredStreamChecker> checker_;
  std::optional<NodeId> hint_;
  TimePoint last_message_{};
  Duration read_delay_{};
};

}  // namespace kvorum::sim
