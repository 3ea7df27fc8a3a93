#include "kmer/minimizer.hpp"
#include "kmer_check.hpp"

namespace seqtile {
namespace {

using test::bytes;

/// Every window looked at anew; of equal k-mers the one of the window before, else the last.
Minimizers plain_minimizers(std::string_view text, unsigned k, std::size_t w, bool canonical) {
    Minimizers out;
    auto const codes = test::codes_of(text, k, canonical);
    std::size_t kept = kNone;
    for (std::size_t begin = 0; begin + w <= codes.size(); ++begin) {
        std::size_t best = kNone;
        bool whole = true;
        auto const hash = [&](std::size_t i) { return minimizer_hash(*codes[i], kmer_mask(k)); };
        for (std::size_t i = begin; i < begin + w; ++i) {
            whole = whole && codes[i];
            if (whole && (best == kNone || hash(i) <= hash(best))) best = i;
        }
        if (!whole) {
            kept = kNone;
            continue;
        }
        if (kept != kNone && kept >= begin && hash(kept) == hash(best)) continue;
        kept = best;
        out.positions.push_back(static_cast<std::int64_t>(best));
        out.codes.push_back(*codes[best]);
    }
    return out;
}

void unit_hash() {
    // No two of the 4^5 codes have the same hash.
    std::vector<bool> seen(1024);
    for (std::uint64_t code = 0; code < 1024; ++code) {
        std::uint64_t const hash = minimizer_hash(code, 1023);
        CHECK(hash < 1024 && !seen[hash]);
        seen[hash] = true;
    }
}

void unit_minimizers() {
    Minimizers run;  // equal k-mers: one in w
    CHECK_EQUAL(minimizers(bytes("AAAAAAAAAAAA"), 3, 4, true, run), kNone);
    CHECK(run.positions == (std::vector<std::int64_t>{3, 7}));
    CHECK(run.codes == (std::vector<std::uint64_t>{0, 0}));
    Minimizers few;  // no whole window
    CHECK_EQUAL(minimizers(bytes("ACGTACN"), 3, 5, true, few), kNone);
    CHECK(few.positions.empty());
    CHECK_EQUAL(minimizers(bytes("ACGTAC-XE"), 3, 5, true, few), 8U);
}

void agreement_of_minimizers() {
    std::mt19937 random(7);
    auto texts = test::random_batch(random);
    texts.push_back("ACACACACACACACACACACACACACACACACACACAC");
    for (auto const& text : texts) {
        for (unsigned const k : {1U, 5U, 15U, 32U}) {
            for (std::size_t const w : {1U, 2U, 10U, 100U}) {
                for (bool const canonical : {false, true}) {
                    Minimizers out;
                    CHECK_EQUAL(minimizers(bytes(text), k, w, canonical, out), kNone);
                    Minimizers const expected = plain_minimizers(text, k, w, canonical);
                    CHECK(out.positions == expected.positions);
                    CHECK(out.codes == expected.codes);
                }
            }
        }
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_hash();
    seqtile::unit_minimizers();
    seqtile::agreement_of_minimizers();
    return seqtile::test::result();
}
