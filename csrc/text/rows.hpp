// Rows of a table, or JSON lines: texts and numbers of many records between fixed text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../core/bytes.hpp"
#include "numbers.hpp"
#include "quote.hpp"

namespace seqtile {

/// How a field of a row is written.
enum class RowField : std::uint8_t {
    text,    ///< bytes as they are
    quoted,  ///< write_quoted
    cells,   ///< numbers by write_general, a tab between them
    json     ///< numbers by write_repr, in lists of lists as their shape says
};

/// A number per row and column, row after row.
struct NumberTable {
    float const* data = nullptr;
    std::size_t rows = 0;
    std::size_t width = 0;
};

/// What the rows of an output have in common.
class RowFormat {
  public:
    struct Field {
        std::string before;  ///< fixed text in front of it
        RowField kind = RowField::text;
        std::size_t source = 0;          ///< which of the columns of texts, or of the tables
        std::size_t first = 0;           ///< of its numbers in the table's row
        std::vector<std::size_t> shape;  ///< of its numbers; none: one number
    };

    /// `end` is the fixed text after the last field. @throw std::length_error a shape that no
    /// memory holds
    RowFormat(std::vector<Field> fields, std::string end)
        : fields_(std::move(fields)), end_(std::move(end)) {
        room_ = end_.size();
        for (auto const& field : fields_) {
            room_ = add(room_, field.before.size());
            if (is_text(field)) continue;
            std::size_t const each = field.kind == RowField::json ? kReprBytes : kGeneralBytes;
            room_ = add(room_, layers(field.shape, each));
            // Its last column is one that can be named.
            std::ignore = add(field.first, count(field.shape));
        }
    }

    /// @throw std::invalid_argument columns that are not of so many rows, or lack a field's numbers
    void check(std::size_t rows, std::span<std::span<Bytes const> const> texts,
               std::span<NumberTable const> tables) const {
        for (auto const& field : fields_) {
            bool const known = field.source < (is_text(field) ? texts.size() : tables.size());
            if (!known) throw std::invalid_argument("a field has no column");
            if (is_text(field)) {
                if (texts[field.source].size() != rows) {
                    throw std::invalid_argument("columns of different lengths");
                }
                continue;
            }
            auto const& table = tables[field.source];
            if (table.rows != rows || field.first + count(field.shape) > table.width) {
                throw std::invalid_argument("a table of another shape than its fields");
            }
        }
    }

    /// Bytes that write() needs at most. @throw std::length_error
    [[nodiscard]] std::size_t room(std::size_t rows,
                                   std::span<std::span<Bytes const> const> texts) const {
        std::size_t bytes = multiply(rows, room_);
        for (auto const& field : fields_) {
            if (!is_text(field)) continue;
            bool const quoted = field.kind == RowField::quoted;
            for (Bytes const text : texts[field.source]) {
                bytes =
                    add(bytes, quoted ? add(multiply(text.size(), kQuotedBytes), 2) : text.size());
            }
        }
        return bytes;
    }

    /// Writes the rows; returns the end. Precondition: check() and room().
    char* write(std::size_t rows, std::span<std::span<Bytes const> const> texts,
                std::span<NumberTable const> tables, char* out) const noexcept {
        for (std::size_t row = 0; row < rows; ++row) {
            for (auto const& field : fields_) {
                out = detail::put(out, field.before);
                if (is_text(field)) {
                    Bytes const text = texts[field.source][row];
                    out = field.kind == RowField::quoted ? write_quoted(out, text)
                                                         : put_bytes(out, text);
                    continue;
                }
                auto const& table = tables[field.source];
                float const* numbers = table.data + row * table.width + field.first;
                out = field.kind == RowField::json ? put_layers(out, field.shape, numbers)
                                                   : put_cells(out, count(field.shape), numbers);
            }
            out = detail::put(out, end_);
        }
        return out;
    }

  private:
    static bool is_text(Field const& field) noexcept {
        return field.kind == RowField::text || field.kind == RowField::quoted;
    }

    static std::size_t add(std::size_t a, std::size_t b) {
        std::size_t const sum = a + b;
        if (sum < a) throw std::length_error("rows too long");
        return sum;
    }

    static std::size_t multiply(std::size_t a, std::size_t b) {
        if (b != 0 && a > static_cast<std::size_t>(-1) / b) {
            throw std::length_error("rows too long");
        }
        return a * b;
    }

    static std::size_t count(std::span<std::size_t const> shape) {
        std::size_t numbers = 1;
        for (std::size_t const size : shape) numbers = multiply(numbers, size);
        return numbers;
    }

    /// Bytes of a list of lists, brackets and separators included.
    static std::size_t layers(std::span<std::size_t const> shape, std::size_t each) {
        if (shape.empty()) return each;
        return add(2, multiply(shape[0], add(2, layers(shape.subspan(1), each))));
    }

    static char* put_bytes(char* out, Bytes text) noexcept {
        if (!text.empty()) std::memcpy(out, text.data(), text.size());
        return out + text.size();
    }

    static char* put_cells(char* out, std::size_t count, float const* numbers) noexcept {
        for (std::size_t i = 0; i < count; ++i) {
            if (i != 0) *out++ = '\t';
            out = write_general(out, numbers[i]);
        }
        return out;
    }

    /// `numbers` moves on to the first that is not of the list.
    static char* put_layers(char* out, std::span<std::size_t const> shape,
                            float const*& numbers) noexcept {
        if (shape.empty()) return write_repr(out, static_cast<double>(*numbers++));
        *out++ = '[';
        for (std::size_t i = 0; i < shape[0]; ++i) {
            if (i != 0) out = detail::put(out, ", ");
            out = put_layers(out, shape.subspan(1), numbers);
        }
        *out++ = ']';
        return out;
    }

    std::vector<Field> fields_;
    std::string end_;
    std::size_t room_ = 0;  // of a row but its texts
};

}  // namespace seqtile
