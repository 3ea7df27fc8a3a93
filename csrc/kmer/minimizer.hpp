// Minimizers: a sample of k-mers such that two sequences with w + k - 1 letters in common share
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "kmer.hpp"

namespace seqtile {

/// Mixes the lowest bits under `mask` (2^n - 1); no two codes have the same hash. From minimap2
/// (sketch.c, hash64; Li 2018, doi:10.1093/bioinformatics/bty191), after Thomas Wang.
constexpr std::uint64_t minimizer_hash(std::uint64_t code, std::uint64_t mask) noexcept {
    code = (~code + (code << 21)) & mask;
    code ^= code >> 24;
    code = (code + (code << 3) + (code << 8)) & mask;
    code ^= code >> 14;
    code = (code + (code << 2) + (code << 4)) & mask;
    code ^= code >> 28;
    return (code + (code << 31)) & mask;
}

struct Minimizers {
    std::vector<std::int64_t> positions;  ///< of the k-mers' first letters, rising
    std::vector<std::uint64_t> codes;
};

/// The k-mer with the smallest hash among each `w` consecutive k-mers, each position once. Of equal
/// ones, that of the window before is kept while it lasts, else the last is taken ("robust
/// winnowing", Schleimer et al. 2003, doi:10.1145/872757.872770): a run of one letter then has one
/// minimizer in w positions. A window with an unknown letter has none. Returns the position of the
/// first byte that is no nucleotide letter, or kNone. Precondition: w >= 1.
inline std::size_t minimizers(Bytes letters, unsigned k, std::size_t w, bool canonical,
                              Minimizers& out, Isa isa = active_isa()) {
    struct Kmer {
        std::uint64_t hash, code;
    };
    std::vector<Kmer> ring(w);
    std::uint64_t const mask = kmer_mask(k);
    std::size_t next = 0;   // position of the next k-mer
    std::size_t begin = 0;  // of the run of k-mers without a gap that ends there
    std::size_t best = 0;   // of the smallest in the window
    bool reported = false;
    std::size_t slot = 0;  // next % w, since the run began
    auto const slot_of = [&](std::size_t position) {
        std::size_t const back = next - 1 - position;  // < w
        std::size_t const last = slot == 0 ? w - 1 : slot - 1;
        return last >= back ? last - back : last + w - back;
    };
    auto const step = [&](PackedRun const& run) {
        if (run.position != next) begin = next = run.position;
        for (std::size_t i = 0; i < run.windows; ++i) {
            std::uint64_t code = window_code(run.packed, i, k);
            if (canonical) code = canonical_code(code, k);
            Kmer const kmer{minimizer_hash(code, mask), code};
            std::size_t const before = next - begin;  // k-mers of the run
            bool smaller = before == 0;
            if (!smaller) {
                std::uint64_t const least = ring[slot_of(best)].hash;
                smaller = kmer.hash < least || (kmer.hash == least && before < w);
            }
            ring[slot] = kmer;
            slot = slot + 1 == w ? 0 : slot + 1;
            ++next;
            if (smaller) {
                best = next - 1;
                reported = false;
            } else if (best + w < next) {  // it has left the window
                best = next - 1;
                for (std::size_t at = next - 1; at-- > next - w;) {
                    if (ring[slot_of(at)].hash < ring[slot_of(best)].hash) best = at;
                }
                reported = false;
            }
            if (!reported && next - begin >= w) {
                out.positions.push_back(static_cast<std::int64_t>(best));
                out.codes.push_back(ring[slot_of(best)].code);
                reported = true;
            }
        }
    };
    return for_each_run(letters, k, step, isa);
}

}  // namespace seqtile
