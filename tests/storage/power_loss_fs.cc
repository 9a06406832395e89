#include "tests/storage/power_loss_fs.h"

#include <filesystem>
#include <set>
#include <utility>

#include "server/base/check.h"
#include "tests/storage/storage_test_util.h"

namespace kvorum::testing {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

std::string Normal(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().string();
}

std::string ParentOf(const std::string& path) {
  std::string normal = Normal(path);
  while (normal.ends_with('/')) {
    normal.pop_back();
  }
  return std::filesystem::path(normal).parent_path().string();
}

}  // namespace

// A file of RocksDB's whose bytes the model follows.
class TrackedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  TrackedFile(PowerLossFs& fs, std::string path, PowerLossFs::InodePtr inode,
              std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)),
        fs_(fs),
        path_(std::move(path)),
        inode_(std::move(inode)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    if (IOStatus fault = fs_.AppendFault(path_); !fault.ok()) {
      return fault;
    }
    fs_.Append(inode_, data);
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    fs_.Truncate(inode_, size);
    return FSWritableFileOwnerWrapper::Truncate(size, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    if (IOStatus fault = fs_.SyncFault(path_); !fault.ok()) {
      return fault;
    }
    const size_t bytes = fs_.SizeOf(inode_);
    IOStatus status = Flush(options, debug);
    fs_.Sync(inode_, bytes);
    return status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();  // starts writing back, promises nothing
  }

 private:
  PowerLossFs& fs_;
  const std::string path_;
  const PowerLossFs::InodePtr inode_;
};

class TrackedDirectory : public rocksdb::FSDirectory {
 public:
  TrackedDirectory(PowerLossFs& fs, std::string path) : fs_(fs), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    fs_.SyncDirectory(path_);
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  PowerLossFs& fs_;
  const std::string path_;
};

PowerLossFs::PowerLossFs(const std::string& directory)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), directory_(Normal(directory)) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
    if (entry.is_regular_file()) {
      auto inode = std::make_shared<Inode>();
      inode->data = ReadFile(entry.path());
      inode->synced_bytes = inode->data.size();
      durable_[Normal(entry.path().string())] = inode;
    }
  }
  current_ = durable_;
}

void PowerLossFs::CutPowerAfter(uint64_t operations) {
  const std::lock_guard lock(mutex_);
  operations_left_ = operations;
  power_is_off_ = operations == 0;
}

bool PowerLossFs::power_is_off() const {
  const std::lock_guard lock(mutex_);
  return power_is_off_;
}

void PowerLossFs::FailSyncsOf(const std::string& suffix) {
  const std::lock_guard lock(mutex_);
  failing_syncs_ = suffix;
}

void PowerLossFs::FailAppendsTo(const std::string& suffix) {
  const std::lock_guard lock(mutex_);
  failing_appends_ = suffix;
}

IOStatus PowerLossFs::Fault(const std::string& path, const std::string& suffix) const {
  return !suffix.empty() && path.ends_with(suffix) ? IOStatus::IOError("injected fault", path)
                                                   : IOStatus::OK();
}

IOStatus PowerLossFs::SyncFault(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return Fault(path, failing_syncs_);
}

IOStatus PowerLossFs::AppendFault(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return Fault(path, failing_appends_);
}

bool PowerLossFs::HasPower() {
  if (operations_left_.has_value() && !power_is_off_) {
    --*operations_left_;
    power_is_off_ = *operations_left_ == 0;
  }
  return !power_is_off_;
}

void PowerLossFs::Apply(const NameChange& change, Names& names) {
  if (!change.removed.empty()) {
    names.erase(change.removed);
  }
  if (!change.added.empty()) {
    names[change.added] = change.inode;
  }
}

void PowerLossFs::Record(const NameChange& change) {
  if (HasPower()) {
    Apply(change, current_);
    unsynced_names_[ParentOf(change.added.empty() ? change.removed : change.added)].push_back(
        change);
  }
}

void PowerLossFs::Append(const InodePtr& inode, const Slice& data) {
  const std::lock_guard lock(mutex_);
  if (HasPower()) {
    inode->data.append(data.data(), data.size());
  }
}

void PowerLossFs::Truncate(const InodePtr& inode, size_t size) {
  const std::lock_guard lock(mutex_);
  if (HasPower() && size < inode->data.size()) {
    inode->data.resize(size);
    inode->synced_bytes = std::min(inode->synced_bytes, size);
  }
}

size_t PowerLossFs::SizeOf(const InodePtr& inode) const {
  const std::lock_guard lock(mutex_);
  return inode->data.size();
}

void PowerLossFs::Sync(const InodePtr& inode, size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (HasPower() && !lying_) {
    inode->synced_bytes = std::max(inode->synced_bytes, std::min(bytes, inode->data.size()));
  }
}

void PowerLossFs::SyncDirectory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::string normal = Normal(path);
  while (normal.ends_with('/')) {
    normal.pop_back();
  }
  if (HasPower() && !lying_) {
    for (const NameChange& change : unsynced_names_[normal]) {
      Apply(change, durable_);
    }
    unsynced_names_[normal].clear();
  }
}

IOStatus PowerLossFs::NewWritableFile(const std::string& path, const FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      IODebugContext* debug) {
  IOStatus status = FileSystemWrapper::NewWritableFile(path, options, result, debug);
  if (status.ok()) {
    const std::lock_guard lock(mutex_);
    const auto inode = std::make_shared<Inode>();
    Record({.removed = {}, .added = Normal(path), .inode = inode});
    *result = std::make_unique<TrackedFile>(*this, path, inode, std::move(*result));
  }
  return status;
}

IOStatus PowerLossFs::ReopenWritableFile(const std::string& path, const FileOptions& options,
                                         std::unique_ptr<rocksdb::FSWritableFile>* result,
                                         IODebugContext* debug) {
  IOStatus status = FileSystemWrapper::ReopenWritableFile(path, options, result, debug);
  if (status.ok()) {
    const std::lock_guard lock(mutex_);
    auto known = current_.find(Normal(path));
    if (known == current_.end()) {
      Record({.removed = {}, .added = Normal(path), .inode = std::make_shared<Inode>()});
      known = current_.find(Normal(path));
    }
    const InodePtr inode = known == current_.end() ? std::make_shared<Inode>() : known->second;
    *result = std::make_unique<TrackedFile>(*this, path, inode, std::move(*result));
  }
  return status;
}

IOStatus PowerLossFs::ReuseWritableFile(const std::string& path, const std::string& old_path,
                                        const FileOptions&,
                                        std::unique_ptr<rocksdb::FSWritableFile>*,
                                        IODebugContext*) {
  // Recycled files hold stale bytes, which this model does not know; the options forbid them.
  return IOStatus::NotSupported("reuse of " + old_path + " as " + path);
}

IOStatus PowerLossFs::NewDirectory(const std::string& path, const IOOptions&,
                                   std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) {
  *result = std::make_unique<TrackedDirectory>(*this, path);
  return IOStatus::OK();
}

IOStatus PowerLossFs::DeleteFile(const std::string& path, const IOOptions& options,
                                 IODebugContext* debug) {
  {
    const std::lock_guard lock(mutex_);
    if (current_.contains(Normal(path))) {
      Record({.removed = Normal(path), .added = {}, .inode = nullptr});
    }
  }
  return FileSystemWrapper::DeleteFile(path, options, debug);
}

IOStatus PowerLossFs::RenameFile(const std::string& from, const std::string& to,
                                 const IOOptions& options, IODebugContext* debug) {
  {
    const std::lock_guard lock(mutex_);
    // RocksDB's text logs are not followed.
    if (const auto known = current_.find(Normal(from)); known != current_.end()) {
      Record({.removed = Normal(from), .added = Normal(to), .inode = known->second});
    }
  }
  return FileSystemWrapper::RenameFile(from, to, options, debug);
}

void PowerLossFs::WriteSurvivors(const std::string& target, Random& random) const {
  const std::lock_guard lock(mutex_);
  KVORUM_CHECK(power_is_off_, "the power is still on");
  Names names = durable_;
  for (const auto& [directory, changes] : unsynced_names_) {
    // A journal keeps the order of a directory's changes.
    const uint64_t surviving = random.Below(changes.size() + 1);
    for (size_t i = 0; i < surviving; ++i) {
      Apply(changes[i], names);
    }
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
    if (entry.is_directory()) {
      std::filesystem::create_directories(std::filesystem::path(target) /
                                          entry.path().lexically_relative(directory_));
    }
  }
  for (const auto& [path, inode] : names) {
    const size_t unsynced = inode->data.size() - inode->synced_bytes;
    size_t surviving = 0;  // nothing, everything, or a part that may end inside a record
    switch (random.Below(3)) {
      case 0:
        break;
      case 1:
        surviving = unsynced;
        break;
      default:
        surviving = random.Below(unsynced + 1);
    }
    WriteFile(
        std::filesystem::path(target) / std::filesystem::path(path).lexically_relative(directory_),
        inode->data.substr(0, inode->synced_bytes + surviving));
  }
}

}  // namespace kvorum::testing
