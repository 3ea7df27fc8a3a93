// k-mers as codes: 2 bits per letter (A 0, C 1, G 2, T and U 3), the first letter in the highest
// bits. A window with any other letter has no code.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <vector>

#include "../core/lookup.hpp"
#include "../core/parallel.hpp"
#include "../sequence/sequence.hpp"
#include "kmer_pack.hpp"

namespace seqtile {

inline constexpr unsigned kMaxK = 32;

/// All bits of a code of k letters, 1 <= k <= 32.
constexpr std::uint64_t kmer_mask(unsigned k) noexcept {
    return ~std::uint64_t{0} >> (64 - 2 * k);
}

/// The code of the reverse complement of a k-mer.
constexpr std::uint64_t reverse_complement_code(std::uint64_t code, unsigned k) noexcept {
    code = __builtin_bswap64(~code);
    code = (code >> 4 & 0x0F0F0F0F0F0F0F0F) | (code & 0x0F0F0F0F0F0F0F0F) << 4;
    code = (code >> 2 & 0x3333333333333333) | (code & 0x3333333333333333) << 2;
    return code >> (64 - 2 * k);
}

/// The smaller code of a k-mer and its reverse complement.
constexpr std::uint64_t canonical_code(std::uint64_t code, unsigned k) noexcept {
    return std::min(code, reverse_complement_code(code, k));
}

/// The 8 bytes at `bytes` with the first in the highest bits.
inline std::uint64_t load_big_endian(std::uint8_t const* bytes) noexcept {
    std::uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}

/// The code of the k letters from the packed letter `i` on, k <= 32. Reads 9 bytes.
inline std::uint64_t window_code(std::uint8_t const* packed, std::size_t i, unsigned k) noexcept {
    std::uint8_t const* const at = packed + i / 4;
    auto const shift = static_cast<unsigned>(2 * (i % 4));
    std::uint64_t const rest = static_cast<std::uint64_t>(at[8]) >> (8 - shift);
    return (load_big_endian(at) << shift | rest) >> (64 - 2 * k);
}

/// Number of windows of k letters.
constexpr std::size_t kmer_windows(std::size_t letters, unsigned k) noexcept {
    return letters < k ? 0 : letters - k + 1;
}

/// Letters packed at a time; the packed bytes stay in the first-level cache. 2,048 and 32,768 were
/// 5-10 % slower (benches/bench_kmer.py, k = 4 to 8).
inline constexpr std::size_t kPackedLetters = 8192;
/// Unless its run ends there, a piece has a multiple of this many windows.
inline constexpr std::size_t kPieceStep = 48;

/// A piece of a run of letters without unknowns.
struct PackedRun {
    std::uint8_t const* packed;  ///< `windows + k - 1` letters, and 16 readable bytes at each
    std::size_t windows;         ///< at least 1
    std::size_t position;        ///< of the first letter in the sequence
    Bytes ahead;                 ///< the letters after the piece, worth prefetching
};

/// Calls `body(PackedRun)` for pieces which together have every window of k known letters of
/// `letters` once, in order. Returns the position of the first byte that is no nucleotide letter
/// (the pieces after it are left out), or kNone.
template <class Body>
std::size_t for_each_run(Bytes letters, unsigned k, Body const& body, Isa isa = active_isa()) {
    ByteTable const& table = kDna.table();
    alignas(64) std::array<std::uint8_t, packed_size(kPackedLetters)> packed{};
    std::size_t begin = 0;
    while (begin < letters.size()) {
        std::size_t const want = std::min(kPackedLetters, letters.size() - begin);
        std::size_t const got = pack_run(letters.subspan(begin, want), packed.data(), isa);
        std::size_t const end = begin + got;
        bool const more = got == want && end < letters.size();  // the run may go on
        std::size_t windows = kmer_windows(got, k);
        if (more) windows -= windows % kPieceStep;
        if (windows != 0) body(PackedRun{packed.data(), windows, begin, letters.subspan(end)});
        if (more) {
            begin += windows;
            continue;
        }
        begin = end;
        while (begin < letters.size() && table[letters[begin]] == kDna.size()) ++begin;
        if (begin < letters.size() && table[letters[begin]] == kInvalid) return begin;
    }
    return kNone;
}

/// All windows of k letters in a batch.
inline std::size_t kmer_windows(Sequences sequences, unsigned k) noexcept {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < sequences.size(); ++i) sum += kmer_windows(sequences[i].size(), k);
    return sum;
}

/// As for_each_run, over the windows [from, to) of a batch, counted through all its sequences;
/// `body(sequence, PackedRun)`. Returns the first byte refused, if any.
template <class Body>
std::optional<Place> for_each_run(Sequences sequences, unsigned k, std::size_t from, std::size_t to,
                                  Body const& body, Isa isa = active_isa()) {
    std::size_t first = 0;  // window of the sequence
    for (std::size_t s = 0; s < sequences.size() && first < to; ++s) {
        std::size_t const windows = kmer_windows(sequences[s].size(), k);
        if (first + windows > from && windows != 0) {
            std::size_t const begin = from > first ? from - first : 0;
            std::size_t const end = std::min(windows, to - first);
            std::size_t const refused = for_each_run(
                sequences[s].subspan(begin, end - begin + k - 1), k,
                [&](PackedRun run) {
                    run.position += begin;
                    body(s, run);
                },
                isa);
            if (refused != kNone) return Place{s, begin + refused};
        }
        first += windows;
    }
    return std::nullopt;
}

/// The first byte of a batch that is no nucleotide letter, of the sequences that are shorter than
/// `below`.
inline std::optional<Place> find_refused(Sequences sequences, std::size_t below = kNone,
                                         Isa isa = active_isa()) noexcept {
    ByteTable const& table = kDna.table();
    for (std::size_t s = 0; s < sequences.size(); ++s) {
        if (sequences[s].size() >= below || sequences[s].empty()) continue;
        if (highest_entry(sequences[s], table, isa) != kInvalid) continue;
        return Place{s, find_above(sequences[s], table, kDna.size())};
    }
    return std::nullopt;
}

/// The earlier of two places that may not be.
constexpr std::optional<Place> earlier(std::optional<Place> a, std::optional<Place> b) noexcept {
    if (!a || !b) return a ? a : b;
    return std::min(*a, *b);
}

/// Calls `body(part)` for each part in [0, parts) on a thread of its own, and throws what one
/// threw.
template <class Body>
void parallel_parts(std::size_t parts, Body const& body) {
    std::vector<std::exception_ptr> errors(parts);
    parallel_for(parts, parts, [&](std::size_t begin, std::size_t end) {
        for (std::size_t part = begin; part < end; ++part) {
            try {
                body(part);
            } catch (...) {
                errors[part] = std::current_exception();
            }
        }
    });
    for (auto const& error : errors) {
        if (error) std::rethrow_exception(error);
    }
}

/// Splits the windows [from, to) of a batch over threads: `body(part, begin, end)` returns the
/// first byte it refused. Returns the first of all, sequences shorter than k included.
template <class Body>
std::optional<Place> split_windows(Sequences sequences, unsigned k, std::size_t from,
                                   std::size_t to, std::size_t threads, Body const& body) {
    std::vector<std::optional<Place>> refused(threads);
    parallel_parts(threads, [&](std::size_t part) {
        std::size_t const size = (to - from) / threads, extra = (to - from) % threads;
        std::size_t const begin = from + part * size + std::min(part, extra);
        refused[part] = body(part, begin, begin + size + (part < extra ? 1 : 0));
    });
    std::optional<Place> first = find_refused(sequences, k);
    for (auto const& place : refused) first = earlier(first, place);
    return first;
}

/// Code of every window of one sequence, and whether it has one; both of kmer_windows() elements,
/// a window without code has code 0. Returns the position of the first byte that is no nucleotide
/// letter, or kNone.
inline std::size_t kmer_codes(Bytes letters, unsigned k, bool canonical,
                              std::span<std::uint64_t> codes, std::span<bool> valid,
                              Isa isa = active_isa()) {
    std::fill(codes.begin(), codes.end(), 0);
    std::fill(valid.begin(), valid.end(), false);
    auto const write = [&](PackedRun const& run) {
        for (std::size_t i = 0; i < run.windows; ++i) {
            std::uint64_t const code = window_code(run.packed, i, k);
            codes[run.position + i] = canonical ? canonical_code(code, k) : code;
            valid[run.position + i] = true;
        }
    };
    return for_each_run(letters, k, write, isa);
}

}  // namespace seqtile
