// Any bytes as a number and as a name: numbers come back from their text, names from their quotes.
// The input's first four bytes are the number.
#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.hpp"
#include "text/rows.hpp"

namespace seqtile {
namespace {

std::uint32_t hexadecimal(std::string_view digits) {
    for (char const digit : digits) {
        REQUIRE((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'));
    }
    return static_cast<std::uint32_t>(std::strtoul(std::string(digits).c_str(), nullptr, 16));
}

void append(std::string& text, std::uint32_t character) {
    auto const low = [](std::uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
    if (character < 0x80) {
        text += static_cast<char>(character);
    } else if (character < 0x800) {
        text += {static_cast<char>(0xC0 | character >> 6), low(character)};
    } else if (character < 0x10000) {
        text += {static_cast<char>(0xE0 | character >> 12), low(character >> 6), low(character)};
    } else {
        text += {static_cast<char>(0xF0 | character >> 18), low(character >> 12),
                 low(character >> 6), low(character)};
    }
}

/// The text of a JSON string; \udc80 to \udcff that follow no other half are bytes.
std::string unquoted(std::string_view quoted) {
    REQUIRE(quoted.size() >= 2 && quoted.front() == '"' && quoted.back() == '"');
    quoted = quoted.substr(1, quoted.size() - 2);
    std::string text;
    for (std::size_t i = 0; i < quoted.size(); ++i) {
        char const letter = quoted[i];
        REQUIRE(letter >= ' ' && letter <= '~' && letter != '"');
        if (letter != '\\') {
            text += letter;
            continue;
        }
        REQUIRE(++i < quoted.size());
        constexpr std::string_view letters = "\"\\bfnrt", plain = "\"\\\b\f\n\r\t";
        if (auto const found = letters.find(quoted[i]); found != letters.npos) {
            text += plain[found];
            continue;
        }
        REQUIRE(quoted[i] == 'u' && i + 4 < quoted.size());
        std::uint32_t const unit = hexadecimal(quoted.substr(i + 1, 4));
        i += 4;
        if (unit >= 0xD800 && unit < 0xDC00) {
            REQUIRE(i + 6 < quoted.size() && quoted[i + 1] == '\\' && quoted[i + 2] == 'u');
            std::uint32_t const second = hexadecimal(quoted.substr(i + 3, 4));
            REQUIRE(second >= 0xDC00 && second < 0xE000);
            append(text, 0x10000 + ((unit & 0x3FF) << 10 | (second & 0x3FF)));
            i += 6;
        } else if (unit >= 0xDC00 && unit < 0xE000) {
            REQUIRE(unit >= 0xDC80 && unit <= 0xDCFF);
            text += static_cast<char>(unit & 0xFF);
        } else {
            append(text, unit);
        }
    }
    return text;
}

std::string row(RowField kind, Bytes name, float number) {
    RowFormat const format({{"", kind, 0, 0, {}}}, "");
    std::span<Bytes const> const names(&name, 1);
    NumberTable const table{&number, 1, 1};
    format.check(1, {&names, 1}, {&table, 1});
    std::vector<char> out(format.room(1, {&names, 1}));
    return {out.data(), format.write(1, {&names, 1}, {&table, 1}, out.data())};
}

void check_number(float number) {
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), "%.6g", static_cast<double>(number));
    REQUIRE(row(RowField::cells, {}, number) == (std::isnan(number) ? "nan" : text.data()));
    std::string const full = row(RowField::json, {}, number);
    if (!std::isfinite(number)) {
        REQUIRE(full == "null");
        return;
    }
    double const back = std::strtod(full.c_str(), nullptr);
    REQUIRE(back == static_cast<double>(number));
    REQUIRE(std::signbit(back) == std::signbit(number));
}

}  // namespace
}  // namespace seqtile

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace seqtile;
    if (size < 4) return 0;
    float number = 0;
    std::memcpy(&number, data, 4);
    check_number(number);
    Bytes const name(data + 4, size - 4);
    std::string const text(name.begin(), name.end());
    REQUIRE(row(RowField::text, name, number) == text);
    REQUIRE(unquoted(row(RowField::quoted, name, number)) == text);
    return 0;
}
