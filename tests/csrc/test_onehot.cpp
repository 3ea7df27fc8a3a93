#include <atomic>

#include "check.hpp"
#include "onehot.hpp"
#include "parallel.hpp"

namespace seqtile {
namespace {

using test::bytes;
using test::text;

/// `guard` cells after the result show a write past its end.
template <class T>
std::vector<T> encoded(std::string_view letters, Alphabet const& alphabet, Layout layout,
                       OneHotValues<T> values, std::size_t length) {
    constexpr std::size_t guard = 8;
    constexpr T untouched = 77;
    std::size_t const cells = length * alphabet.size();
    std::vector<T> out(cells + guard, untouched);
    one_hot(bytes(letters), alphabet, layout, values, length, out.data());
    CHECK(std::all_of(out.begin() + static_cast<std::ptrdiff_t>(cells), out.end(),
                      [](T cell) { return cell == untouched; }));
    out.resize(cells);
    return out;
}

template <class T>
std::string decoded(std::vector<T> const& scores, std::string_view letters, Layout layout,
                    char unknown = 'N') {
    std::vector<std::uint8_t> out(scores.size() / letters.size());
    decode(scores.data(), std::span(letters.data(), letters.size()), layout, out.size(), unknown,
           out);
    return text(out);
}

void unit_one_hot() {
    constexpr OneHotValues<float> uniform{0, 1, 0.25F};
    std::vector<float> const ncl{1, 0, 0.25F, 0,   // A
                                 0, 1, 0.25F, 0,   // C
                                 0, 0, 0.25F, 0,   // G
                                 0, 0, 0.25F, 0};  // T
    CHECK(encoded("aCn", kDna, Layout::ncl, uniform, 4) == ncl);
    std::vector<float> const nlc{1,     0,     0,     0,      // a
                                 0,     1,     0,     0,      // C
                                 0.25F, 0.25F, 0.25F, 0.25F,  // n
                                 0,     0,     0,     0};     // padding
    CHECK(encoded("aCn", kDna, Layout::nlc, uniform, 4) == nlc);
    constexpr OneHotValues<std::uint8_t> zero{0, 1, 0};
    CHECK(encoded("UN", kDna, Layout::nlc, zero, 2) ==
          (std::vector<std::uint8_t>{0, 0, 0, 1, 0, 0, 0, 0}));
    CHECK(encoded("", kDna, Layout::ncl, zero, 0).empty());
    CHECK(encoded("", kDna, Layout::ncl, zero, 2) == std::vector<std::uint8_t>(8, 0));
    CHECK(encoded("", kDna, Layout::nlc, zero, 2) == std::vector<std::uint8_t>(8, 0));
    constexpr OneHotValues<std::uint16_t> half{0, 0x3C00, 0x3400};  // float16: 0, 1, 0.25
    CHECK(encoded("GN", kDna, Layout::ncl, half, 2) ==
          (std::vector<std::uint16_t>{0, 0x3400, 0, 0x3400, 0x3C00, 0x3400, 0, 0x3400}));
}

void unit_decode() {
    using Scores = std::vector<double>;
    CHECK_EQUAL(decoded(Scores{}, "ACGT", Layout::ncl), "");
    CHECK_EQUAL(decoded(Scores{0.1, 0.2, 0.3, 0.4}, "ACGT", Layout::nlc), "T");
    CHECK_EQUAL(decoded(Scores{-1, -2, -3, -4}, "ACGT", Layout::nlc), "A");
    CHECK_EQUAL(decoded(Scores{0, 0, 0, 0}, "ACGT", Layout::nlc), "N");
    CHECK_EQUAL(decoded(Scores{0.25, 0.25, 0.25, 0.25}, "ACGT", Layout::nlc), "N");
    CHECK_EQUAL(decoded(Scores{0, 5, 5, 0}, "ACGT", Layout::nlc), "C");  // the first of equals
    CHECK_EQUAL(decoded(Scores{1, 0, 0, 0, 2, 0}, "AB", Layout::ncl, '?'), "AB?");
}

/// Cell by cell from the code table.
template <class T>
void check_against_loop(std::string_view letters, Alphabet const& alphabet, OneHotValues<T> values,
                        std::size_t length) {
    std::size_t const n = alphabet.size();
    auto const ncl = encoded(letters, alphabet, Layout::ncl, values, length);
    auto const nlc = encoded(letters, alphabet, Layout::nlc, values, length);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < length; ++i) {
        for (std::size_t channel = 0; channel < n; ++channel) {
            T expected = values.off;
            if (i < letters.size()) {
                std::size_t const code = alphabet.table()[bytes(letters)[i]];
                if (code == channel) expected = values.on;
                if (code == n) expected = values.unknown;
            }
            wrong += ncl[channel * length + i] != expected;
            wrong += nlc[i * n + channel] != expected;
        }
    }
    CHECK_EQUAL(wrong, 0U);
}

void agreement_with_a_loop() {
    std::mt19937 random(3);
    // 4096 letters are a block of the kernel.
    for (std::size_t const size : {0U, 1U, 2U, 63U, 4095U, 4096U, 4097U, 8192U, 8200U}) {
        for (std::size_t const padding : {0U, 1U, 5U}) {
            std::string const dna = test::random_letters(random, "ACGTUacgtuNnRy", size);
            std::string const protein = test::random_letters(random, "ACDEFWY*acdXBZ", size);
            check_against_loop<float>(dna, kDna, {0, 1, 0.25F}, size + padding);
            check_against_loop<std::uint8_t>(dna, kRna, {0, 1, 0}, size + padding);
            check_against_loop<std::uint16_t>(protein, kProtein, {0, 0x3C00, 9}, size + padding);
        }
    }
}

void property_decode_undoes_one_hot() {
    std::mt19937 random(4);
    for (std::size_t size = 0; size < 80; ++size) {
        std::string const letters = test::random_letters(random, "ACGTN", size);
        for (Layout const layout : {Layout::ncl, Layout::nlc}) {
            for (float const unknown : {0.0F, 0.25F}) {
                auto const scores = encoded<float>(letters, kDna, layout, {0, 1, unknown}, size);
                CHECK_EQUAL(decoded(scores, "ACGT", layout), letters);
            }
        }
    }
}

void property_threads_share_a_range() {
    for (std::size_t const count : {0U, 1U, 2U, 7U, 100U}) {
        for (std::size_t const threads : {0U, 1U, 2U, 3U, 8U, 200U}) {
            std::vector<std::atomic<int>> seen(count);
            std::size_t const fair = count / std::max<std::size_t>(threads, 1) + 1;
            std::atomic<bool> even = true;
            parallel_for(count, threads, [&](std::size_t begin, std::size_t end) {
                if (end - begin > fair) even = false;
                for (std::size_t i = begin; i < end; ++i) ++seen[i];
            });
            CHECK(std::all_of(seen.begin(), seen.end(), [](auto const& n) { return n == 1; }));
            CHECK(even);
        }
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_one_hot();
    seqtile::unit_decode();
    seqtile::agreement_with_a_loop();
    seqtile::property_decode_undoes_one_hot();
    seqtile::property_threads_share_a_range();
    return seqtile::test::result();
}
