#include <algorithm>
#include <cstring>
#include <string>

#include "batch.hpp"

namespace seqtile::bindings {
namespace {

// Without a Python call for the common cases, since a batch may hold a million items.
bool is_byte_array(py::handle item) {
    if (!py::isinstance<py::array>(item)) return false;
    auto const type = py::reinterpret_borrow<py::array>(item).dtype();
    return type.kind() == 'u' && type.itemsize() == 1;
}

Bytes bytes_at(void const* data, py::ssize_t size) {
    return {static_cast<std::uint8_t const*>(data), static_cast<std::size_t>(size)};
}

}  // namespace

Batch::Batch(py::object const& sequences) {
    if (is_byte_array(sequences)) {
        auto const array = Array<std::uint8_t>::ensure(sequences);  // copied if strided
        if (!array) throw py::error_already_set();
        sources_.push_back(array);
        if (array.ndim() > 2 || array.ndim() == 0) {
            throw py::type_error("expected a uint8 array of rank 1 or 2");
        }
        is_grid_ = array.ndim() == 2;
        single_ = !is_grid_;
        width_ = static_cast<std::size_t>(array.shape(array.ndim() - 1));
        shortest_ = longest_ = is_grid_ && array.shape(0) == 0 ? 0 : width_;
        if (is_grid_) {
            grid_ = array.data();
            rows_ = static_cast<std::size_t>(array.shape(0));
        } else {
            sequences_.emplace_back(array.data(), width_);
        }
        return;
    }
    bool const is_list = PyList_Check(sequences.ptr());
    if (!is_list && !PyTuple_Check(sequences.ptr())) {
        single_ = true;
        if (!add(sequences)) {
            throw py::type_error("expected str, bytes, a uint8 array or a list of them, not " +
                                 std::string(Py_TYPE(sequences.ptr())->tp_name));
        }
        shortest_ = longest_ = sequences_[0].size();
        return;
    }
    auto const size = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequences.ptr()));
    sequences_.reserve(size);
    sources_.reserve(size);
    // An array's copy may run Python code, which may shorten a list.
    for (py::ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequences.ptr()) && !not_ascii_; ++i) {
        constexpr py::ssize_t ahead = 16;  // of the items, which may be anywhere in memory
        if (i + ahead < PySequence_Fast_GET_SIZE(sequences.ptr())) {
            __builtin_prefetch(PySequence_Fast_GET_ITEM(sequences.ptr(), i + ahead), 1);
        }
        py::handle const item = PySequence_Fast_GET_ITEM(sequences.ptr(), i);
        if (!add(item)) {
            throw py::type_error("sequence " + std::to_string(i) +
                                 ": expected str, bytes or a 1-D uint8 array, not " +
                                 std::string(Py_TYPE(item.ptr())->tp_name));
        }
        std::size_t const letters = sequences_.back().size();
        longest_ = std::max(longest_, letters);
        shortest_ = i == 0 ? letters : std::min(shortest_, letters);
    }
}

Batch::Batch(std::vector<Bytes> letters, std::vector<std::shared_ptr<Slab>> slabs)
    : sequences_(std::move(letters)), slabs_(std::move(slabs)) {
    if (sequences_.empty()) return;
    auto const [shortest, longest] = std::ranges::minmax(sequences_, {}, &Bytes::size);
    shortest_ = shortest.size();
    longest_ = longest.size();
}

// Returns whether the item is a sequence.
bool Batch::add(py::handle item) {
    PyObject* const object = item.ptr();
    if (PyUnicode_Check(object)) {
        add_text(item);
    } else if (PyBytes_Check(object)) {
        sequences_.push_back(bytes_at(PyBytes_AS_STRING(object), PyBytes_GET_SIZE(object)));
    } else if (PyByteArray_Check(object)) {
        copies_.push_back(py::bytes(PyByteArray_AS_STRING(object),
                                    static_cast<std::size_t>(PyByteArray_GET_SIZE(object))));
        PyObject* const copy = copies_.back().ptr();
        sequences_.push_back(bytes_at(PyBytes_AS_STRING(copy), PyBytes_GET_SIZE(copy)));
    } else if (is_byte_array(item)) {
        auto const given = py::reinterpret_borrow<py::array>(item);
        if (given.ndim() != 1) return false;
        auto const array = Array<std::uint8_t>::ensure(given);
        if (!array) throw py::error_already_set();
        if (!array.is(given)) copies_.push_back(array);
        sequences_.push_back(bytes_at(array.data(), array.size()));
    } else {
        return false;
    }
    sources_.push_back(py::reinterpret_borrow<py::object>(item));
    return true;
}

void Batch::add_text(py::handle text) {
    PyObject* const object = text.ptr();
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(object) != 0) throw py::error_already_set();
#endif
    py::ssize_t const size = PyUnicode_GET_LENGTH(object);
    if (PyUnicode_IS_ASCII(object)) {
        sequences_.push_back(bytes_at(PyUnicode_DATA(object), size));
        return;
    }
    for (py::ssize_t i = 0; i < size; ++i) {
        std::uint32_t const character = PyUnicode_READ_CHAR(object, i);
        if (character < 128) continue;
        not_ascii_ = {sequences_.size(), static_cast<std::size_t>(i), character};
        break;
    }
    sequences_.emplace_back();
}

namespace {

py::object py_not_ascii(Batch const& batch) {
    auto const& found = batch.not_ascii();
    if (!found) return py::none();
    return py::make_tuple(found->index, found->position, found->character);
}

py::array_t<std::int64_t> py_lengths(Batch const& batch) {
    py::array_t<std::int64_t> lengths(static_cast<py::ssize_t>(batch.sequences().size()));
    std::int64_t* out = lengths.mutable_data();
    for (std::size_t i = 0; i < batch.sequences().size(); ++i) {
        *out++ = static_cast<std::int64_t>(batch.sequences()[i].size());
    }
    return lengths;
}

py::object py_find_above(Batch const& batch, Alphabet const& alphabet, bool raise) {
    auto const highest = highest_code(alphabet, raise ? Unknown::raise : Unknown::keep);
    Place found;
    {
        py::gil_scoped_release const unlocked;
        found = find_above(batch.sequences(), alphabet.table(), highest);
    }
    return place(batch, found);
}

// The letters of some sequences, each of `length`, as an (n, length) array.
Array<std::uint8_t> py_letters(Batch const& batch, Array<std::int64_t> const& rows,
                               std::size_t length) {
    auto const chosen = view(rows);
    Array<std::uint8_t> letters({chosen.size(), length});
    std::uint8_t* out = letters.mutable_data();
    auto const sequences = batch.sequences();
    bool fitting = true;
    {
        py::gil_scoped_release const unlocked;
        for (std::int64_t const row : chosen) {
            auto const index = static_cast<std::size_t>(row);
            fitting = index < sequences.size() && sequences[index].size() == length;
            if (!fitting) break;
            if (length != 0) std::memcpy(out, sequences[index].data(), length);
            out += length;
        }
    }
    if (!fitting) throw py::value_error("a row is not of this length");
    return letters;
}

}  // namespace

void bind_batch(py::module_& module) {
    using namespace py::literals;
    py::class_<Batch>(module, "Batch")
        .def(py::init<py::object const&>(), "sequences"_a)
        .def("__len__", [](Batch const& batch) { return batch.sequences().size(); })
        .def_property_readonly("single", &Batch::single)
        .def_property_readonly("width", &Batch::width)
        .def_property_readonly("shortest", &Batch::shortest)
        .def_property_readonly("longest", &Batch::longest)
        .def_property_readonly("not_ascii", &py_not_ascii)
        .def("lengths", &py_lengths)
        .def("find_above", &py_find_above, "alphabet"_a, "raise_unknown"_a)
        .def("letters", &py_letters, "rows"_a.noconvert(), "length"_a);
}

}  // namespace seqtile::bindings
