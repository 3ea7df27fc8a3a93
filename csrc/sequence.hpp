// Kernels over the letters of one sequence: codes and reverse complement.
#pragma once

#include <cstddef>
#include <cstdint>

#include "alphabet.hpp"

namespace seqtile {

/// "No such position."
inline constexpr std::size_t kNone = static_cast<std::size_t>(-1);

/// Position of the first byte with a code above `highest`, or kNone. Passing the alphabet's size
/// accepts unknown letters, one less refuses them.
inline std::size_t find_above(Bytes sequence, ByteTable const& table,
                              std::uint8_t highest) noexcept {
    for (std::size_t i = 0; i < sequence.size(); ++i) {
        if (table[sequence[i]] > highest) return i;
    }
    return kNone;
}

/// Writes the code of each letter of `sequence` to `out`, which has the same length.
/// Returns the position of the first refused byte, or kNone; `out` is then only partly meaningful.
inline std::size_t encode(Bytes sequence, Alphabet const& alphabet, Unknown unknown,
                          MutableBytes out) noexcept {
    ByteTable const& table = alphabet.table();
    auto const highest =
        static_cast<std::uint8_t>(alphabet.size() - (unknown == Unknown::raise ? 1 : 0));
    std::uint8_t refused = 0;
    for (std::size_t i = 0; i < sequence.size(); ++i) {
        std::uint8_t const code = table[sequence[i]];
        out[i] = code;
        refused |= static_cast<std::uint8_t>(code > highest);
    }
    return refused ? find_above(sequence, table, highest) : kNone;
}

/// Writes the reverse complement of `sequence` to `out`, which has the same length and does not
/// overlap it; case and IUPAC letters are kept. Returns the position (in `sequence`) of a byte
/// that is no nucleotide letter, or kNone.
inline std::size_t reverse_complement(Bytes sequence, ByteTable const& complement,
                                      MutableBytes out) noexcept {
    std::size_t const length = sequence.size();
    bool refused = false;
    for (std::size_t i = 0; i < length; ++i) {
        std::uint8_t const letter = complement[sequence[length - 1 - i]];
        out[i] = letter;
        refused |= letter == kInvalid;
    }
    if (!refused) return kNone;
    std::size_t position = 0;
    while (complement[sequence[position]] != kInvalid) ++position;
    return position;
}

}  // namespace seqtile
