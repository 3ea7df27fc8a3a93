// The slow, plain way to k-mers, which the tests of k-mer kernels compare with.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../check.hpp"
#include "kmer/kmer.hpp"

namespace seqtile::test {

/// The code of a text of known letters, or nothing.
inline std::optional<std::uint64_t> code_of(std::string_view kmer) {
    std::uint64_t code = 0;
    for (char const letter : kmer) {
        std::uint8_t const digit = kDna.table()[static_cast<std::uint8_t>(letter)];
        if (digit > 3) return std::nullopt;
        code = code * 4 + digit;
    }
    return code;
}

inline std::string reverse_complement_of(std::string_view kmer) {
    std::string reverse(kmer.rbegin(), kmer.rend());
    for (char& letter : reverse) {
        letter = static_cast<char>(complement_table('T')[static_cast<std::uint8_t>(letter)]);
    }
    return reverse;
}

/// The code of every window, in order; nothing where a letter is unknown.
inline std::vector<std::optional<std::uint64_t>> codes_of(std::string_view text, unsigned k,
                                                          bool canonical) {
    std::vector<std::optional<std::uint64_t>> codes;
    for (std::size_t i = 0; i + k <= text.size(); ++i) {
        auto code = code_of(text.substr(i, k));
        if (code && canonical) {
            code = std::min(*code, *code_of(reverse_complement_of(text.substr(i, k))));
        }
        codes.push_back(code);
    }
    return codes;
}

inline std::map<std::uint64_t, std::uint64_t> counts_of(std::vector<std::string> const& texts,
                                                        unsigned k, bool canonical) {
    std::map<std::uint64_t, std::uint64_t> counts;
    for (auto const& text : texts) {
        for (auto const& code : codes_of(text, k, canonical)) {
            if (code) ++counts[*code];
        }
    }
    return counts;
}

inline std::vector<Bytes> views(std::vector<std::string> const& texts) {
    std::vector<Bytes> views;
    for (auto const& text : texts) views.push_back(bytes(text));
    return views;
}

/// Long and short sequences, unknown letters seldom and often.
inline std::vector<std::string> random_batch(std::mt19937& random) {
    std::vector<std::string> batch;
    for (std::size_t const size : {20000U, 0U, 1U, 9000U, 63U, 64U, 65U, 33U, 200U, 8192U}) {
        auto text = random_letters(random, "ACGTacgtUu", size);
        for (std::size_t i = 0; i < size; i += 1 + random() % (size > 1000 ? 3000 : 60)) {
            text[i] = "NRyn"[random() % 4];
        }
        batch.push_back(text);
    }
    batch.push_back(random_letters(random, "ACGTACGTNX-*.x", 500));
    batch.push_back(std::string(3000, 'T'));
    return batch;
}

/// Calls `body(isa)` for each level that this processor has.
template <class Body>
void for_each_isa(Body const& body) {
    for (Isa const isa : kIsas) {
        if (supports(isa)) body(isa);
    }
}

}  // namespace seqtile::test
