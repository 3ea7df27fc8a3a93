// 256-entry tables over bytes: letter -> code, letter -> complement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../core/bytes.hpp"

namespace seqtile {

/// What to do with a letter that is legal but has no code of its own (N and the other IUPAC codes,
/// and in nucleotides X, as maskers write it, and what alignments hold: - * .).
enum class Unknown : std::uint8_t { keep, raise };

constexpr char to_lower(char letter) noexcept {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

constexpr char to_upper(char letter) noexcept {
    return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
}

/// Letters with codes 0..n-1 in their order, further letters with the code n (unknown), and
/// aliases ("UT": U counts as T). Both cases of a letter have the same code; any other byte is
/// kInvalid. All of them are ASCII, and fewer than kInvalid in number.
class Alphabet {
  public:
    constexpr Alphabet(std::string_view letters, std::string_view unknown,
                       std::string_view alias = {}) noexcept
        : size_(static_cast<std::uint8_t>(letters.size())) {
        table_.fill(kInvalid);
        for (char const letter : unknown) assign(letter, size_);
        for (std::size_t i = 0; i < letters.size(); ++i) {
            assign(letters[i], static_cast<std::uint8_t>(i));
        }
        for (std::size_t i = 0; i + 1 < alias.size(); i += 2) {
            assign(alias[i], table_[static_cast<std::uint8_t>(alias[i + 1])]);
        }
    }

    /// Number of letters with a code of their own, which is also the code "unknown".
    [[nodiscard]] constexpr std::uint8_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr ByteTable const& table() const noexcept { return table_; }

  private:
    constexpr void assign(char letter, std::uint8_t code) noexcept {
        table_[static_cast<std::uint8_t>(to_upper(letter))] = code;
        table_[static_cast<std::uint8_t>(to_lower(letter))] = code;
    }

    ByteTable table_{};
    std::uint8_t size_;
};

inline constexpr std::string_view kAllLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
inline constexpr Alphabet kDna{"ACGT", "RYSWKMBDHVNX-*.", "UT"};
inline constexpr Alphabet kRna{"ACGU", "RYSWKMBDHVNX-*.", "TU"};
inline constexpr Alphabet kProtein{"ACDEFGHIKLMNPQRSTVWY*", "BJOUXZ"};

/// Complement of every IUPAC nucleotide letter in its own case; X - * . are their own; kInvalid for
/// any other byte.
/// `thymine` is what complements A: 'T' for DNA, 'U' for RNA.
constexpr ByteTable complement_table(char thymine) noexcept {
    ByteTable table{};
    table.fill(kInvalid);
    constexpr std::string_view from = "ACGTURYSWKMBDHVNX-*.";
    constexpr std::string_view to = "TGCAAYRSWMKVHDBNX-*.";
    for (std::size_t i = 0; i < from.size(); ++i) {
        char const letter = from[i] == 'A' ? thymine : to[i];
        table[static_cast<std::uint8_t>(from[i])] = static_cast<std::uint8_t>(letter);
        table[static_cast<std::uint8_t>(to_lower(from[i]))] =
            static_cast<std::uint8_t>(to_lower(letter));
    }
    return table;
}

}  // namespace seqtile
