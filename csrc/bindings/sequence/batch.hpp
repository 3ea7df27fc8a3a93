// A batch of sequences where Python keeps them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "../arrays.hpp"
#include "core/slab.hpp"
#include "sequence/sequence.hpp"

namespace seqtile::bindings {

/// The letters of a batch, read in place: nothing is copied but bytearrays and strided arrays. It
/// holds a reference to every item, or to the memory of a file's records, so that its letters may
/// be read without the GIL.
class Batch {
  public:
    /// A character that is no ASCII letter, which stops the gathering.
    struct NotAscii {
        std::size_t index;
        std::size_t position;
        std::uint32_t character;
    };

    /// str, bytes, bytearray, a uint8 array of rank 1 or 2, or a list or tuple of those of rank 1.
    /// @throw py::type_error anything else
    explicit Batch(py::object const& sequences);

    /// Letters of records, which lie in these slabs.
    Batch(std::vector<Bytes> letters, std::vector<std::shared_ptr<Slab>> slabs);

    [[nodiscard]] Sequences sequences() const noexcept {
        return grid_ != nullptr ? Sequences(grid_, rows_, width_) : Sequences(sequences_);
    }
    [[nodiscard]] std::size_t shortest() const noexcept { return shortest_; }
    [[nodiscard]] std::size_t longest() const noexcept { return longest_; }
    /// What sequence i came in, None for a file's record; not for the rows of a 2-D array.
    [[nodiscard]] py::handle source(std::size_t i) const {
        return slabs_.empty() ? sources_[i].ptr() : Py_None;
    }
    [[nodiscard]] bool is_grid() const noexcept { return is_grid_; }
    [[nodiscard]] bool single() const noexcept { return single_; }
    [[nodiscard]] std::size_t width() const noexcept { return width_; }
    [[nodiscard]] std::optional<NotAscii> const& not_ascii() const noexcept { return not_ascii_; }

  private:
    bool add(py::handle item);
    void add_text(py::handle text);

    std::vector<Bytes> sequences_;
    std::vector<py::object> sources_;
    std::vector<py::object> copies_;
    std::vector<std::shared_ptr<Slab>> slabs_;
    std::uint8_t const* grid_ = nullptr;
    std::size_t rows_ = 0;
    std::size_t width_ = 0;
    std::size_t shortest_ = 0;
    std::size_t longest_ = 0;
    bool single_ = false;
    bool is_grid_ = false;
    std::optional<NotAscii> not_ascii_;
};

/// What Python gets for a place: None, or (index, position, byte).
inline py::object place(Batch const& batch, Place found) {
    if (found.index == kNone) return py::none();
    return py::make_tuple(found.index, found.position,
                          batch.sequences()[found.index][found.position]);
}

}  // namespace seqtile::bindings
