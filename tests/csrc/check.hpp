// Assertions without a framework, and the few things that every test of a kernel needs.
// A test is a program: its main() calls its cases and returns seqtile::test::result().
#pragma once

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"

namespace seqtile::test {

inline int failures = 0;

inline void fail(char const* what, char const* file, int line) {
    ++failures;
    std::cerr << file << ':' << line << ": failed: " << what << '\n';
}

template <class A, class B>
void check_equal(A const& actual, B const& expected, char const* what, char const* file, int line) {
    if (actual == expected) return;
    fail(what, file, line);
    if constexpr (requires { std::cerr << actual << expected; }) {
        std::cerr << "  actual:   " << actual << "\n  expected: " << expected << '\n';
    }
}

inline int result() {
    return failures == 0 ? 0 : 1;
}

/// The bytes of a text; they live as long as it.
inline Bytes bytes(std::string_view text) {
    return {reinterpret_cast<std::uint8_t const*>(text.data()), text.size()};
}

inline std::string text(std::vector<std::uint8_t> const& letters) {
    return {letters.begin(), letters.end()};
}

/// `count` letters drawn from `choice`.
inline std::string random_letters(std::mt19937& random, std::string_view choice,
                                  std::size_t count) {
    std::uniform_int_distribution<std::size_t> pick(0, choice.size() - 1);
    std::string letters(count, ' ');
    for (char& letter : letters) letter = choice[pick(random)];
    return letters;
}

}  // namespace seqtile::test

#define CHECK(condition) \
    ((condition) ? void() : seqtile::test::fail(#condition, __FILE__, __LINE__))
#define CHECK_EQUAL(actual, expected) \
    seqtile::test::check_equal((actual), (expected), #actual " == " #expected, __FILE__, __LINE__)
