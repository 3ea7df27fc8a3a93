#include <memory>

#include "kmer/kmer_roll.hpp"
#include "kmer/kmer_rows.hpp"
#include "kmer_check.hpp"

namespace seqtile {
namespace {

using test::bytes;
using test::for_each_isa;

void unit_codes() {
    static_assert(kmer_mask(1) == 3 && kmer_mask(4) == 0xFF && kmer_mask(32) == ~0ULL);
    static_assert(reverse_complement_code(0b00'01'10'11, 4) == 0b00'01'10'11);  // ACGT
    static_assert(reverse_complement_code(0b00'00'01, 3) == 0b10'11'11);        // AAC -> GTT
    static_assert(reverse_complement_code(0, 32) == ~0ULL);
    static_assert(canonical_code(0b11, 1) == 0 && canonical_code(0b01, 1) == 0b01);
    static_assert(kmer_windows(5, 5) == 1 && kmer_windows(4, 5) == 0 && kmer_windows(0, 1) == 0);
}

void unit_pack_run() {
    for_each_isa([](Isa isa) {
        std::vector<std::uint8_t> out(packed_size(9));
        CHECK_EQUAL(pack_run(bytes("ACGTacguN"), out.data(), isa), 8U);
        CHECK(out[0] == 0b00'01'10'11 && out[1] == 0b00'01'10'11);
        CHECK_EQUAL(pack_run(bytes("TTCN"), out.data(), isa), 3U);
        CHECK_EQUAL(out[0] >> 2, 0b11'11'01);
        CHECK_EQUAL(pack_run({}, out.data(), isa), 0U);
    });
}

/// Every byte ends the run or does not as the alphabet says, at every place of a block.
void agreement_of_pack_run() {
    std::mt19937 random(1);
    for (std::size_t size = 0; size <= 200; ++size) {
        std::string text = test::random_letters(random, "ACGTUacgtu", size);
        if (size != 0 && size % 3 != 0) text[random() % size] = static_cast<char>(random() % 256);
        // An allocation of its own: the sanitizer sees a read past it.
        std::vector<std::uint8_t> const exact(text.begin(), text.end());
        std::size_t known = 0;
        while (known < size && test::code_of(std::string_view(text).substr(known, 1))) ++known;
        for_each_isa([&](Isa isa) {
            std::vector<std::uint8_t> out(packed_size(size));
            CHECK_EQUAL(pack_run(exact, out.data(), isa), known);
            for (std::size_t i = 0; i < known; ++i) {
                CHECK_EQUAL(window_code(out.data(), i, 1),
                            *test::code_of(std::string_view(text).substr(i, 1)));
            }
        });
    }
    for (int byte = 0; byte < 256; ++byte) {
        std::string const text(100, static_cast<char>(byte));
        bool const known = test::code_of(text.substr(0, 1)).has_value();
        for_each_isa([&](Isa isa) {
            std::vector<std::uint8_t> out(packed_size(100));
            CHECK_EQUAL(pack_run(bytes(text), out.data(), isa), known ? 100U : 0U);
        });
    }
}

void agreement_of_codes() {
    std::mt19937 random(2);
    for (auto const& text : test::random_batch(random)) {
        for (unsigned const k : {1U, 2U, 4U, 11U, 21U, 28U, 29U, 30U, 31U, 32U}) {
            for (bool const canonical : {false, true}) {
                auto const expected = test::codes_of(text, k, canonical);
                for_each_isa([&](Isa isa) {
                    std::vector<std::uint64_t> codes(expected.size(), 7);
                    auto const valid = std::make_unique<bool[]>(expected.size());
                    CHECK_EQUAL(kmer_codes(bytes(text), k, canonical, codes,
                                           {valid.get(), expected.size()}, isa),
                                kNone);
                    for (std::size_t i = 0; i < expected.size(); ++i) {
                        CHECK_EQUAL(valid[i], expected[i].has_value());
                        CHECK_EQUAL(codes[i], expected[i].value_or(0));
                    }
                });
            }
        }
    }
}

void unit_refused() {
    for_each_isa([](Isa isa) {
        auto const nothing = [](PackedRun const&) {};
        std::string text(20000, 'A');
        CHECK_EQUAL(for_each_run(bytes(text), 5, nothing, isa), kNone);
        text[19999] = '!';
        CHECK_EQUAL(for_each_run(bytes(text), 5, nothing, isa), 19999U);
        text[9000] = '\x80';
        text[8999] = 'N';
        CHECK_EQUAL(for_each_run(bytes(text), 5, nothing, isa), 9000U);
    });
    std::vector<std::string> const texts{"ACGT", "-", "A", "A!", "ACET"};
    auto const batch = test::views(texts);
    CHECK(find_refused(batch) == (Place{3, 1}));
    CHECK(find_refused(batch, 2) == std::nullopt);
    for (std::size_t const threads : {1U, 2U, 5U}) {
        auto const scan = [&](std::size_t, std::size_t begin, std::size_t end) {
            return for_each_run(batch, 4, begin, end, [](std::size_t, PackedRun const&) {});
        };
        CHECK(split_windows(batch, 4, 0, kmer_windows(batch, 4), threads, scan) == (Place{3, 1}));
    }
}

/// Any part of a batch's windows, in order.
void agreement_of_parts() {
    std::mt19937 random(3);
    auto const texts = test::random_batch(random);
    auto const batch = test::views(texts);
    unsigned const k = 7;
    std::vector<std::optional<std::uint64_t>> all;
    for (auto const& text : texts) {
        auto const codes = test::codes_of(text, k, false);
        all.insert(all.end(), codes.begin(), codes.end());
    }
    CHECK_EQUAL(kmer_windows(batch, k), all.size());
    for (int round = 0; round < 50; ++round) {
        std::size_t from = random() % (all.size() + 1), to = random() % (all.size() + 1);
        if (from > to) std::swap(from, to);
        std::vector<std::uint64_t> expected, actual;
        for (std::size_t i = from; i < to; ++i) {
            if (all[i]) expected.push_back(*all[i]);
        }
        auto const add = [&](std::size_t s, PackedRun const& run) {
            for (std::size_t i = 0; i < run.windows; ++i) {
                actual.push_back(window_code(run.packed, i, k));
                CHECK(test::code_of(texts[s].substr(run.position + i, k)) == actual.back());
            }
        };
        CHECK(for_each_run(batch, k, from, to, add) == std::nullopt);
        CHECK(actual == expected);
    }
}

/// All codes and a part of them; runs of every length, of letters packed in their own memory.
void agreement_of_take_codes() {
    std::mt19937 random(4);
    for (unsigned k = 1; k <= kMaxK; ++k) {
        for (std::size_t const windows : {1U, 2U, 7U, 8U, 9U, 64U, 100U + k}) {
            auto const text = test::random_letters(random, "ACGT", windows + k - 1);
            std::vector<std::uint8_t> packed(packed_size(text.size()));
            CHECK_EQUAL(pack_run(bytes(text), packed.data()), text.size());
            PackedRun const run{packed.data(), windows, 0, {}};
            unsigned const shift = 2 * k - std::min(2 * k, 4U);
            CodeRange const all{shift, 0, std::uint64_t{1} << (2 * k - shift)}, some{shift, 1, 2};
            for (bool const canonical : {false, true}) {
                for (CodeRange const range : {all, some}) {
                    std::vector<std::uint64_t> expected;
                    for (auto const& code : test::codes_of(text, k, canonical)) {
                        std::uint64_t const part = *code >> range.shift;
                        if (part >= range.first && part < range.first + range.count) {
                            expected.push_back(*code);
                        }
                    }
                    for_each_isa([&](Isa isa) {
                        std::vector<std::uint64_t> codes(windows + 8);
                        codes.resize(canonical
                                         ? take_codes<true>(run, k, range, codes.data(), isa)
                                         : take_codes<false>(run, k, range, codes.data(), isa));
                        CHECK(codes == expected);
                    });
                }
            }
        }
    }
}

void unit_rows() {
    std::vector<std::string> const texts{"ACGTN", "", "aa"};
    auto const batch = test::views(texts);
    std::vector<std::uint32_t> const columns{0, 1, 1, 0};
    std::vector<float> out(6, -1.0F);
    CHECK(!kmer_rows<float>(batch, 1, columns, 2, false, out.data(), 2));
    CHECK(out == (std::vector<float>{2, 2, 0, 0, 2, 0}));
    CHECK(!kmer_rows<float>(batch, 1, columns, 2, true, out.data(), 1));
    CHECK(out == (std::vector<float>{0.5, 0.5, 0, 0, 1, 0}));
    std::vector<std::string> const bad{"AC", "A?", "?"};
    CHECK((kmer_rows<float>(test::views(bad), 1, columns, 2, false, out.data(), 3) == Place{1, 1}));
    // More windows than float counts one by one.
    std::string const many((std::size_t{1} << 24) + 3, 'C');
    std::vector<Bytes> const one{bytes(many)};
    CHECK(!kmer_rows<float>(one, 1, columns, 2, false, out.data(), 1));
    CHECK(out[1] == static_cast<float>(many.size()));
}

void unit_lines() {
    std::vector<std::uint64_t> const codes{0, 0b01'10'11, 0b11'11'11}, counts{1, 20, ~0ULL};
    CHECK_EQUAL(kmer_lines(codes, counts, 3), "AAA\t1\nCGT\t20\nTTT\t18446744073709551615\n");
    std::vector<std::uint64_t> const last{~0ULL}, once{1};
    CHECK_EQUAL(kmer_lines(last, once, 32), std::string(32, 'T') + "\t1\n");
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_codes();
    seqtile::unit_pack_run();
    seqtile::agreement_of_pack_run();
    seqtile::agreement_of_codes();
    seqtile::unit_refused();
    seqtile::agreement_of_parts();
    seqtile::agreement_of_take_codes();
    seqtile::unit_rows();
    seqtile::unit_lines();
    return seqtile::test::result();
}
