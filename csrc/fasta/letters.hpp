// Which bytes may stand in a record, and what becomes of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "../sequence/alphabet.hpp"

namespace seqtile {

/// Bytes that may stand at a line's end, before its LF, and that end a record's name.
constexpr bool is_blank(std::uint8_t byte) noexcept {
    return byte == ' ' || (byte >= '\t' && byte <= '\r' && byte != '\n');
}

/// Those of them that may stand before letters or a name: a carriage return there ends a line as no
/// other does.
constexpr bool is_inner_blank(std::uint8_t byte) noexcept {
    return byte != '\r' && is_blank(byte);
}

/// A byte as an error message shows it.
inline std::string printable(std::uint8_t byte) {
    if (byte > 32 && byte < 127) return {'\'', static_cast<char>(byte), '\''};
    if (byte == ' ' || byte == '\t') return "a blank";
    constexpr std::string_view digits = "0123456789ABCDEF";
    return std::string("byte 0x") + digits[byte >> 4] + digits[byte & 15];
}

/// What a letter becomes, kInvalid for a byte that may not stand there, and what is expected in
/// its place. Entries but kInvalid are below 128; bytes from 128 up, blanks, '>', '@' and '+' are
/// kInvalid.
struct LetterRule {
    ByteTable table;
    std::string expected;
};

namespace detail {

constexpr ByteTable keep(std::string_view letters, char first = 1, char last = 0) noexcept {
    ByteTable table{};
    table.fill(kInvalid);
    for (char const letter : letters) {
        for (char const either : {letter, to_lower(letter)}) {
            table[static_cast<std::uint8_t>(either)] = static_cast<std::uint8_t>(either);
        }
    }
    for (int byte = first; byte <= last; ++byte) {
        table[static_cast<std::size_t>(byte)] = static_cast<std::uint8_t>(byte);
    }
    return table;
}

}  // namespace detail

/// Letters of any sequence, as they stand in the file.
inline LetterRule const kLetters{detail::keep("ABCDEFGHIJKLMNOPQRSTUVWXYZ*-."),
                                 "a letter, '*', '-' or '.'"};

/// Qualities of FASTQ: the printable characters but the blank.
inline LetterRule const kQualities{detail::keep("", '!', '~'), "a quality letter ('!' to '~')"};

}  // namespace seqtile
