// Copies that leave the caches alone, for results that are larger than them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace seqtile {

/// Results of at least this many bytes are written past the caches: as large as the last of them
/// is on common machines, so that a smaller result may still be there when it is read.
inline constexpr std::size_t kLastCacheBytes = std::size_t{32} << 20;

/// How a result is written: through the caches, or past them.
enum class Store : std::uint8_t { cached, streamed };

constexpr Store store_for(std::size_t bytes) noexcept {
    return bytes >= kLastCacheBytes ? Store::streamed : Store::cached;
}

/// Copies `size` bytes with non-temporal stores where the machine has them, else as memcpy. The
/// ranges do not overlap. Call stream_fence() before another thread reads the result.
inline void stream_copy(std::byte* to, std::byte const* from, std::size_t size) noexcept {
#if defined(__SSE2__)
    std::size_t const head =
        std::min<std::size_t>(-reinterpret_cast<std::uintptr_t>(to) % 16, size);
    if (head != 0) std::memcpy(to, from, head);
    std::size_t i = head;
    for (; i + 64 <= size; i += 64) {
        auto const* const source = reinterpret_cast<__m128i const*>(from + i);
        auto* const target = reinterpret_cast<__m128i*>(to + i);
        __m128i const a = _mm_loadu_si128(source);
        __m128i const b = _mm_loadu_si128(source + 1);
        __m128i const c = _mm_loadu_si128(source + 2);
        __m128i const d = _mm_loadu_si128(source + 3);
        _mm_stream_si128(target, a);
        _mm_stream_si128(target + 1, b);
        _mm_stream_si128(target + 2, c);
        _mm_stream_si128(target + 3, d);
    }
    for (; i + 16 <= size; i += 16) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm_loadu_si128(reinterpret_cast<__m128i const*>(from + i)));
    }
    if (i != size) std::memcpy(to + i, from + i, size - i);
#else
    std::memcpy(to, from, size);
#endif
}

/// Makes the stores of stream_copy() visible before any later store of this thread.
inline void stream_fence() noexcept {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/// memcpy or stream_copy(), as `store` says.
inline void copy_bytes(std::byte* to, std::byte const* from, std::size_t size,
                       Store store) noexcept {
    if (store == Store::streamed) {
        stream_copy(to, from, size);
    } else {
        std::memcpy(to, from, size);
    }
}

}  // namespace seqtile
