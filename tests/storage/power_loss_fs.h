#pragma once

#include <rocksdb/file_system.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/base/random.h"

namespace kvorum::testing {

// A file system below a real directory that knows what a power loss would leave: only synced bytes
// are sure to survive, and only names whose directory was synced (POSIX promises no more). Files
// are written through, so RocksDB works on the real directory; the model beside them is what
// counts. Nothing is really synced, so it is quick. Any thread.
class PowerLossFs : public rocksdb::FileSystemWrapper {
 public:
  // Everything that exists below `directory` counts as durable.
  explicit PowerLossFs(const std::string& directory);

  const char* Name() const override { return "PowerLossFs"; }

  // The power goes off at the `operations`-th change of the disk from now, before its effect.
  // Whatever RocksDB does afterwards seems to work and leaves no trace.
  void CutPowerAfter(uint64_t operations);
  void CutPower() { CutPowerAfter(0); }
  bool power_is_off() const;

  // Writes what the disk holds after the power loss into the empty directory `target`: of unsynced
  // bytes and unsynced names a prefix, drawn from `random`, may survive.
  void WriteSurvivors(const std::string& target, Random& random) const;

  // From now on syncs are reported done and are not: the disk lies.
  void Lie() { lying_ = true; }
  // From now on syncs (appends) of files whose name ends in `suffix` fail.
  void FailSyncsOf(const std::string& suffix);
  void FailAppendsTo(const std::string& suffix);

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  friend class TrackedFile;
  friend class TrackedDirectory;

  struct Inode {
    std::string data;
    size_t synced_bytes = 0;
  };
  using InodePtr = std::shared_ptr<Inode>;
  using Names = std::map<std::string, InodePtr>;

  // A change of names that its directory's sync has not covered yet.
  struct NameChange {
    std::string removed;  // empty: none
    std::string added;    // empty: none
    InodePtr inode;       // of `added`
  };

  static void Apply(const NameChange& change, Names& names);

  // Counts one change of the disk. False if the power is off.
  bool HasPower();
  void Record(const NameChange& change);
  void Append(const InodePtr& inode, const rocksdb::Slice& data);
  void Truncate(const InodePtr& inode, size_t size);
  void Sync(const InodePtr& inode, size_t bytes);
  void SyncDirectory(const std::string& path);
  size_t SizeOf(const InodePtr& inode) const;

  rocksdb::IOStatus Fault(const std::string& path, const std::string& suffix) const;
  rocksdb::IOStatus SyncFault(const std::string& path) const;
  rocksdb::IOStatus AppendFault(const std::string& path) const;

  const std::string directory_;
  mutable std::mutex mutex_;
  Names current_;
  Names durable_;
  std::map<std::string, std::vector<NameChange>> unsynced_names_;  // by directory
  std::optional<uint64_t> operations_left_;                        // none: no power loss planned
  bool power_is_off_ = false;
  bool lying_ = false;
  std::string failing_syncs_;  // suffix; empty: none
  std::string failing_appends_;
};

}  // namespace kvorum::testing
