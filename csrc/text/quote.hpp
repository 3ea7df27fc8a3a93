// Text as JSON strings of ASCII alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../core/bytes.hpp"

namespace seqtile {

/// Bytes that write_quoted needs at most for one byte of text, besides two quotes.
inline constexpr std::size_t kQuotedBytes = 6;

/// A character of UTF-8 (RFC 3629) and its bytes; none if there is no character.
struct Utf8 {
    std::uint32_t character = 0;
    std::size_t size = 0;
};

/// The character at the start of a text that is not empty.
constexpr Utf8 first_character(Bytes text) noexcept {
    std::uint32_t const lead = text[0];
    if (lead < 0x80) return {lead, 1};
    std::size_t const size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return {};
    std::uint32_t character = lead & (0x7FU >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((text[i] & 0xC0U) != 0x80) return {};
        character = character << 6 | (text[i] & 0x3FU);
    }
    std::uint32_t const least = size == 4 ? 0x10000 : size == 3 ? 0x800 : 0x80;
    bool const surrogate = character >= 0xD800 && character < 0xE000;
    if (character < least || character > 0x10FFFF || surrogate) return {};
    return {character, size};
}

namespace detail {

/// \uXXXX
inline char* put_escape(char* out, std::uint32_t unit) noexcept {
    *out++ = '\\';
    *out++ = 'u';
    for (unsigned shift = 16; shift > 0;) {
        shift -= 4;
        *out++ = "0123456789abcdef"[unit >> shift & 15];
    }
    return out;
}

inline char* put_character(char* out, std::uint32_t character) noexcept {
    constexpr std::string_view plain = "\"\\\b\f\n\r\t", letters = "\"\\bfnrt";
    auto const found =
        character < 0x80 ? plain.find(static_cast<char>(character)) : std::string_view::npos;
    if (found != std::string_view::npos) {
        *out++ = '\\';
        *out++ = letters[found];
        return out;
    }
    if (character < 0x10000) return put_escape(out, character);
    std::uint32_t const above = character - 0x10000;
    return put_escape(put_escape(out, 0xD800 | above >> 10), 0xDC00 | (above & 0x3FF));
}

}  // namespace detail

/// UTF-8 as Python's json.dumps writes it, in quotes; a byte that is no UTF-8 as the surrogate that
/// Python's "surrogateescape" makes of it (\udc80 to \udcff). Returns the end; kQuotedBytes for
/// each byte and two are there.
inline char* write_quoted(char* out, Bytes text) noexcept {
    *out++ = '"';
    while (!text.empty()) {
        std::uint8_t const byte = text[0];
        if (byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\') {
            *out++ = static_cast<char>(byte);
            text = text.subspan(1);
            continue;
        }
        auto const [character, size] = first_character(text);
        out = size == 0 ? detail::put_escape(out, 0xDC00U | byte)
                        : detail::put_character(out, character);
        text = text.subspan(size == 0 ? 1 : size);
    }
    *out++ = '"';
    return out;
}

}  // namespace seqtile
