#include "storage/rocksdb/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/convenience.h>
#include <unistd.h>

#include <utility>

#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "storage/log_verifier.h"
#include "storage/rocksdb/status_convert.h"

namespace kvorum {
namespace {

bool IsLockConflict(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return status.IsIOError() && (text.find("While lock file") != std::string::npos ||
                                text.find("lock hold by current process") != std::string::npos);
}

absl::Status InUse(const std::string& directory, const std::string& details) {
  return absl::FailedPreconditionError(
      fmt::format("{} is in use by another process: only one kvorumd may run on a data directory "
                  "({})",
                  directory, details));
}

// Somebody who writes holds RocksDB's lock. Asked without taking it, which would be a write.
absl::Status CheckNobodyWrites(const std::string& directory) {
  const int fd = ::open((directory + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return absl::OkStatus();  // a copy may lack it
  }
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool is_held = ::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  return is_held ? InUse(directory, fmt::format("process {}", lock.l_pid)) : absl::OkStatus();
}

absl::Status OpenError(const rocksdb::Status& status, const std::string& directory) {
  if (IsLockConflict(status)) {
    return InUse(directory, status.ToString());
  }
  if (status.IsInvalidArgument() && status.ToString().find("does not exist") != std::string::npos) {
    return absl::NotFoundError(
        fmt::format("{} holds no database although the data directory is formatted: its disk is "
                    "not mounted, or the directory was removed. If it can't be brought back, "
                    "replace this voter by one on a newly formatted directory ({})",
                    directory, status.ToString()));
  }
  const absl::Status error = FromRocksDb(status, fmt::format("open {}", directory));
  return status.IsCorruption() ? WithRemedy(error) : error;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& directory,
                                                         const rocksdb::DBOptions& options,
                                                         const std::vector<Family>& families) {
  return OpenAs(/*read_only=*/false, directory, options, families);
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenReadOnly(
    const std::string& directory, const rocksdb::DBOptions& options,
    const std::vector<Family>& families) {
  KVORUM_RETURN_IF_ERROR(CheckNobodyWrites(directory));
  return OpenAs(/*read_only=*/true, directory, options, families);
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenAs(bool read_only,
                                                           const std::string& directory,
                                                           const rocksdb::DBOptions& options,
                                                           const std::vector<Family>& families) {
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const Family& family : families) {
    descriptors.emplace_back(family.name, family.options);
  }
  std::unique_ptr<Database> database(new Database(directory, read_only));
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      read_only
          ? rocksdb::DB::OpenForReadOnly(options, directory, descriptors, &database->handles_, &db)
          : rocksdb::DB::Open(options, directory, descriptors, &database->handles_, &db);
  if (!status.ok()) {
    return OpenError(status, directory);
  }
  database->db_.reset(db);
  return database;
}

Database::~Database() {
  if (db_ == nullptr) {
    return;
  }
  rocksdb::CancelAllBackgroundWork(db_.get(), /*wait=*/true);
  for (rocksdb::ColumnFamilyHandle* handle : handles_) {
    db_->DestroyColumnFamilyHandle(handle);  // a handle that outlives its DB aborts the process
  }
  if (const rocksdb::Status status = db_->Close(); !status.ok() && !is_read_only_) {
    // Nothing is lost: whatever was acknowledged had been synced.
    LogWarning("storage", "closing {} failed: {}", directory_, status.ToString());
  }
}

}  // namespace kvorum
