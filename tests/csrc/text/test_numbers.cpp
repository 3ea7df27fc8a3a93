#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "../check.hpp"
#include "text/numbers.hpp"

namespace seqtile {
namespace {

/// The text, written to an allocation of just the bytes that are asked for.
std::string general(float value) {
    std::vector<char> out(kGeneralBytes);
    return {out.data(), write_general(out.data(), value)};
}

std::string repr(double value) {
    std::vector<char> out(kReprBytes);
    return {out.data(), write_repr(out.data(), value)};
}

void unit_general() {
    CHECK_EQUAL(general(0.0F), "0");
    CHECK_EQUAL(general(-0.0F), "-0");
    CHECK_EQUAL(general(1.0F), "1");
    CHECK_EQUAL(general(0.5F), "0.5");
    CHECK_EQUAL(general(-0.1F), "-0.1");
    CHECK_EQUAL(general(123456.0F), "123456");
    CHECK_EQUAL(general(-12345.625F), "-12345.6");
    CHECK_EQUAL(general(100000.0F), "100000");
    CHECK_EQUAL(general(999999.0F), "999999");
    CHECK_EQUAL(general(999999.5F), "1e+06");
    CHECK_EQUAL(general(1e6F), "1e+06");
    CHECK_EQUAL(general(1234567.0F), "1.23457e+06");
    CHECK_EQUAL(general(0.0001F), "0.0001");
    CHECK_EQUAL(general(0.00012345678F), "0.000123457");
    CHECK_EQUAL(general(0.00001F), "1e-05");
    CHECK_EQUAL(general(-0.000012345678F), "-1.23457e-05");
    CHECK_EQUAL(general(1e-7F), "1e-07");
    CHECK_EQUAL(general(1e-8F), "1e-08");
    CHECK_EQUAL(general(std::numeric_limits<float>::denorm_min()), "1.4013e-45");
    CHECK_EQUAL(general(-std::numeric_limits<float>::max()), "-3.40282e+38");
}

void unit_general_at_ties_and_carries() {
    CHECK_EQUAL(general(0.99999997F), "1");
    CHECK_EQUAL(general(9.9999998e-5F), "0.0001");
    CHECK_EQUAL(general(99999.94F), "99999.9");  // 99999.9375
    CHECK_EQUAL(general(99999.97F), "100000");   // 99999.96875
    CHECK_EQUAL(general(2000.125F), "2000.12");  // a tie: to even
    CHECK_EQUAL(general(2000.375F), "2000.38");
    CHECK_EQUAL(general(65536.25F), "65536.2");
    CHECK_EQUAL(general(65536.75F), "65536.8");
}

void unit_neither_finite_nor_positive() {
    float const nan = std::numeric_limits<float>::quiet_NaN();
    float const infinity = std::numeric_limits<float>::infinity();
    CHECK_EQUAL(general(nan), "nan");
    CHECK_EQUAL(general(std::copysign(nan, -1.0F)), "nan");
    CHECK_EQUAL(general(infinity), "inf");
    CHECK_EQUAL(general(-infinity), "-inf");
    CHECK_EQUAL(repr(nan), "null");
    CHECK_EQUAL(repr(std::copysign(nan, -1.0F)), "null");
    CHECK_EQUAL(repr(infinity), "null");
    CHECK_EQUAL(repr(-infinity), "null");
}

void unit_repr() {
    CHECK_EQUAL(repr(0.0), "0.0");
    CHECK_EQUAL(repr(-0.0), "-0.0");
    CHECK_EQUAL(repr(1.0), "1.0");
    CHECK_EQUAL(repr(-25.5), "-25.5");
    CHECK_EQUAL(repr(100.0), "100.0");
    CHECK_EQUAL(repr(static_cast<double>(0.1F)), "0.10000000149011612");
    CHECK_EQUAL(repr(0.0001), "0.0001");
    CHECK_EQUAL(repr(0.00012345678901234567), "0.00012345678901234567");
    CHECK_EQUAL(repr(0.00001), "1e-05");
    CHECK_EQUAL(repr(-1.5e-10), "-1.5e-10");
    CHECK_EQUAL(repr(1e15), "1000000000000000.0");
    CHECK_EQUAL(repr(9999999999999998.0), "9999999999999998.0");
    CHECK_EQUAL(repr(1e16), "1e+16");
    CHECK_EQUAL(repr(123456789012345680.0), "1.2345678901234568e+17");
    CHECK_EQUAL(repr(1234567890.123456), "1234567890.123456");
    CHECK_EQUAL(repr(5e-324), "5e-324");
    CHECK_EQUAL(repr(-1.7976931348623157e308), "-1.7976931348623157e+308");
    CHECK_EQUAL(repr(std::ldexp(1.0, -44)), "5.684341886080802e-14");  // a tie
}

/// The float of each bit pattern in turn, and its neighbours.
template <class Check>
void over_floats(Check const& check) {
    for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 50021) {
        for (std::uint64_t near = bits; near < bits + 2; ++near) {
            auto const value = std::bit_cast<float>(static_cast<std::uint32_t>(near));
            if (!std::isnan(value)) check(value);
        }
    }
}

void agreement_with_printf() {
    over_floats([](float value) {
        std::array<char, 64> text;
        std::snprintf(text.data(), text.size(), "%.6g", static_cast<double>(value));
        if (general(value) != text.data()) CHECK_EQUAL(general(value), std::string(text.data()));
    });
}

/// It gives the number back, and no text with a digit less does.
void property_repr_is_the_shortest() {
    over_floats([](float value) {
        if (!std::isfinite(value)) return;
        auto const exact = static_cast<double>(value);
        std::string const text = repr(exact);
        CHECK(std::strtod(text.c_str(), nullptr) == exact);
        CHECK(text.find_first_of(".e") != text.npos);
        std::string const mantissa = text.substr(0, text.find('e'));
        auto const first = mantissa.find_first_of("123456789");
        if (first == mantissa.npos) return;
        auto const last = mantissa.find_last_of("123456789");
        std::size_t digits = 0;
        for (std::size_t i = first; i <= last; ++i) digits += mantissa[i] != '.';
        if (digits == 1) return;
        std::array<char, 64> shorter;
        std::snprintf(shorter.data(), shorter.size(), "%.*e", static_cast<int>(digits) - 2, exact);
        CHECK(std::strtod(shorter.data(), nullptr) != exact);
    });
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_general();
    seqtile::unit_general_at_ties_and_carries();
    seqtile::unit_neither_finite_nor_positive();
    seqtile::unit_repr();
    seqtile::agreement_with_printf();
    seqtile::property_repr_is_the_shortest();
    return seqtile::test::result();
}
