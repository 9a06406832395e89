#pragma once

#include <rocksdb/db.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/rocksdb/options.h"

namespace kvorum {

// An open RocksDB and its families, closed in the order RocksDB wants. Owned by RocksDbStorage.
class Database {
 public:
  struct Family {
    const char* name;
    rocksdb::ColumnFamilyOptions options;
  };

  // FailedPrecondition if another process has it open, NotFound if it does not exist, DataLoss /
  // CORRUPT_LOG if it is damaged; each says what to do.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& directory,
                                                        const rocksdb::DBOptions& options,
                                                        const std::vector<Family>& families);
  // The same without writing anything. What the write-ahead log holds is replayed into memory.
  static absl::StatusOr<std::unique_ptr<Database>> OpenReadOnly(
      const std::string& directory, const rocksdb::DBOptions& options,
      const std::vector<Family>& families);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  rocksdb::DB* db() const { return db_.get(); }
  rocksdb::ColumnFamilyHandle* family(size_t index) const { return handles_[index]; }

 private:
  Database(std::string directory, bool read_only)
      : directory_(std::move(directory)), is_read_only_(read_only) {}

  static absl::StatusOr<std::unique_ptr<Database>> OpenAs(bool read_only,
                                                          const std::string& directory,
                                                          const rocksdb::DBOptions& options,
                                                          const std::vector<Family>& families);

  const std::string directory_;
  const bool is_read_only_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

inline std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }
inline rocksdb::Slice ToSlice(std::string_view view) { return {view.data(), view.size()}; }

}  // namespace kvorum
