// Memory that the records parsed together share, and that is used again when they are gone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace seqtile {

/// Bytes that are never initialised. A large slab lies in huge pages where the system gives them
/// on request: a fresh page of 4 KiB costs more than filling it.
class Slab {
  public:
    /// @throw std::bad_alloc
    explicit Slab(std::size_t size) {
        std::size_t const page = size < kHuge ? kSmall : kHuge;
        capacity_ = std::max(page, (size + page - 1) / page * page);
        data_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(page, capacity_)));
        if (!data_) throw std::bad_alloc();
#ifdef __linux__
        if (page == kHuge) madvise(data_.get(), capacity_, MADV_HUGEPAGE);
#endif
    }

    [[nodiscard]] std::uint8_t* data() noexcept {
        return data_.get();
    }
    [[nodiscard]] std::uint8_t const* data() const noexcept {
        return data_.get();
    }
    [[nodiscard]] std::size_t capacity() const noexcept {
        return capacity_;
    }

  private:
    static constexpr std::size_t kSmall = 4096, kHuge = std::size_t{1} << 21;
    struct Free {
        void operator()(std::uint8_t* pointer) const noexcept { std::free(pointer); }
    };

    std::unique_ptr<std::uint8_t, Free> data_;
    std::size_t capacity_ = 0;
};

/// Slabs that nobody holds, kept for the next who wants one: who drops records as they come touches
/// the same few pages over and over. At most kIdle bytes wait in a process.
class SlabPool {
  public:
    /// A slab of at least `size` bytes, which comes back when its last holder drops it.
    /// @throw std::bad_alloc
    [[nodiscard]] static std::shared_ptr<Slab> take(std::size_t size) {
        std::unique_ptr<Slab> found = instance().find(size);
        if (!found) found = std::make_unique<Slab>(size);
        return {found.release(), [](Slab* slab) { instance().put(std::unique_ptr<Slab>(slab)); }};
    }

  private:
    static constexpr std::size_t kIdle = std::size_t{64} << 20;

    // Never destroyed: slabs may outlive every static object.
    static SlabPool& instance() {
        alignas(SlabPool) static std::uint8_t storage[sizeof(SlabPool)];
        static SlabPool* const pool = ::new (storage) SlabPool;
        return *pool;
    }

    // The smallest that is large enough. A lock that is taken (also: by a thread that a fork left
    // behind) is not waited for.
    std::unique_ptr<Slab> find(std::size_t size) noexcept {
        std::unique_lock const lock(mutex_, std::try_to_lock);
        if (!lock) return nullptr;
        auto best = idle_.end();
        for (auto slab = idle_.begin(); slab != idle_.end(); ++slab) {
            if ((*slab)->capacity() < size) continue;
            if (best == idle_.end() || (*slab)->capacity() < (*best)->capacity()) best = slab;
        }
        if (best == idle_.end()) return nullptr;
        std::unique_ptr<Slab> found = std::move(*best);
        idle_.erase(best);
        bytes_ -= found->capacity();
        return found;
    }

    void put(std::unique_ptr<Slab> slab) noexcept {
        std::unique_lock const lock(mutex_, std::try_to_lock);
        if (!lock || bytes_ + slab->capacity() > kIdle || idle_.size() == kSlabs) return;
        if (idle_.capacity() < kSlabs) idle_.reserve(kSlabs);
        bytes_ += slab->capacity();
        idle_.push_back(std::move(slab));
    }

    static constexpr std::size_t kSlabs = 64;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Slab>> idle_;
    std::size_t bytes_ = 0;
};

}  // namespace seqtile
