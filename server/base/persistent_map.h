#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "server/base/check.h"

namespace kvorum {

// An ordered map whose copies are O(1) and share structure: a change to one copy clones the
// O(log n) nodes on its path (an AVL tree with path copying) and no other copy sees it. Nodes that
// nobody else holds are changed in place, so that building a large map is as fast as with a plain
// tree. Owned by value. Copies may live on different threads, since counts are atomic and shared
// nodes never change; one copy is used by one thread at a time, or read-only.
//
// A clone copies key and value: keep both cheap (hold large ones behind shared_ptr<const T>). A key
// may be a view into its own value, because Insert always replaces the two together.
//
// Ordered by <=>, also with other types of queries. One comparison per level, since in a large
// map each looks at memory that is in no cache.
template <typename Key, typename Value>
class PersistentMap {
  static constexpr size_t kMaxHeight = 48;  // an AVL tree of 2^32 entries is at most 46 high

  struct Node;

 public:
  struct Entry {
    Key key;
    [[no_unique_address]] Value value;
  };

  // Walks in key order. Valid while a copy of the map it came from lives unchanged.
  class const_iterator {
   public:
    const Entry& operator*() const { return Top()->entry; }
    const Entry* operator->() const { return &Top()->entry; }

    const_iterator& operator++() {
      const Node* node = Top();
      --depth_;
      PushLeftSpine(node->right);
      return *this;
    }

    friend bool operator==(const const_iterator& a, const const_iterator& b) {
      return (a.depth_ == 0 || b.depth_ == 0) ? a.depth_ == b.depth_ : a.Top() == b.Top();
    }

   private:
    friend class PersistentMap;

    const Node* Top() const { return stack_[depth_ - 1]; }
    void Push(const Node* node) {
      KVORUM_CHECK(depth_ < kMaxHeight, "tree is higher than {}", kMaxHeight);
      stack_[depth_++] = node;
    }
    void PushLeftSpine(const Node* node) {
      for (; node != nullptr; node = node->left) {
        Push(node);
      }
    }

    // Nodes whose left side is done, from the root down; the last is the current one.
    std::array<const Node*, kMaxHeight> stack_{};
    size_t depth_ = 0;
  };

  PersistentMap() = default;
  PersistentMap(const PersistentMap& other) : root_(Share(other.root_)), size_(other.size_) {}
  PersistentMap(PersistentMap&& other) noexcept
      : root_(std::exchange(other.root_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  PersistentMap& operator=(PersistentMap other) noexcept {
    std::swap(root_, other.root_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~PersistentMap() { Release(root_); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The value under `key`, or nullptr. Valid as long as an iterator.
  template <typename Query>
  const Value* Find(const Query& key) const {
    const Node* node = root_;
    while (node != nullptr) {
      const auto order = key <=> node->entry.key;
      if (order == 0) {
        return &node->entry.value;
      }
      node = order < 0 ? node->left : node->right;
    }
    return nullptr;
  }

  template <typename Query>
  bool Contains(const Query& key) const {
    return Find(key) != nullptr;
  }

  // Sets key and value, also where an equal key is present. Returns true if there was none.
  bool Insert(Key key, Value value) {
    return !Exchange(std::move(key), std::move(value)).has_value();
  }

  // The same; returns the value that was there.
  std::optional<Value> Exchange(Key key, Value value) {
    Entry entry{std::move(key), std::move(value)};
    bool is_new = false;
    root_ = InsertAt(root_, entry, is_new);
    if (is_new) {
      ++size_;
      return std::nullopt;
    }
    return std::move(entry.value);
  }

  // Returns false, and changes nothing, if `key` is absent.
  template <typename Query>
  bool Erase(const Query& key) {
    if (!Contains(key)) {
      return false;
    }
    root_ = EraseAt(root_, key);
    --size_;
    return true;
  }

  // The value under `key` to be changed in this copy alone, or nullptr. Valid until the next call
  // of a member other than Find, and until the map is copied. One descent: where there is none, the
  // nodes on the way are this copy's own afterwards, too.
  template <typename Query>
  Value* FindMutable(const Query& key) {
    Node** link = &root_;
    while (*link != nullptr) {
      *link = Own(*link);
      Node* node = *link;
      const auto order = key <=> node->entry.key;
      if (order == 0) {
        return &node->entry.value;
      }
      link = order < 0 ? &node->left : &node->right;
    }
    return nullptr;
  }

  const_iterator begin() const {
    const_iterator it;
    it.PushLeftSpine(root_);
    return it;
  }
  const_iterator end() const { return const_iterator(); }

  // The first entry whose key is not less than `key`.
  template <typename Query>
  const_iterator lower_bound(const Query& key) const {
    const_iterator it;
    for (const Node* node = root_; node != nullptr;) {
      if (node->entry.key < key) {
        node = node->right;
      } else {
        it.Push(node);
        node = node->left;
      }
    }
    return it;
  }

  // The first entry whose key is greater than `key`.
  template <typename Query>
  const_iterator upper_bound(const Query& key) const {
    const_iterator it;
    for (const Node* node = root_; node != nullptr;) {
      if (key < node->entry.key) {
        it.Push(node);
        node = node->left;
      } else {
        node = node->right;
      }
    }
    return it;
  }

  // Checks order, balance, heights and size: for tests. O(n).
  void CheckStructure() const {
    size_t count = 0;
    const Key* previous = nullptr;
    for (const Entry& entry : *this) {
      KVORUM_CHECK(previous == nullptr || *previous < entry.key, "entry {} out of order", count);
      previous = &entry.key;
      ++count;
    }
    KVORUM_CHECK(count == size_, "{} entries but size is {}", count, size_);
    CheckHeights(root_);
  }

 private:
  struct Node {
    explicit Node(Entry e) : entry(std::move(e)) {}

    std::atomic<uint32_t> reference_count{1};
    uint8_t height = 1;
    Node* left = nullptr;
    Node* right = nullptr;
    Entry entry;
  };

  static Node* Share(Node* node) {
    if (node != nullptr) {
      node->reference_count.fetch_add(1, std::memory_order_relaxed);
    }
    return node;
  }

  static void Release(Node* node) {
    // The last holder must see what the others did before they let go.
    while (node != nullptr && node->reference_count.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      Release(node->left);
      Node* right = node->right;
      delete node;
      node = right;
    }
  }

  // Takes over one reference to `node` and returns one to an equal node that nobody else holds.
  static Node* Own(Node* node) {
    // Acquire pairs with Release: another thread may have let go of it just now.
    if (node->reference_count.load(std::memory_order_acquire) == 1) {
      return node;
    }
    Node* copy = new Node(node->entry);
    copy->height = node->height;
    copy->left = Share(node->left);
    copy->right = Share(node->right);
    Release(node);
    return copy;
  }

  static int Height(const Node* node) { return node == nullptr ? 0 : node->height; }

  static void UpdateHeight(Node* node) {
    const int left = Height(node->left);
    const int right = Height(node->right);
    node->height = static_cast<uint8_t>((left > right ? left : right) + 1);
  }

  // REQUIRES: `node` is owned, here and below.
  static Node* RotateRight(Node* node) {
    Node* top = node->left = Own(node->left);
    node->left = top->right;
    top->right = node;
    UpdateHeight(node);
    UpdateHeight(top);
    return top;
  }
  static Node* RotateLeft(Node* node) {
    Node* top = node->right = Own(node->right);
    node->right = top->left;
    top->left = node;
    UpdateHeight(node);
    UpdateHeight(top);
    return top;
  }

  static Node* Rebalance(Node* node) {
    const int balance = Height(node->left) - Height(node->right);
    if (balance > 1) {
      if (Height(node->left->left) < Height(node->left->right)) {
        node->left = RotateLeft(Own(node->left));
      }
      return RotateRight(node);
    }
    if (balance < -1) {
      if (Height(node->right->right) < Height(node->right->left)) {
        node->right = RotateRight(Own(node->right));
      }
      return RotateLeft(node);
    }
    UpdateHeight(node);
    return node;
  }

  // Swaps `entry` with the one of an equal key.
  static Node* InsertAt(Node* node, Entry& entry, bool& is_new) {
    if (node == nullptr) {
      is_new = true;
      return new Node(std::move(entry));
    }
    node = Own(node);
    const auto order = entry.key <=> node->entry.key;
    if (order == 0) {
      std::swap(node->entry, entry);
      return node;
    }
    Node*& side = order < 0 ? node->left : node->right;
    side = InsertAt(side, entry, is_new);
    // A replaced entry changes no heights.
    return is_new ? Rebalance(node) : node;
  }

  // REQUIRES: `key` is present below `node`.
  template <typename Query>
  static Node* EraseAt(Node* node, const Query& key) {
    node = Own(node);
    const auto order = key <=> node->entry.key;
    if (order == 0) {
      return RemoveRoot(node);
    }
    Node*& side = order < 0 ? node->left : node->right;
    side = EraseAt(side, key);
    return Rebalance(node);
  }

  // Removes the owned `node` and joins its two sides.
  static Node* RemoveRoot(Node* node) {
    Node* left = std::exchange(node->left, nullptr);
    Node* right = std::exchange(node->right, nullptr);
    Release(node);
    if (left == nullptr) {
      return right;
    }
    if (right == nullptr) {
      return left;
    }
    Node* first = nullptr;
    right = TakeFirst(right, first);
    first->left = left;
    first->right = right;
    return Rebalance(first);
  }

  // Detaches the least node into `first`, owned and without children; returns what remains.
  static Node* TakeFirst(Node* node, Node*& first) {
    node = Own(node);
    if (node->left == nullptr) {
      first = node;
      return std::exchange(node->right, nullptr);
    }
    node->left = TakeFirst(node->left, first);
    return Rebalance(node);
  }

  static int CheckHeights(const Node* node) {
    if (node == nullptr) {
      return 0;
    }
    const int left = CheckHeights(node->left);
    const int right = CheckHeights(node->right);
    KVORUM_CHECK(left - right <= 1 && right - left <= 1, "heights {} and {}", left, right);
    const int height = (left > right ? left : right) + 1;
    KVORUM_CHECK(height == node->height, "height {} noted as {}", height, node->height);
    return height;
  }

  Node* root_ = nullptr;
  size_t size_ = 0;
};

}  // namespace kvorum
