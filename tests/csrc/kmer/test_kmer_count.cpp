#include <array>

#include "kmer/kmer_dense.hpp"
#include "kmer/kmer_sparse.hpp"
#include "kmer_check.hpp"

namespace seqtile {
namespace {

using test::bytes;
using test::for_each_isa;
using Counts = std::vector<std::uint64_t>;
// 4^k cells: between 8 and the largest they only cost time.
constexpr std::array kDenseKs{1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, kMaxDenseK};

void check_counts(Counts const& actual, std::map<std::uint64_t, std::uint64_t> const& expected) {
    std::map<std::uint64_t, std::uint64_t> found;
    for (auto const *cell = actual.data(), *end = cell + actual.size(); cell != end; ++cell) {
        if (*cell != 0) found[static_cast<std::uint64_t>(cell - actual.data())] = *cell;
    }
    CHECK(found == expected);
}

Counts count_dense(std::vector<std::string> const& texts, unsigned k, std::size_t threads,
                   DenseLimits limits, Isa isa = best_isa()) {
    Counts counts(std::size_t{1} << 2 * k);
    DenseCounter counter(k, counts, limits);
    for (int i = 0; i < 2; ++i) CHECK(!counter.add(test::views(texts), threads, isa));
    counter.flush();
    counter.flush();
    return counts;
}

void unit_dense() {
    Counts counts(16);
    DenseCounter counter(2, counts);
    std::vector<std::string> const texts{"AACaN", "T", "TTu"};
    CHECK(!counter.add(test::views(texts)));
    counter.flush();
    CHECK(counts == (Counts{1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}));
    fold_canonical(2, counts);
    CHECK(counts == (Counts{3, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    bool refused = false;
    try {
        DenseCounter(13, counts);
    } catch (std::invalid_argument const&) {
        refused = true;
    }
    CHECK(refused);
}

/// With the tables and without, all in one table or emptied often, one thread or more.
void agreement_of_dense() {
    std::mt19937 random(4);
    auto texts = test::random_batch(random);
    texts.push_back(test::random_letters(random, "ACGTACGTAAAAAAATTTT", 20000));
    for (unsigned const k : kDenseKs) {
        auto expected = test::counts_of(texts, k, false);
        for (auto& [code, count] : expected) count *= 2;
        for (std::size_t const threads : {1U, 3U}) {
            check_counts(count_dense(texts, k, threads, {}), expected);
            check_counts(count_dense(texts, k, threads, {.few = 0}), expected);
        }
        check_counts(count_dense(texts, k, 2, {.full = 1, .few = 0}), expected);
        if (k % 3 != 0) continue;
        for_each_isa(
            [&](Isa isa) { check_counts(count_dense(texts, k, 1, {.few = 0}, isa), expected); });
    }
}

/// Cells of 8 bits wrap, and cells of 32 bits are emptied in time.
void unit_overflow() {
    std::vector<std::string> const texts{std::string(20001, 'A'), std::string(19999, 'T')};
    for (unsigned const k : kDenseKs) {
        for (std::size_t const threads : {1U, 2U}) {
            for (std::uint64_t const full : {std::uint64_t{1}, std::uint64_t{4000}}) {
                Counts const counts = count_dense(texts, k, threads, {.full = full, .few = 0});
                CHECK_EQUAL(counts.front(), 2 * (20002 - k));
                CHECK_EQUAL(counts.back(), 2 * (20000 - k));
            }
        }
    }
}

void unit_dense_refused() {
    std::vector<std::string> const texts{"ACGT", std::string(50000, 'A') + "!", "?"};
    for (std::size_t const threads : {1U, 2U, 4U}) {
        for (unsigned const k : {2U, 4U, 12U}) {
            Counts counts(std::size_t{1} << 2 * k);
            DenseCounter counter(k, counts, {.few = 0});
            CHECK((counter.add(test::views(texts), threads) == Place{1, 50000}));
        }
    }
}

void check_table(SparseTable const& table, std::map<std::uint64_t, std::uint64_t> const& expected) {
    Counts codes, counts;
    for (auto const& [code, count] : expected) {
        codes.push_back(code);
        counts.push_back(count);
    }
    auto const found = table.codes(), numbers = table.counts();
    CHECK((Counts(found.begin(), found.end()) == codes));
    CHECK((Counts(numbers.begin(), numbers.end()) == counts));
}

/// Any number of rounds and calls, kept batches and direct ones.
void agreement_of_sparse() {
    std::mt19937 random(5);
    auto texts = test::random_batch(random);
    texts.push_back(texts[0]);
    for (unsigned const k : {1U, 5U, 6U, 13U, 21U, 32U}) {
        for (bool const canonical : {false, true}) {
            auto const expected = test::counts_of(texts, k, canonical);
            for (std::size_t const round :
                 {std::size_t{1}, std::size_t{7000}, std::size_t{1} << 25}) {
                for (std::size_t const threads : {1U, 3U}) {
                    SparseCounter whole(k, canonical, round), single(k, canonical, round);
                    CHECK(!whole.add(test::views(texts), threads));
                    whole.flush(threads);
                    check_table(whole.table(), expected);
                    for (Bytes const text : test::views(texts)) {
                        CHECK(!single.add(std::vector<Bytes>{text}, threads));
                    }
                    single.flush(threads);
                    CHECK_EQUAL(single.size(), expected.size());
                    check_table(single.release(), expected);
                    CHECK_EQUAL(single.size(), 0U);
                }
            }
        }
    }
    auto const expected = test::counts_of(texts, 17, true);
    for_each_isa([&](Isa isa) {
        SparseCounter counter(17, true);
        CHECK(!counter.add(test::views(texts), 2, isa));
        counter.flush(2, isa);
        check_table(counter.table(), expected);
    });
}

/// A batch that is refused leaves no trace, kept or not.
void unit_sparse_refused() {
    std::string const good = "ACGTACGTACGTAAC";
    std::vector<std::string> const bad{good, "A", "AC!"};
    for (std::size_t const round : {std::size_t{1}, std::size_t{1} << 20}) {
        SparseCounter counter(13, false, round);
        CHECK(!counter.add(std::vector<Bytes>{bytes(good)}));
        CHECK((counter.add(test::views(bad), 2) == Place{2, 2}));
        counter.flush();
        check_table(counter.table(), test::counts_of({good}, 13, false));
    }
}

void agreement_of_sort() {
    std::mt19937_64 random(6);
    for (unsigned const bits : {0U, 1U, 10U, 22U, 33U, 52U, 64U}) {
        for (std::size_t const size : {0U, 1U, 2U, 24U, 25U, 300U, 5000U, 65537U, 100000U}) {
            for (int kind = 0; kind < 4; ++kind) {
                Counts codes(size), other(size);
                std::uint64_t const mask = bits == 0 ? 0 : ~0ULL >> (64 - bits);
                for (std::size_t i = 0; i < size; ++i) {
                    std::uint64_t code = random();                    // all different
                    if (kind == 1) code %= 5;                         // the lowest bits alone
                    if (kind == 2) code = code % 3 ? 42 : code >> 1;  // one of them often
                    if (kind == 3) code = size - i;                   // falling
                    codes[i] = (code & mask) | (bits < 60 ? std::uint64_t{5} << 60 : 0);
                }
                Counts expected = codes;
                std::sort(expected.begin(), expected.end());
                sort_codes(codes, other, bits);
                CHECK(codes == expected);
            }
        }
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_dense();
    seqtile::agreement_of_dense();
    seqtile::unit_overflow();
    seqtile::unit_dense_refused();
    seqtile::agreement_of_sort();
    seqtile::agreement_of_sparse();
    seqtile::unit_sparse_refused();
    return seqtile::test::result();
}
