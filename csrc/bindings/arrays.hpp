// Array types and checks shared by the bindings.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <span>
#include <string>

#include "core/bytes.hpp"

namespace seqtile::bindings {

namespace py = pybind11;

/// C-contiguous array of exactly this dtype (bind with `.noconvert()`: nothing is copied).
template <class T>
using Array = py::array_t<T, py::array::c_style>;

inline void check_size(char const* name, py::ssize_t actual, std::size_t expected) {
    if (static_cast<std::size_t>(actual) != expected) {
        throw py::value_error(std::string(name) + " has " + std::to_string(actual) +
                              " elements, expected " + std::to_string(expected));
    }
}

template <class T>
std::span<T const> view(Array<T> const& array) {
    return {array.data(), static_cast<std::size_t>(array.size())};
}

template <class T>
std::span<T> mutable_view(Array<T>& array) {
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

/// A position for Python: -1 for "none".
inline py::ssize_t position(std::size_t index) {
    return index == kNone ? -1 : static_cast<py::ssize_t>(index);
}

void bind_batch(py::module_& module);
void bind_cpu(py::module_& module);
void bind_sequence(py::module_& module);
void bind_reader(py::module_& module);
void bind_record(py::module_& module);
void bind_faidx(py::module_& module);
void bind_window(py::module_& module);
void bind_tiling(py::module_& module);
void bind_translate(py::module_& module);
void bind_kmer(py::module_& module);
void bind_label(py::module_& module);
void bind_rows(py::module_& module);

}  // namespace seqtile::bindings
