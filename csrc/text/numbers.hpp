// Numbers as text, as Python writes them.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>

namespace seqtile {

/// Bytes that write_general and write_repr need at most.
inline constexpr std::size_t kGeneralBytes = 16;
inline constexpr std::size_t kReprBytes = 32;

namespace detail {

inline char* put(char* out, std::string_view text) noexcept {
    if (!text.empty()) std::memcpy(out, text.data(), text.size());
    return out + text.size();
}

inline char* put_zeros(char* out, int count) noexcept {
    std::memset(out, '0', static_cast<std::size_t>(count));
    return out + count;
}

/// What write_general does with a positive number outside its own range.
inline char* general_slowly(char* out, double value) noexcept {
    return std::to_chars(out, out + kGeneralBytes - 1, value, std::chars_format::general, 6).ptr;
}

/// Six digits d.ddddd x 10^exponent, exponent -7 to 5, without the zeros at their end. Copies are
/// of a fixed size, which is faster than a fitting one: 15 bytes are there.
inline char* put_general(char* out, std::uint32_t number, int exponent) noexcept {
    std::uint64_t packed = 0;  // a digit in each byte, the first in the lowest
    for (int i = 0; i < 6; ++i, number /= 10) packed = packed << 8 | number % 10;
    auto const zeros = static_cast<std::size_t>(std::countl_zero(packed << 16)) / 8;
    std::size_t const count = 6 - zeros;
    std::array<char, 16> digits{};
    for (unsigned i = 0; i < 8; ++i) {
        digits[i] = static_cast<char>('0' + static_cast<char>(packed >> 8 * i));
    }
    if (exponent < -4) {
        *out++ = digits[0];
        if (count > 1) out = put(put(out, "."), {digits.data() + 1, count - 1});
        out = put(out, "e-0");
        *out++ = static_cast<char>('0' - exponent);
        return out;
    }
    if (exponent < 0) {
        auto const lead = static_cast<std::size_t>(1 - exponent);
        std::memcpy(out, "0.00000", 8);
        std::memcpy(out + lead, digits.data(), 8);
        return out + lead + count;
    }
    auto const whole = static_cast<std::size_t>(exponent) + 1;
    std::memcpy(out, digits.data(), 8);
    std::memcpy(out + whole + 1, digits.data() + whole, 8);
    out[whole] = '.';
    return out + (count > whole ? count + 1 : whole);
}

}  // namespace detail

/// As Python's format(value, ".6g") of the same number: C's %.6g, ties to even, `nan` without a
/// sign. Returns the end; kGeneralBytes are there.
inline char* write_general(char* out, float value) noexcept {
    auto const bits = std::bit_cast<std::uint32_t>(value);
    std::uint32_t const magnitude = bits & 0x7FFF'FFFFU;
    if (magnitude > 0x7F80'0000U) return detail::put(out, "nan");
    if (bits != magnitude) *out++ = '-';
    if (magnitude == 0x7F80'0000U) return detail::put(out, "inf");
    if (magnitude == 0) return detail::put(out, "0");
    double const positive = std::bit_cast<float>(magnitude);
    // Where 24 bits times a power of ten fit into 64, the digits are exact with a shift.
    if (positive < 1e-7 || positive >= 999999) return detail::general_slowly(out, positive);
    static constexpr std::array<double, 14> kPowers = {1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1,
                                                       1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6};
    static constexpr auto kScales = [] {
        std::array<std::uint64_t, 13> scales{1};
        for (std::size_t i = 1; i < scales.size(); ++i) scales[i] = scales[i - 1] * 10;
        return scales;
    }();
    int const binary = static_cast<int>(magnitude >> 23) - 127;
    int exponent = binary * 1233 >> 12;  // binary * log10(2): the exponent, or one less
    if (positive >= kPowers[static_cast<std::size_t>(exponent + 8)]) ++exponent;
    std::uint64_t const scaled =
        ((magnitude & 0x7F'FFFFU) | 0x80'0000U) * kScales[static_cast<std::size_t>(5 - exponent)];
    auto const shift = static_cast<unsigned>(23 - binary);
    std::uint64_t const half = std::uint64_t{1} << (shift - 1);
    std::uint64_t const rest = scaled & (2 * half - 1);
    auto number = static_cast<std::uint32_t>(scaled >> shift);
    if (rest > half || (rest == half && number % 2 == 1)) ++number;
    if (number == 1'000'000) {
        number = 100'000;
        ++exponent;
    }
    return detail::put_general(out, number, exponent);
}

/// As Python's json.dumps(value): the fewest digits that give the same number again, with a point
/// or an exponent; `null` for what is not finite, which JSON has no number for. Returns the end;
/// kReprBytes are there.
inline char* write_repr(char* out, double value) noexcept {
    if (!std::isfinite(value)) return detail::put(out, "null");
    if (std::signbit(value)) *out++ = '-';
    value = std::abs(value);
    std::array<char, kReprBytes> scientific;
    auto const* const end = std::to_chars(scientific.data(), scientific.data() + scientific.size(),
                                          value, std::chars_format::scientific)
                                .ptr;
    auto const* const sign = std::find<char const*>(scientific.data() + 1, end, 'e');
    int exponent = 0;
    std::from_chars(sign + (sign[1] == '+' ? 2 : 1), end, exponent);
    std::string_view const written(scientific.data(),
                                   static_cast<std::size_t>(end - scientific.data()));
    if (exponent < -4 || exponent >= 16) return detail::put(out, written);
    auto const size = static_cast<std::size_t>(sign - scientific.data());
    scientific[1] = scientific[0];  // the digits without the point: from 1 on, or only the first
    std::string_view const digits = size == 1 ? written.substr(0, 1) : written.substr(1, size - 1);
    if (exponent < 0)
        return detail::put(detail::put_zeros(detail::put(out, "0."), -exponent - 1), digits);
    auto const whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() > whole) {
        out = detail::put(detail::put(out, digits.substr(0, whole)), ".");
        return detail::put(out, digits.substr(whole));
    }
    out = detail::put_zeros(detail::put(out, digits), static_cast<int>(whole - digits.size()));
    return detail::put(out, ".0");
}

}  // namespace seqtile
