#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "../check.hpp"
#include "core/parallel.hpp"
#include "sequence/onehot.hpp"

namespace seqtile {
namespace {

using test::bytes;
using test::text;

std::vector<Bytes> spans(std::vector<std::string> const& batch) {
    std::vector<Bytes> result;
    for (auto const& letters : batch) result.push_back(bytes(letters));
    return result;
}

struct How {
    Layout layout = Layout::ncl;
    std::size_t length = 0;
    std::size_t offset = 0;  // cells past a cache line at which the result begins
    std::size_t threads = 1;
    Isa isa = active_isa();
    bool stream = false;  // else as one_hot chooses
};

/// The cells of a batch. Guards around them stay untouched.
template <class T>
std::vector<T> encoded(std::vector<std::string> const& batch, Alphabet const& alphabet,
                       OneHotValues<T> values, How how) {
    constexpr std::size_t guard = 64;
    std::size_t const cells = batch.size() * how.length * alphabet.size();
    std::vector<T> memory(cells + 3 * guard + 64 / sizeof(T));
    std::memset(memory.data(), 0xFF, memory.size() * sizeof(T));  // NaN
    std::vector<T> const before = memory;
    std::size_t const start = guard + cells_to_line(memory.data() + guard) + how.offset;
    auto const sequences = spans(batch);
    T* const out = memory.data() + start;
    if (how.stream) {
        OneHotBlocks<T> const blocks(sequences, alphabet, how.layout, values, how.length, out, true,
                                     how.isa);
        CHECK(blocks.encode(0, blocks.count(), alphabet.size()));
        finish_stream();
    } else {
        CHECK(one_hot<T>(sequences, alphabet, how.layout, Unknown::keep, values, how.length, out,
                         how.threads, how.isa) == Place{});
    }
    std::size_t const end = start + cells;
    CHECK(std::memcmp(memory.data(), before.data(), start * sizeof(T)) == 0);
    CHECK(std::memcmp(memory.data() + end, before.data() + end,
                      (memory.size() - end) * sizeof(T)) == 0);
    auto const first = memory.begin() + static_cast<std::ptrdiff_t>(start);
    return {first, first + static_cast<std::ptrdiff_t>(cells)};
}

/// Cell by cell from the code table.
template <class T>
std::vector<T> expected(std::vector<std::string> const& batch, Alphabet const& alphabet,
                        OneHotValues<T> values, Layout layout, std::size_t length) {
    std::size_t const n = alphabet.size();
    std::vector<T> cells(batch.size() * length * n);
    for (std::size_t index = 0; index < batch.size(); ++index) {
        Bytes const letters = bytes(batch[index]);
        for (std::size_t i = 0; i < letters.size(); ++i) {
            std::size_t const code = alphabet.table()[letters[i]];
            for (std::size_t channel = 0; channel < n; ++channel) {
                std::size_t const cell = layout == Layout::nlc ? (index * length + i) * n + channel
                                                               : (index * n + channel) * length + i;
                if (code == channel) cells[cell] = values.on;
                if (code == n) cells[cell] = values.unknown;
            }
        }
    }
    return cells;
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
    constexpr OneHotValues<float> uniform{1, 0.25F};
    std::vector<float> const ncl{1, 0, 0.25F, 0,              // A
                                 0, 1, 0.25F, 0,              // C
                                 0, 0, 0.25F, 0,              // G
                                 0, 0, 0.25F, 0};             // T
    std::vector<float> const nlc{1,     0,     0,     0,      // a
                                 0,     1,     0,     0,      // C
                                 0.25F, 0.25F, 0.25F, 0.25F,  // n
                                 0,     0,     0,     0};     // padding
    for (Isa const isa : kIsas) {
        if (!supports(isa)) continue;
        How how{.layout = Layout::ncl, .length = 4, .isa = isa};
        CHECK(encoded({"aCn"}, kDna, uniform, how) == ncl);
        how.layout = Layout::nlc;
        CHECK(encoded({"aCn"}, kDna, uniform, how) == nlc);
        how.length = 2;
        constexpr OneHotValues<std::uint8_t> zero{1, 0};
        CHECK(encoded({"UN"}, kDna, zero, how) ==
              (std::vector<std::uint8_t>{0, 0, 0, 1, 0, 0, 0, 0}));
        CHECK(encoded({""}, kDna, zero, how) == std::vector<std::uint8_t>(8, 0));
        how.layout = Layout::ncl;
        CHECK(encoded({"", "G"}, kDna, zero, how) ==
              (std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}));
        constexpr OneHotValues<std::uint16_t> half{0x3C00, 0x3400};  // float16: 1, 0.25
        CHECK(encoded({"GN"}, kDna, half, how) ==
              (std::vector<std::uint16_t>{0, 0x3400, 0, 0x3400, 0x3C00, 0x3400, 0, 0x3400}));
        how.length = 0;
        CHECK(encoded({"", ""}, kDna, zero, how).empty());
        CHECK(encoded({}, kDna, zero, how).empty());
    }
}

void unit_refused() {
    std::vector<std::string> batch(40, std::string(300, 'A'));
    batch.emplace_back(9000, 'C');
    batch[11][200] = 'n';
    batch[40][7000] = '!';
    batch[40][8999] = '!';
    std::vector<std::uint8_t> out(41 * 9000 * 4);
    for (Isa const isa : kIsas) {
        if (!supports(isa)) continue;
        for (std::size_t const threads : {1U, 3U}) {
            for (Layout const layout : {Layout::ncl, Layout::nlc}) {
                auto const refused = [&](Unknown unknown, std::vector<std::string> const& these) {
                    return one_hot<std::uint8_t>(spans(these), kDna, layout, unknown, {1, 0}, 9000,
                                                 out.data(), threads, isa);
                };
                CHECK(refused(Unknown::keep, batch) == (Place{40, 7000}));
                CHECK(refused(Unknown::raise, batch) == (Place{11, 200}));
                CHECK(refused(Unknown::raise, {"ACGT"}) == Place{});
                CHECK(refused(Unknown::raise, {"ACGT", "ACG\x80"}) == (Place{1, 3}));
            }
        }
    }
}

/// Every level, alphabets of 2 to 70 letters, outputs at any place in a cache line.
template <class T>
void check_agreement(std::mt19937& random, OneHotValues<T> values) {
    constexpr std::string_view all =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&()*+,-./:;<=>?@[]^_{|}~";
    std::vector<std::pair<Alphabet, std::string_view>> const alphabets{
        {kDna, "ACGTUacgtuNnRyX-*."},     {kProtein, "ACDEFWY*acdXBZ"},
        {Alphabet{"HP", "X"}, "HPx"},     {Alphabet{"ABC", "N"}, "ABN"},
        {Alphabet{"ABCDE", "N"}, "ABEN"}, {Alphabet{"ABCDEFGH", "N"}, "AHNC"},
        {Alphabet{all, "\n"}, "AZ0~@\n"}};
    std::uniform_int_distribution<std::size_t> any(0, 1000);
    for (auto const& [alphabet, choice] : alphabets) {
        // (number of sequences, length, missing letters at most)
        for (auto const& [count, length, missing] : {std::array<std::size_t, 3>{1, 1, 0},
                                                     {70, 1, 1},
                                                     {9, 3, 2},
                                                     {40, 20, 0},
                                                     {30, 65, 9},
                                                     {5, 1000, 999},
                                                     {3, 4095, 1},
                                                     {2, 4096, 0},
                                                     {3, 4097, 5},
                                                     {2, 4300, 150},
                                                     {1, 9001, 0},
                                                     {2, 12288 + 127, 0}}) {
            std::vector<std::string> batch;
            for (std::size_t i = 0; i < count; ++i) {
                std::size_t const gap = missing == 0 ? 0 : any(random) % (missing + 1);
                batch.push_back(test::random_letters(random, choice, length - gap));
            }
            for (Layout const layout : {Layout::ncl, Layout::nlc}) {
                auto const wanted = expected(batch, alphabet, values, layout, length);
                for (Isa const isa : kIsas) {
                    if (!supports(isa)) continue;
                    How const how{layout,
                                  length,
                                  any(random) % (64 / sizeof(T)),
                                  any(random) % 3 + 1,
                                  isa,
                                  any(random) % 2 == 0};
                    CHECK(encoded(batch, alphabet, values, how) == wanted);
                }
            }
        }
    }
}

void agreement_with_a_loop() {
    std::mt19937 random(3);
    check_agreement<float>(random, {1, 0.25F});
    check_agreement<float>(random, {1, 0});
    check_agreement<std::uint16_t>(random, {0x3C00, 9});
    check_agreement<std::uint8_t>(random, {1, 0});
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
    for (std::size_t i = 0; i < 4; ++i) {
        Scores scores{1, 2, 3, 4};
        scores[i] = std::numeric_limits<double>::quiet_NaN();
        CHECK_EQUAL(decoded(scores, "ACGT", Layout::nlc), "N");
    }
}

void property_decode_undoes_one_hot() {
    std::mt19937 random(4);
    for (std::size_t size = 0; size < 80; ++size) {
        std::string const letters = test::random_letters(random, "ACGTN", size);
        for (Layout const layout : {Layout::ncl, Layout::nlc}) {
            for (float const unknown : {0.0F, 0.25F}) {
                auto const scores = encoded<float>({letters}, kDna, {1, unknown}, {layout, size});
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
    seqtile::unit_refused();
    seqtile::unit_decode();
    seqtile::agreement_with_a_loop();
    seqtile::property_decode_undoes_one_hot();
    seqtile::property_threads_share_a_range();
    return seqtile::test::result();
}
