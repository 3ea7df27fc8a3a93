#include <optional>

#include "../check.hpp"
#include "sequence/window.hpp"

namespace seqtile {
namespace {

using test::bytes;
using Counts = std::vector<std::uint32_t>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Counts counted(std::string_view letters, std::size_t window, std::size_t stride) {
    Counts out(window_count(letters.size(), window, stride));
    CHECK_EQUAL(unknown_counts(bytes(letters), window, stride, out), kNone);
    return out;
}

struct Region {
    std::size_t first_window;
    std::size_t windows;
    std::size_t first_base;
    std::size_t bases;
};

/// The scores of a whole sequence, reduced over a region of it.
std::vector<float> reduced(std::vector<float> const& scores, std::size_t window, std::size_t stride,
                           Reduce how, Region region) {
    std::vector<float> out(region.bases);
    reduce_windows(std::span(scores).subspan(region.first_window, region.windows),
                   region.first_window, window, stride, region.first_base, how, out);
    return out;
}

std::vector<float> reduced(std::vector<float> const& scores, std::size_t window, std::size_t stride,
                           Reduce how, std::size_t bases) {
    return reduced(scores, window, stride, how, {0, scores.size(), 0, bases});
}

/// One base, from every window of the sequence.
float reduce_base(std::vector<float> const& scores, std::size_t window, std::size_t stride,
                  Reduce how, std::size_t base) {
    double sum = 0;
    int covering = 0;
    std::optional<float> largest;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (base < i * stride || base >= i * stride + window || std::isnan(scores[i])) continue;
        sum += static_cast<double>(scores[i]);
        ++covering;
        largest = std::max(largest.value_or(scores[i]), scores[i]);
    }
    if (covering == 0) return kNan;
    return how == Reduce::max ? *largest : static_cast<float>(sum / covering);
}

bool near(float actual, float expected) {
    if (std::isnan(expected)) return std::isnan(actual);
    return actual == expected || std::abs(actual - expected) <= 1e-6F;
}

bool all_near(std::vector<float> const& actual, std::vector<float> const& expected) {
    return std::equal(actual.begin(), actual.end(), expected.begin(), expected.end(), near);
}

void unit_window_count() {
    static_assert(window_count(0, 1, 1) == 0 && window_count(4, 5, 1) == 0);
    static_assert(window_count(5, 5, 1) == 1 && window_count(5, 5, 100) == 1);
    static_assert(window_count(10, 3, 1) == 8 && window_count(10, 3, 3) == 3);
    static_assert(window_count(10, 3, 4) == 2 && window_count(11, 3, 4) == 3);
}

void unit_unknown_counts() {
    CHECK(counted("ACGT", 5, 1).empty());
    CHECK(counted("acguT", 2, 1) == (Counts{0, 0, 0, 0}));
    CHECK(counted("NNACN", 2, 1) == (Counts{2, 1, 0, 1}));
    CHECK(counted("NNACRn", 2, 2) == (Counts{2, 0, 2}));
    CHECK(counted("NACNNACN", 1, 3) == (Counts{1, 1, 0}));
    CHECK(counted("AX-*.xC", 3, 1) == (Counts{2, 3, 3, 3, 2}));
    Counts out(3);
    CHECK_EQUAL(unknown_counts(bytes("ACENx"), 2, 1, out), 2U);
    CHECK_EQUAL(unknown_counts(bytes("ACGE"), 2, 1, out), 3U);
}

void unit_reduce_windows() {
    // Windows [0, 3), [2, 5), [4, 7) over 8 bases.
    std::vector<float> const scores{1, 4, 2};
    CHECK(all_near(reduced(scores, 3, 2, Reduce::mean, 8), {1, 1, 2.5F, 4, 3, 2, 2, kNan}));
    CHECK(all_near(reduced(scores, 3, 2, Reduce::max, 8), {1, 1, 4, 4, 4, 2, 2, kNan}));
    CHECK(all_near(reduced({1, kNan, 2}, 3, 2, Reduce::mean, 8), {1, 1, 1, kNan, 2, 2, 2, kNan}));
    CHECK(all_near(reduced({1, kNan, 2}, 3, 2, Reduce::max, 8), {1, 1, 1, kNan, 2, 2, 2, kNan}));
    CHECK(all_near(reduced({3, 5}, 1, 3, Reduce::mean, 5), {3, kNan, kNan, 5, kNan}));
    CHECK(all_near(reduced({}, 3, 1, Reduce::max, 2), {kNan, kNan}));
    // The part of the first case from base 3 on needs the windows from 1 on.
    CHECK(all_near(reduced(scores, 3, 2, Reduce::mean, {1, 2, 3, 3}), {4, 3, 2}));
}

void unit_an_infinite_score_stays_in_its_window() {
    // Windows of 2 at every base, always overlapping: no base between them clears the sum.
    std::vector<float> const up{1, kInfinity, 3, 5};
    CHECK(all_near(reduced(up, 2, 1, Reduce::mean, 5), {1, kInfinity, kInfinity, 4, 5}));
    std::vector<float> const both{-kInfinity, kInfinity, 3, 5};
    CHECK(all_near(reduced(both, 2, 1, Reduce::mean, 5), {-kInfinity, kNan, kInfinity, 4, 5}));
    CHECK(all_near(reduced(both, 2, 1, Reduce::max, 5), {-kInfinity, kInfinity, kInfinity, 5, 5}));
}

void agreement_unknown_counts_with_a_loop() {
    std::mt19937 random(5);
    for (std::size_t length = 0; length < 40; ++length) {
        std::string const letters = test::random_letters(random, "ACGTUNnr-*.X", length);
        for (std::size_t window = 1; window < 12; ++window) {
            for (std::size_t stride = 1; stride < 15; ++stride) {
                Counts expected;
                for (std::size_t from = 0; from + window <= length; from += stride) {
                    std::uint32_t unknown = 0;
                    for (std::size_t i = from; i < from + window; ++i) {
                        unknown += std::string_view("Nnr-*.X").find(letters[i]) < 7;
                    }
                    expected.push_back(unknown);
                }
                CHECK(counted(letters, window, stride) == expected);
            }
        }
    }
}

void agreement_reduce_windows_with_a_loop() {
    std::mt19937 random(6);
    std::uniform_int_distribution<int> score(-8, 11);
    for (std::size_t window = 1; window < 10; ++window) {
        for (std::size_t stride = 1; stride < 13; ++stride) {
            for (std::size_t const length : {1U, 9U, 30U, 47U}) {
                std::vector<float> scores(window_count(length, window, stride));
                for (float& one : scores) {
                    int const drawn = score(random);
                    one = drawn > 8 ? kNan : static_cast<float>(drawn) / 3;
                }
                for (Reduce const how : {Reduce::mean, Reduce::max}) {
                    std::vector<float> whole;
                    for (std::size_t base = 0; base < length; ++base) {
                        whole.push_back(reduce_base(scores, window, stride, how, base));
                    }
                    CHECK(all_near(reduced(scores, window, stride, how, length), whole));
                    // In two blocks: the second starts with the first window that reaches it.
                    std::size_t const cut = length / 2;
                    std::size_t const first =
                        std::min(scores.size(), cut < window ? 0 : (cut - window) / stride + 1);
                    Region const rest{first, scores.size() - first, cut, length - cut};
                    CHECK(
                        all_near(reduced(scores, window, stride, how, rest),
                                 {whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end()}));
                }
            }
        }
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_window_count();
    seqtile::unit_unknown_counts();
    seqtile::unit_reduce_windows();
    seqtile::unit_an_infinite_score_stays_in_its_window();
    seqtile::agreement_unknown_counts_with_a_loop();
    seqtile::agreement_reduce_windows_with_a_loop();
    return seqtile::test::result();
}
