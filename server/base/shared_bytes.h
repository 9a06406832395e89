#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

namespace kvorum {

// A number of bytes in one piece of memory with the count of who shares them. Copies are O(1). They
// may be written while there is one copy only. Owned by value. Copies may live on different
// threads, since the count is atomic and shared bytes never change; one copy is used by one thread
// at a time, or read-only.
class SharedBytes {
 public:
  SharedBytes() = default;  // none
  // To be written at once: they are not set to anything.
  explicit SharedBytes(size_t size)
      : header_(new (::operator new(sizeof(Header) + size))
                    Header{.size = static_cast<uint32_t>(size)}) {}
  SharedBytes(const SharedBytes& other) : header_(other.header_) {
    if (header_ != nullptr) {
      header_->holders.fetch_add(1, std::memory_order_relaxed);
    }
  }
  SharedBytes(SharedBytes&& other) noexcept : header_(std::exchange(other.header_, nullptr)) {}
  SharedBytes& operator=(SharedBytes other) noexcept {
    std::swap(header_, other.header_);
    return *this;
  }
  ~SharedBytes() {
    // The last holder must see what the others did before they let go.
    if (header_ != nullptr && header_->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      header_->~Header();
      ::operator delete(header_);
    }
  }

  std::string_view view() const {
    return header_ == nullptr ? std::string_view()
                              : std::string_view(reinterpret_cast<const char*>(header_ + 1),
                                                 size_t{header_->size});
  }

  // True if nobody else holds these bytes. Acquire pairs with the destructor: another thread may
  // have let go of its copy just now.
  bool is_only_copy() const {
    return header_ != nullptr && header_->holders.load(std::memory_order_acquire) == 1;
  }
  // REQUIRES: is_only_copy().
  char* mutable_data() { return reinterpret_cast<char*>(header_ + 1); }

 private:
  struct Header {
    std::atomic<uint32_t> holders{1};
    uint32_t size = 0;
  };

  Header* header_ = nullptr;
};

}  // namespace kvorum
