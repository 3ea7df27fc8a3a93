#include <algorithm>

#include "../check.hpp"
#include "core/lookup.hpp"
#include "sequence/alphabet.hpp"

namespace seqtile {
namespace {

/// Random bytes of every value, or letters and few others.
std::vector<std::uint8_t> random_bytes(std::mt19937& random, std::size_t count, bool any) {
    std::uniform_int_distribution<int> pick(0, 255);
    std::vector<std::uint8_t> bytes(count);
    for (auto& byte : bytes) {
        byte =
            static_cast<std::uint8_t>(any ? pick(random) : "ACGTNacgtn*-U\xFF "[pick(random) % 15]);
    }
    return bytes;
}

std::uint8_t highest(std::vector<std::uint8_t> const& entries) {
    return entries.empty() ? std::uint8_t{0} : *std::max_element(entries.begin(), entries.end());
}

/// A table of arbitrary entries below 128, and `other` from there up.
ByteTable random_table(std::mt19937& random, std::uint8_t other) {
    std::uniform_int_distribution<int> pick(0, 255);
    ByteTable table;
    table.fill(other);
    for (std::size_t i = 0; i < 128; ++i) table[i] = static_cast<std::uint8_t>(pick(random));
    return table;
}

std::vector<ByteTable> tables() {
    std::mt19937 random(5);
    ByteTable constant;
    constant.fill(9);
    ByteTable pairs = random_table(random, 8);  // rows that are alike, of letters and others
    for (std::size_t i = 0; i < 128; ++i) pairs[i | 32] = pairs[i & ~32U];
    pairs['q'] = 1;
    return {pairs,
            kDna.table(),
            kProtein.table(),
            complement_table('T'),
            random_table(random, 0),
            random_table(random, 77),
            constant};
}

void unit_lookup() {
    for (Isa const isa : kIsas) {
        if (!supports(isa)) continue;
        std::vector<std::uint8_t> out(6);
        CHECK_EQUAL(int{lookup(test::bytes("ACgtUN"), kDna.table(), out.data(), isa)}, 4);
        CHECK(out == (std::vector<std::uint8_t>{0, 1, 2, 3, 3, 4}));
        CHECK_EQUAL(int{lookup(test::bytes("AC\x80"), kDna.table(), out.data(), isa)}, 255);
        CHECK(out == (std::vector<std::uint8_t>{0, 1, 255, 3, 3, 4}));
        CHECK_EQUAL(int{highest_entry(test::bytes("ACG"), kDna.table(), isa)}, 2);
        CHECK_EQUAL(int{lookup({}, kDna.table(), nullptr, isa)}, 0);
        CHECK_EQUAL(int{highest_entry({}, kDna.table(), isa)}, 0);
    }
}

void unit_levels() {
    CHECK(supports(Isa::scalar) && supports(best_isa()) && active_isa() == best_isa());
    CHECK(find_isa("avx2") == Isa::avx2 && find_isa("neon") == Isa::neon);
    CHECK(!find_isa("sse9").has_value());
    for (Isa const isa : kIsas) CHECK(find_isa(name(isa)) == isa);
    set_active_isa(Isa::scalar);
    CHECK(active_isa() == Isa::scalar);
    set_active_isa(best_isa());
    CHECK(is_ascii_table(kDna.table()) && is_ascii_table(complement_table('U')));
    ByteTable odd = kDna.table();
    odd[200] = 1;
    CHECK(!is_ascii_table(odd));
}

/// Every level, all lengths and offsets; each input is its own allocation, so that the sanitizer
/// sees a read past it.
void agreement_with_a_loop() {
    std::mt19937 random(6);
    for (ByteTable const& table : tables()) {
        for (std::size_t size = 0; size <= 300; ++size) {
            std::size_t const offset = size % 64;
            auto const in = random_bytes(random, offset + size, size % 2 == 0);
            Bytes const letters = Bytes(in).subspan(offset);
            std::vector<std::uint8_t> expected(size);
            for (std::size_t i = 0; i < size; ++i) expected[i] = table[letters[i]];
            for (Isa const isa : kIsas) {
                if (!supports(isa)) continue;
                std::vector<std::uint8_t> out(size);
                CHECK_EQUAL(lookup(letters, table, out.data(), isa), highest(expected));
                CHECK(out == expected);
                CHECK_EQUAL(highest_entry(letters, table, isa), highest(expected));
                std::vector<std::uint8_t> same(letters.begin(), letters.end());
                lookup(same, table, same.data(), isa);
                CHECK(same == expected);
            }
        }
    }
}

void agreement_at_every_offset() {
    std::mt19937 random(7);
    constexpr std::size_t guard = 64;
    for (std::size_t const size : {1U, 31U, 64U, 65U, 200U}) {
        for (std::size_t offset = 0; offset < 64; ++offset) {
            auto const in = random_bytes(random, offset + size, true);
            Bytes const letters = Bytes(in).subspan(offset);
            for (Isa const isa : kIsas) {
                if (!supports(isa)) continue;
                std::vector<std::uint8_t> expected(offset + size + guard, 99);
                std::vector<std::uint8_t> out = expected;
                for (std::size_t i = 0; i < size; ++i) {
                    expected[offset + i] = kDna.table()[letters[i]];
                }
                lookup(letters, kDna.table(), out.data() + offset, isa);
                CHECK(out == expected);
            }
        }
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_lookup();
    seqtile::unit_levels();
    seqtile::agreement_with_a_loop();
    seqtile::agreement_at_every_offset();
    return seqtile::test::result();
}
