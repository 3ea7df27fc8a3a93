// The only exception type of our own in C++.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace seqtile {

/// A malformed input file: what is wrong, on which line (counted from 1), in which record
/// (its name, empty before the first header).
class ParseError : public std::runtime_error {
  public:
    ParseError(std::string const& message, std::uint64_t line, std::string record)
        : std::runtime_error(message), line_(line), record_(std::move(record)) {}

    [[nodiscard]] std::uint64_t line() const noexcept { return line_; }
    [[nodiscard]] std::string const& record() const noexcept { return record_; }

  private:
    std::uint64_t line_;
    std::string record_;
};

}  // namespace seqtile
