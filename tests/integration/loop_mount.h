#pragma once

#include <optional>
#include <string>

namespace kvorum::testing {

// A file system of its own in a sparse file, mounted through a loop device, whose power can be cut.
// Needs root. Owned by a test; one thread. Unmounted when destroyed.
class LoopMount {
 public:
  // Makes the file `base`.img and mounts it at the directory `base`. `type`: ext4 or xfs.
  LoopMount(std::string type, std::string base);
  ~LoopMount();
  LoopMount(const LoopMount&) = delete;
  LoopMount& operator=(const LoopMount&) = delete;

  const std::string& path() const { return base_; }

  // Everything that was not synced is lost and every call on an open file fails from now on, as
  // after a power cut (the shutdown ioctl that ext4 and xfs share, without flushing the journal).
  // Who is in the middle of an fsync must be stopped before: it could return OK and be lost.
  void CutPower();
  // Mounts it anew: replays the journal. Nobody may have a file open.
  void Remount();

 private:
  void Mount();
  void Unmount();

  const std::string type_;
  const std::string base_;
};

// Why LoopMounts cannot be made here; nullopt if they can. From then on mounts of this process are
// invisible to others and go away with it.
std::optional<std::string> WhyNoLoopMounts();

}  // namespace kvorum::testing
