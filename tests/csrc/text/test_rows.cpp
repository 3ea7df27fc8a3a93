#include <limits>

#include "../check.hpp"
#include "text/rows.hpp"

namespace seqtile {
namespace {

using test::bytes;
using Field = RowFormat::Field;

std::string quoted(std::string_view text) {
    std::vector<char> out(text.size() * kQuotedBytes + 2);
    return {out.data(), write_quoted(out.data(), bytes(text))};
}

/// The rows, written to an allocation of just the bytes that are asked for.
std::string rows(RowFormat const& format, std::size_t count,
                 std::vector<std::vector<std::string_view>> const& columns,
                 std::vector<NumberTable> const& tables = {}) {
    std::vector<std::vector<Bytes>> each;
    for (auto const& column : columns) {
        each.emplace_back();
        for (auto const text : column) each.back().push_back(bytes(text));
    }
    std::vector<std::span<Bytes const>> const texts(each.begin(), each.end());
    format.check(count, texts, tables);
    std::vector<char> out(format.room(count, texts));
    return {out.data(), format.write(count, texts, tables, out.data())};
}

template <class Error, class Call>
bool throws(Call const& call) {
    try {
        call();
    } catch (Error const&) {
        return true;
    }
    return false;
}

void unit_quoted() {
    CHECK_EQUAL(quoted(""), R"("")");
    CHECK_EQUAL(quoted("chr1:1-100 ~"), R"("chr1:1-100 ~")");
    CHECK_EQUAL(quoted("a\"b\\c/d"), R"("a\"b\\c/d")");
    CHECK_EQUAL(quoted("\b\f\n\r\t"), R"("\b\f\n\r\t")");
    CHECK_EQUAL(quoted(std::string_view("\0\x1f\x7f", 3)), R"("\u0000\u001f\u007f")");
    CHECK_EQUAL(quoted("\xC3\xA9"), R"("\u00e9")");
    CHECK_EQUAL(quoted("\xE2\x82\xAC!"), R"("\u20ac!")");
    CHECK_EQUAL(quoted("\xF0\x9F\x98\x80"), R"("\ud83d\ude00")");
    CHECK_EQUAL(quoted("\xF4\x8F\xBF\xBF"), R"("\udbff\udfff")");
}

/// Bytes that are no UTF-8, each for itself.
void unit_quoted_bytes() {
    CHECK_EQUAL(quoted("\xFF\x80"), R"("\udcff\udc80")");
    CHECK_EQUAL(quoted("\xC3"), R"("\udcc3")");  // cut short
    CHECK_EQUAL(quoted("\xE2\x82"), R"("\udce2\udc82")");
    CHECK_EQUAL(quoted("\xE2\x82x"), R"("\udce2\udc82x")");
    CHECK_EQUAL(quoted("\xC0\xAF"), R"("\udcc0\udcaf")");  // longer than need be
    CHECK_EQUAL(quoted("\xE0\x9F\xBF"), R"("\udce0\udc9f\udcbf")");
    CHECK_EQUAL(quoted("\xF0\x8F\xBF\xBF"), R"("\udcf0\udc8f\udcbf\udcbf")");
    CHECK_EQUAL(quoted("\xED\xA0\x80"), R"("\udced\udca0\udc80")");            // a surrogate
    CHECK_EQUAL(quoted("\xF4\x90\x80\x80"), R"("\udcf4\udc90\udc80\udc80")");  // too high
    CHECK_EQUAL(quoted("\xF5\x80\x80\x80"), R"("\udcf5\udc80\udc80\udc80")");
}

void unit_a_table() {
    RowFormat const format(
        {Field{"", RowField::text, 0, 0, {}}, Field{"\t", RowField::text, 1, 0, {}},
         Field{"\t", RowField::cells, 0, 0, {2}}, Field{"\t", RowField::cells, 1, 2, {}}},
        "\n");
    std::vector<float> const pairs{0.5F, -1.0F, 1e-5F, 0.0F}, triples{1, 2, 3, 4, 5, 6};
    CHECK_EQUAL(rows(format, 2, {{"a", "b\xFF"}, {"x", ""}},
                     {{pairs.data(), 2, 2}, {triples.data(), 2, 3}}),
                "a\tx\t0.5\t-1\t3\nb\xFF\t\t1e-05\t0\t6\n");
    CHECK_EQUAL(rows(format, 0, {{}, {}}, {{nullptr, 0, 2}, {nullptr, 0, 3}}), "");
}

void unit_json_lines() {
    RowFormat const format({Field{"{\"name\": ", RowField::quoted, 0, 0, {}},
                            Field{", \"p\": ", RowField::json, 0, 1, {}},
                            Field{", \"all\": ", RowField::json, 0, 0, {2, 2}},
                            Field{", \"none\": ", RowField::json, 0, 0, {0, 3}},
                            Field{", \"empty\": ", RowField::json, 0, 4, {2, 0}}},
                           "}\n");
    float const infinity = std::numeric_limits<float>::infinity();
    std::vector<float> const numbers{1.0F, 0.5F, -0.0F, infinity};
    CHECK_EQUAL(rows(format, 1, {{"a\"b"}}, {{numbers.data(), 1, 4}}),
                "{\"name\": \"a\\\"b\", \"p\": 0.5, \"all\": [[1.0, 0.5], [-0.0, null]], "
                "\"none\": [], \"empty\": [[], []]}\n");
}

void unit_fixed_text_alone() {
    CHECK_EQUAL(rows(RowFormat({}, "x\n"), 3, {}), "x\nx\nx\n");
    CHECK_EQUAL(rows(RowFormat({}, ""), 3, {}), "");
}

void unit_refused() {
    RowFormat const format(
        {Field{"", RowField::text, 0, 0, {}}, Field{"", RowField::cells, 0, 1, {2}}}, "");
    std::vector<float> const numbers(6);
    NumberTable const table{numbers.data(), 2, 3};
    using Wrong = std::invalid_argument;
    CHECK(!throws<Wrong>([&] { rows(format, 2, {{"a", "b"}}, {table}); }));
    CHECK(throws<Wrong>([&] { rows(format, 2, {}, {table}); }));
    CHECK(throws<Wrong>([&] { rows(format, 2, {{"a", "b"}}); }));
    CHECK(throws<Wrong>([&] { rows(format, 2, {{"a"}}, {table}); }));
    CHECK(throws<Wrong>([&] { rows(format, 1, {{"a"}}, {table}); }));
    CHECK(throws<Wrong>([&] { rows(format, 2, {{"a", "b"}}, {{numbers.data(), 2, 2}}); }));
    std::size_t const huge = static_cast<std::size_t>(-1) / 2;
    auto const make = [](std::size_t first, std::vector<std::size_t> shape) {
        return RowFormat({Field{"", RowField::json, 0, first, std::move(shape)}}, "");
    };
    CHECK(throws<std::length_error>([&] { make(0, {huge, 4}); }));
    CHECK(throws<std::length_error>([&] { make(static_cast<std::size_t>(-1), {}); }));
    CHECK(throws<std::length_error>(
        [&] { static_cast<void>(RowFormat({}, "xxxx").room(huge, {})); }));
}

/// However long texts and numbers are, they fit (the sanitizers see to it).
void property_the_room_is_enough() {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        std::size_t const count = random() % 5, width = 1 + random() % 4;
        std::vector<std::string> names;
        for (std::size_t i = 0; i < count; ++i) {
            names.push_back(test::random_letters(random, "a\x01\xFF\"\xC3\xA9", random() % 20));
        }
        std::vector<float> numbers(count * width);
        for (float& number : numbers) {
            number = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        }
        RowFormat const format(
            {Field{"", RowField::text, 0, 0, {}}, Field{"", RowField::quoted, 0, 0, {}},
             Field{"", RowField::json, 0, 0, {width}}, Field{"", RowField::cells, 0, 0, {width}}},
            "");
        std::string const text =
            rows(format, count, {{names.begin(), names.end()}}, {{numbers.data(), count, width}});
        CHECK_EQUAL(std::count(text.begin(), text.end(), '\t'),
                    static_cast<std::ptrdiff_t>(count * (width - 1)));
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_quoted();
    seqtile::unit_quoted_bytes();
    seqtile::unit_a_table();
    seqtile::unit_json_lines();
    seqtile::unit_fixed_text_alone();
    seqtile::unit_refused();
    seqtile::property_the_room_is_enough();
    return seqtile::test::result();
}
