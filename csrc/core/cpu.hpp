// Vector instruction sets: which one this processor has, and which one the kernels use.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#if defined(__x86_64__)
#define SEQTILE_X86 1
#include <immintrin.h>
// On a function that is only called at that level or above.
#define SEQTILE_TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define SEQTILE_TARGET_AVX512                                               \
    __attribute__((                                                         \
        target("avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512vbmi," \
               "avx512vbmi2")))
#elif defined(__aarch64__)
#define SEQTILE_NEON 1
#include <arm_neon.h>
#endif

namespace seqtile {

#if defined(SEQTILE_X86)
/// _mm512_permutexvar_epi8, of which GCC 12 warns that it uses an uninitialized value.
SEQTILE_TARGET_AVX512 inline __m512i permute_bytes(__m512i index, __m512i bytes) noexcept {
    return _mm512_maskz_permutexvar_epi8(~__mmask64{0}, index, bytes);
}
#endif

/// Levels of vector instructions. avx2 includes BMI2; avx512 means F, BW, VL, VBMI and VBMI2.
enum class Isa : std::uint8_t { scalar, avx2, avx512, neon };

inline constexpr std::array<Isa, 4> kIsas{Isa::scalar, Isa::avx2, Isa::avx512, Isa::neon};
inline constexpr std::array<std::string_view, 4> kIsaNames{"scalar", "avx2", "avx512", "neon"};

constexpr std::string_view name(Isa isa) noexcept {
    return kIsaNames[static_cast<std::size_t>(isa)];
}

/// The level of that name, or none.
constexpr std::optional<Isa> find_isa(std::string_view name) noexcept {
    for (Isa const isa : kIsas) {
        if (seqtile::name(isa) == name) return isa;
    }
    return std::nullopt;
}

/// Whether this processor has the level, and this build the code for it.
inline bool supports(Isa isa) noexcept {
    if (isa == Isa::scalar) return true;
#if defined(SEQTILE_X86)
    bool const avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0 &&
                      __builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("popcnt") != 0;
    if (isa == Isa::avx2) return avx2;
    if (isa == Isa::avx512) {
        return avx2 && __builtin_cpu_supports("avx512f") != 0 &&
               __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
               __builtin_cpu_supports("avx512vbmi") != 0 &&
               __builtin_cpu_supports("avx512vbmi2") != 0;
    }
    return false;
#elif defined(SEQTILE_NEON)
    return isa == Isa::neon;
#else
    return false;
#endif
}

/// The highest level this processor has.
inline Isa best_isa() noexcept {
    static Isa const best = [] {
        for (Isa const isa : {Isa::avx512, Isa::avx2, Isa::neon}) {
            if (supports(isa)) return isa;
        }
        return Isa::scalar;
    }();
    return best;
}

namespace detail {
inline std::atomic<Isa>& isa_in_use() noexcept {
    static std::atomic<Isa> isa = best_isa();
    return isa;
}
}  // namespace detail

/// The level that kernels use unless they are told another one: best_isa(), or what was set.
inline Isa active_isa() noexcept {
    return detail::isa_in_use().load(std::memory_order_relaxed);
}

/// Precondition: `supports(isa)`.
inline void set_active_isa(Isa isa) noexcept {
    detail::isa_in_use().store(isa, std::memory_order_relaxed);
}

}  // namespace seqtile
