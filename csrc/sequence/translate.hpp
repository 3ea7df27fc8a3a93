// Translation of nucleotides to amino acids, ambiguous codons included, in any of six frames.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "alphabet.hpp"
#include "genetic_code.hpp"
#include "sequence.hpp"

namespace seqtile {

/// Set of nucleotides that a letter stands for: bit 0 A, 1 C, 2 G, 3 T. The gap '-' is the empty
/// set; any other byte is kInvalid.
constexpr ByteTable nucleotide_sets() noexcept {
    ByteTable table{};
    table.fill(kInvalid);
    constexpr std::string_view letters = "-ACMGRSVTWYHKDBN";  // in the order of the sets
    for (std::size_t set = 0; set < letters.size(); ++set) {
        table[static_cast<std::uint8_t>(letters[set])] = static_cast<std::uint8_t>(set);
        table[static_cast<std::uint8_t>(to_lower(letters[set]))] = static_cast<std::uint8_t>(set);
    }
    table['U'] = table['u'] = table['T'];
    return table;
}

/// Where translation begins: `offset` (0, 1 or 2) letters into the strand.
struct Frame {
    std::size_t offset;
    bool reverse;  ///< on the reverse complement

    /// Codons of a sequence of `length` letters.
    [[nodiscard]] constexpr std::size_t codons(std::size_t length) const noexcept {
        return length < offset ? 0 : (length - offset) / 3;
    }
};

/// Amino acid of each codon of nucleotide sets, by one genetic code: the letter that all codons of
/// the sets give; B (D or N), Z (E or Q) or J (I or L) for one of these two; otherwise X. Three
/// gaps are a gap; a gap beside a letter is refused.
class CodonTable {
  public:
    using Table = std::array<char, 4096>;  // index: three sets, the first in the highest bits
    static constexpr char kRefused = 0;

    explicit CodonTable(GeneticCode const& code) noexcept {
        std::array<std::uint32_t, 4096> found{};  // amino acids of each index, a bit per letter
        for (std::size_t i = 1; i < forward_.size(); ++i) {
            std::array<std::size_t, 3> const sets{i >> 8, i >> 4 & 15, i & 15};
            if (sets[0] == 0 || sets[1] == 0 || sets[2] == 0) continue;
            std::size_t single = 0;
            for (std::size_t place = 0; place < 3; ++place) {
                // Take one nucleotide from the set: what remains is an index already done.
                std::size_t const low = sets[place] & (~sets[place] + 1);
                if (low == sets[place]) {
                    single = single * 4 + order(low);
                    continue;
                }
                std::size_t const shift = 8 - 4 * place;
                std::size_t const others = i & ~(std::size_t{15} << shift);
                found[i] =
                    found[others | low << shift] | found[others | (sets[place] ^ low) << shift];
                break;
            }
            if (found[i] == 0) found[i] = bit(code.amino_acids[single]);
            forward_[i] = letter(found[i]);
        }
        forward_[0] = '-';
        for (std::size_t i = 0; i < reverse_.size(); ++i) {
            reverse_[complement(i & 15) << 8 | complement(i >> 4 & 15) << 4 | complement(i >> 8)] =
                forward_[i];
        }
    }

    /// By the letters in the order in which they stand; `reverse`: of the reverse complement's
    /// codon.
    [[nodiscard]] Table const& letters(bool reverse) const noexcept {
        return reverse ? reverse_ : forward_;
    }

  private:
    // Place of a nucleotide in a genetic code's order T, C, A, G.
    static constexpr std::size_t order(std::size_t nucleotide) noexcept {
        return nucleotide == 1 ? 2 : nucleotide == 2 ? 1 : nucleotide == 4 ? 3 : 0;
    }

    static constexpr std::size_t complement(std::size_t set) noexcept {
        return (set & 1) << 3 | (set & 2) << 1 | (set & 4) >> 1 | (set & 8) >> 3;
    }

    static constexpr std::uint32_t bit(char amino_acid) noexcept {
        return std::uint32_t{1} << (amino_acid == '*' ? 26 : amino_acid - 'A');
    }

    static constexpr char letter(std::uint32_t found) noexcept {
        if (std::has_single_bit(found)) {
            int const place = std::countr_zero(found);
            return place == 26 ? '*' : static_cast<char>('A' + place);
        }
        if (found == (bit('D') | bit('N'))) return 'B';
        if (found == (bit('E') | bit('Q'))) return 'Z';
        if (found == (bit('I') | bit('L'))) return 'J';
        return 'X';
    }

    Table forward_{};
    Table reverse_{};
};

/// Translates `sequence` in `frame` to `out`, frame.codons() letters; what is left at the end is
/// not read. Returns the position in `sequence` of the first byte that is no nucleotide letter (or
/// of a gap that is not one of three in a codon), or kNone; `out` is then only partly meaningful.
inline std::size_t translate(Bytes sequence, CodonTable const& code, Frame frame,
                             MutableBytes out) noexcept {
    static constexpr ByteTable sets = nucleotide_sets();
    CodonTable::Table const& letters = code.letters(frame.reverse);
    std::size_t const codons = out.size();
    if (codons == 0) return kNone;
    // On the reverse strand codons are read as they stand and written from the back.
    std::size_t const begin =
        frame.reverse ? sequence.size() - frame.offset - 3 * codons : frame.offset;
    std::uint8_t const* from = sequence.data() + begin;
    std::uint8_t* to = frame.reverse ? out.data() + codons - 1 : out.data();
    std::ptrdiff_t const step = frame.reverse ? -1 : 1;
    bool refused = false;
    for (std::size_t i = 0; i < codons; ++i, from += 3) {
        std::size_t const a = sets[from[0]], b = sets[from[1]], c = sets[from[2]];
        char const letter = letters[(a << 8 | b << 4 | c) & 4095];
        refused |= (a | b | c) > 15 || letter == CodonTable::kRefused;
        to[step * static_cast<std::ptrdiff_t>(i)] = static_cast<std::uint8_t>(letter);
    }
    if (!refused) return kNone;
    for (std::size_t i = begin;; i += 3) {
        Bytes const codon = sequence.subspan(i, 3);
        bool const gap = sets[codon[0]] == 0 && sets[codon[1]] == 0 && sets[codon[2]] == 0;
        for (std::size_t place = 0; place < 3 && !gap; ++place) {
            std::uint8_t const set = sets[codon[place]];
            if (set == 0 || set == kInvalid) return i + place;
        }
    }
}

}  // namespace seqtile
