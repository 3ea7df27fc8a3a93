// A column of texts for the writer of rows.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "../arrays.hpp"
#include "core/slab.hpp"

namespace seqtile::bindings {

/// A text of Python's: UTF-8, other bytes as surrogates.
py::object decode_text(std::uint8_t const* data, std::size_t size);

/// UTF-8 of a text per row (other bytes as they are), in Python's strings or in the file's records.
/// A slice of it shares the memory.
class Texts {
  public:
    /// Of strings; a surrogate that stands for a byte is that byte.
    /// @throw py::type_error an item that is no str; a UnicodeEncodeError for another surrogate
    explicit Texts(py::list const& texts);

    /// Of records' names, which lie in these slabs.
    Texts(std::vector<Bytes> texts, std::vector<std::shared_ptr<Slab>> slabs);

    [[nodiscard]] std::span<Bytes const> each() const noexcept {
        return std::span(held_->each).subspan(first_, size_);
    }

    /// Texts [begin, end). @throw py::index_error
    [[nodiscard]] Texts slice(std::size_t begin, std::size_t end) const;

  private:
    struct Held {
        std::vector<Bytes> each;
        std::vector<std::shared_ptr<Slab>> slabs;
        std::vector<py::object> objects;
    };

    std::shared_ptr<Held const> held_;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

}  // namespace seqtile::bindings
