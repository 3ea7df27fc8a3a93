// Arrays that are not initialised.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace seqtile {

/// Pages that back an array: random access over megabytes costs a page walk each on small ones.
/// Large ones are granted on request on Linux (madvise); where memory is used once and in order
/// they gain nothing, and their first touch can cost a virtual machine more.
enum class Pages : std::uint8_t { small, large };

/// `size` elements that are not initialised. Memory that is never touched is only reserved.
template <class T>
class RawArray {
    static_assert(std::is_trivial_v<T>);

  public:
    RawArray() = default;

    /// @throw std::bad_alloc
    explicit RawArray(std::size_t size, Pages pages = Pages::small) : size_(size) {
        if (size == 0) return;
        constexpr std::size_t page = std::size_t{1} << 21;
        std::size_t const bytes = size * sizeof(T);
        std::size_t const alignment = bytes < page || pages == Pages::small ? 64 : page;
        std::size_t const whole = (bytes + alignment - 1) / alignment * alignment;
        data_.reset(static_cast<T*>(std::aligned_alloc(alignment, whole)));
        if (!data_) throw std::bad_alloc();
        if (alignment == page) wish_huge_pages(data_.get(), whole);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] T* data() noexcept { return data_.get(); }
    [[nodiscard]] T const* data() const noexcept { return data_.get(); }
    [[nodiscard]] std::span<T> span() noexcept { return {data(), size_}; }
    [[nodiscard]] std::span<T const> span() const noexcept { return {data(), size_}; }
    T& operator[](std::size_t i) noexcept { return data_.get()[i]; }

  private:
    static void wish_huge_pages([[maybe_unused]] void* begin,
                                [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__linux__)
        madvise(begin, bytes, MADV_HUGEPAGE);  // it may be refused
#endif
    }

    struct Free {
        void operator()(T* pointer) const noexcept { std::free(pointer); }
    };
    std::unique_ptr<T[], Free> data_;
    std::size_t size_ = 0;
};

}  // namespace seqtile
