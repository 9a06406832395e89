#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/guard_state.h"

namespace kvorum {

inline constexpr int kGuardSlots = 2;
inline constexpr size_t kGuardSlotBytes = 4096;  // of a slot's file, always: no size ever changes

// Where a guard's two slots are stored.
class GuardSlots {
 public:
  virtual ~GuardSlots() = default;
  virtual absl::StatusOr<std::string> Read(int slot) = 0;  // NotFound if it was never written
  // Durable when it returns. Creates the slot if there is none.
  virtual absl::Status Write(int slot, std::string_view bytes) = 0;
};

// The slots of a data directory: the files guard.0 and guard.1.
std::string GuardPath(const std::string& data_dir, int slot);
std::unique_ptr<GuardSlots> MakeGuardSlots(const std::string& data_dir);

// The guard of a data directory, written to its two slots in turn, each with a sequence number and
// a checksum: a write that is cut off, or a slot that is damaged, leaves the other one. That one
// may be one write older, which is as safe: what it lacks is in the database. Blocking; one thread
// at a time.
class GuardFile {
 public:
  // Writes both slots of a new directory. AlreadyExists if there is a guard with promises.
  static absl::Status Create(GuardSlots& slots, const GuardState& guard);

  // Reads the newer sound slot. FailedPrecondition, saying what to do, if there is none or if it
  // belongs to another directory than `replica`'s.
  static absl::StatusOr<std::unique_ptr<GuardFile>> Open(std::unique_ptr<GuardSlots> slots,
                                                         const std::string& cluster_id,
                                                         const ReplicaKey& replica);

  const GuardState& state() const { return state_; }

  // Makes `state` durable. Nothing is written if it is what is there.
  absl::Status Write(const GuardState& state);

  // Writes what is there into the other slot too: at a start and at an orderly stop, so that
  // between them no single damaged slot takes knowledge with it.
  absl::Status Duplicate() { return WriteNext(state_); }

 private:
  absl::Status WriteNext(const GuardState& state);

  explicit GuardFile(std::unique_ptr<GuardSlots> slots) : slots_(std::move(slots)) {}

  std::unique_ptr<GuardSlots> slots_;
  GuardState state_;
  uint64_t sequence_ = 0;  // of state_; its slot is sequence_ % kGuardSlots
};

}  // namespace kvorum
