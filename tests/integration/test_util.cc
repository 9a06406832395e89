#include "tests/integration/test_util.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <numeric>
#include <utility>

namespace kvorum::testing {
namespace {

constexpr milliseconds kPollInterval{5};

}  // namespace

bool Eventually(const std::function<bool()>& predicate, milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::mutex mutex;
  std::condition_variable nobody;
  std::unique_lock lock(mutex);
  while (!predicate()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return false;
    }
    nobody.wait_for(lock, kPollInterval);
  }
  return true;
}

ClusterOptions QuietOptions() {
  ClusterOptions options;
  options.run_flags = {"--metadata-max-idle-interval-ms", "0"};
  return options;
}

std::optional<CommonState> AwaitConvergence(Cluster& cluster, std::vector<int> indexes) {
  if (indexes.empty()) {
    indexes.resize(static_cast<size_t>(cluster.size()));
    std::iota(indexes.begin(), indexes.end(), 0);
  }
  std::optional<CommonState> common;
  const bool converged = Eventually([&] {
    common.reset();
    for (const int index : indexes) {
      const std::optional<v1::DescribeQuorumResponse> answer = cluster.Describe(index);
      if (!answer.has_value() || answer->header().leader_id() < 0) {
        return false;
      }
      const CommonState state{answer->state_hash(), answer->header().applied().offset(),
                              answer->header().leader_epoch()};
      if (!common.has_value()) {
        common = state;
      } else if (common->state_hash != state.state_hash || common->applied != state.applied ||
                 common->leader_epoch != state.leader_epoch) {
        return false;
      }
    }
    return true;
  });
  if (!converged) {
    for (const int index : indexes) {
      const std::optional<v1::DescribeQuorumResponse> answer = cluster.Describe(index);
      ADD_FAILURE() << "controller " << index + 1 << ": "
                    << (answer.has_value() ? answer->ShortDebugString() : "no answer") << "\n"
                    << cluster.ReadLog(index);
    }
  }
  return converged ? common : std::nullopt;
}

v1::PutEntryRequest MakePut(std::string_view key, std::string_view value) {
  v1::PutEntryRequest request;
  request.set_key(std::string(key));
  request.set_value(std::string(value));
  return request;
}

client::Result<v1::PutEntryResponse> PutUntilAcknowledged(client::ControllerClient& client,
                                                          std::string_view key,
                                                          std::string_view value) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  auto answer = client.PutEntry(MakePut(key, value));
  while (!answer.ok() && std::chrono::steady_clock::now() < deadline) {
    answer = client.PutEntry(MakePut(key, value));
  }
  return answer;
}

Entries ListAll(client::ControllerClient& client) {
  Entries entries;
  v1::ListEntriesRequest request;
  request.mutable_page()->set_page_size(10'000);
  do {
    const auto page = client.ListEntries(request);
    if (!page.ok()) {
      ADD_FAILURE() << "list: " << client::ToText(page.error());
      return entries;
    }
    for (const v1::Entry& entry : page->entries()) {
      entries[entry.key()] = entry.value();
    }
    request.mutable_page()->set_page_token(page->page().next_page_token());
  } while (!request.page().page_token().empty());
  return entries;
}

WriteLoad::WriteLoad(const Cluster& cluster, int threads, std::string prefix)
    : prefix_(std::move(prefix)) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, i, client = cluster.MakeClient(milliseconds(3000))]() mutable {
      Run(i, std::move(client));
    });
  }
}

WriteLoad::~WriteLoad() { Stop(); }

void WriteLoad::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
}

void WriteLoad::Run(int thread, std::unique_ptr<client::ControllerClient> client) {
  for (int64_t n = 0;; ++n) {
    const std::string key = fmt::format("{}{}/{:06}", prefix_, thread, n);
    const std::string value = fmt::format("value {}", n);
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) {
        return;
      }
    }
    const auto answer = client->PutEntry(MakePut(key, value));
    const std::lock_guard lock(mutex_);
    if (answer.ok()) {
      acknowledged_.emplace(key, value);
      NoteProgress();
    } else if (answer.error().outcome != client::Outcome::kNotExecuted) {
      unknown_.insert(key);
    }
  }
}

void WriteLoad::NoteProgress() {
  const auto now = std::chrono::steady_clock::now();
  longest_gap_ =
      std::max(longest_gap_, std::chrono::duration_cast<milliseconds>(now - last_acknowledged_));
  last_acknowledged_ = now;
}

milliseconds WriteLoad::TakeLongestGap() {
  const std::lock_guard lock(mutex_);
  NoteProgress();
  return std::exchange(longest_gap_, milliseconds(0));
}

int64_t WriteLoad::acknowledged_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(acknowledged_.size());
}

bool WriteLoad::AwaitMore(int64_t count, milliseconds timeout) const {
  const int64_t wanted = acknowledged_count() + count;
  return Eventually([&] { return acknowledged_count() >= wanted; }, timeout);
}

Entries WriteLoad::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

std::set<std::string> WriteLoad::unknown() const {
  const std::lock_guard lock(mutex_);
  return unknown_;
}

void ExpectAllThere(const Entries& acknowledged, const Entries& entries) {
  for (const auto& [key, value] : acknowledged) {
    const auto found = entries.find(key);
    if (found == entries.end()) {
      ADD_FAILURE() << "acknowledged but lost: " << key;
    } else {
      EXPECT_EQ(found->second, value) << key;
    }
  }
}

void ExpectHolds(const Entries& entries, const WriteLoad& load, std::string_view prefix) {
  const Entries acknowledged = load.acknowledged();
  const std::set<std::string> unknown = load.unknown();
  EXPECT_FALSE(acknowledged.empty());
  ExpectAllThere(acknowledged, entries);
  for (const auto& [key, value] : entries) {
    EXPECT_TRUE(!key.starts_with(prefix) || acknowledged.contains(key) || unknown.contains(key))
        << "refused but there: " << key;
  }
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

bool Contains(std::string_view text, std::string_view part) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

}  // namespace kvorum::testing
