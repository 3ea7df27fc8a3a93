// Large arrays on large pages where the system grants them on request (Linux: madvise).
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace seqtile {

namespace detail {

inline constexpr std::size_t kHugePage = std::size_t{1} << 21;

/// Wishes for large pages where whole ones lie inside `bytes` from `begin` on.
inline void wish_huge_pages([[maybe_unused]] void* begin,
                            [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__linux__)
    void* first = begin;
    if (std::align(kHugePage, kHugePage, first, bytes) == nullptr) return;
    madvise(first, bytes, MADV_HUGEPAGE);
#endif
}

}  // namespace detail

/// `size` elements that are not initialised. Random access over megabytes costs a page walk each
/// on 4 KB pages, and the first touch of each page a fault.
template <class T>
class HugeArray {
    static_assert(std::is_trivial_v<T>);

  public:
    HugeArray() = default;

    /// @throw std::bad_alloc
    explicit HugeArray(std::size_t size) : size_(size) {
        if (size == 0) return;
        std::size_t const bytes = size * sizeof(T);
        std::size_t const alignment = bytes < detail::kHugePage ? 64 : detail::kHugePage;
        std::size_t const whole = (bytes + alignment - 1) / alignment * alignment;
        data_.reset(static_cast<T*>(std::aligned_alloc(alignment, whole)));
        if (!data_) throw std::bad_alloc();
        detail::wish_huge_pages(data_.get(), whole);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] T* data() noexcept { return data_.get(); }
    [[nodiscard]] T const* data() const noexcept { return data_.get(); }
    [[nodiscard]] std::span<T> span() noexcept { return {data(), size_}; }
    T& operator[](std::size_t i) noexcept { return data_.get()[i]; }

  private:
    struct Free {
        void operator()(T* pointer) const noexcept { std::free(pointer); }
    };
    std::unique_ptr<T[], Free> data_;
    std::size_t size_ = 0;
};

/// `size` elements that are not initialised; resize() keeps them, as a rule without a copy (large
/// blocks are moved by the page tables).
template <class T>
class GrowingArray {
    static_assert(std::is_trivial_v<T>);

  public:
    /// @throw std::bad_alloc; the elements are then as before.
    void resize(std::size_t size) {
        auto* const moved = static_cast<T*>(std::realloc(data_.get(), (size + 1) * sizeof(T)));
        if (moved == nullptr) throw std::bad_alloc();
        static_cast<void>(data_.release());
        data_.reset(moved);
        size_ = size;
        detail::wish_huge_pages(moved, size * sizeof(T));
    }

    /// A copy of `elements`.
    void assign(std::span<T const> elements) {
        resize(elements.size());
        std::copy(elements.begin(), elements.end(), data());
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] T* data() noexcept { return data_.get(); }
    [[nodiscard]] std::span<T const> span() const noexcept { return {data_.get(), size_}; }

  private:
    struct Free {
        void operator()(T* pointer) const noexcept { std::free(pointer); }
    };
    std::unique_ptr<T[], Free> data_;
    std::size_t size_ = 0;
};

}  // namespace seqtile
