// The Python type Record, written against CPython itself: a file of short records makes millions.
#pragma once

#include <memory>

#include "../arrays.hpp"
#include "fasta/records.hpp"

namespace seqtile::bindings {

/// Keeps a slab alive for the arrays and records that lie in it.
py::capsule hold(std::shared_ptr<Slab> slab);

/// A Record of a whole part. Its strings and arrays are made when they are first asked for.
py::object make_record(py::capsule const& owner, Slab& slab, RecordPart const& part, bool quality);

/// A uint8 array over bytes of a slab; nothing is copied.
py::object make_array(py::handle owner, std::uint8_t* data, std::size_t size);

void bind_record(py::module_& module);

}  // namespace seqtile::bindings
