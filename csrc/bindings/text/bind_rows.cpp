#include <pybind11/stl.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "text/rows.hpp"
#include "texts.hpp"

namespace seqtile::bindings {

py::object decode_text(std::uint8_t const* data, std::size_t size) {
    PyObject* const text = PyUnicode_DecodeUTF8(reinterpret_cast<char const*>(data),
                                                static_cast<Py_ssize_t>(size), "surrogateescape");
    if (text == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(text);
}

Texts::Texts(py::list const& texts) {
    auto held = std::make_shared<Held>();
    held->each.reserve(texts.size());
    held->objects.reserve(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        py::object text = texts[i];
        if (!PyUnicode_Check(text.ptr())) {
            throw py::type_error("text " + std::to_string(i) + ": expected str, not " +
                                 std::string(Py_TYPE(text.ptr())->tp_name));
        }
        Py_ssize_t size = 0;
        char const* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
        if (data == nullptr) {  // surrogates
            PyErr_Clear();
            text = py::reinterpret_steal<py::object>(
                PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogateescape"));
            if (!text) throw py::error_already_set();
            data = PyBytes_AS_STRING(text.ptr());
            size = PyBytes_GET_SIZE(text.ptr());
        }
        held->each.emplace_back(reinterpret_cast<std::uint8_t const*>(data),
                                static_cast<std::size_t>(size));
        held->objects.push_back(std::move(text));
    }
    size_ = held->each.size();
    held_ = std::move(held);
}

Texts::Texts(std::vector<Bytes> texts, std::vector<std::shared_ptr<Slab>> slabs)
    : held_(std::make_shared<Held>(Held{std::move(texts), std::move(slabs), {}})),
      size_(held_->each.size()) {}

Texts Texts::slice(std::size_t begin, std::size_t end) const {
    if (begin > end || end > size_) throw py::index_error("no such texts");
    Texts part(*this);
    part.first_ += begin;
    part.size_ = end - begin;
    return part;
}

namespace {

py::object py_text(Texts const& texts, std::size_t i) {
    if (i >= texts.each().size()) throw py::index_error("no such text");
    Bytes const text = texts.each()[i];
    return decode_text(text.data(), text.size());
}

using FieldTuple =
    std::tuple<py::bytes, RowField, std::size_t, std::size_t, std::vector<std::size_t>>;

RowFormat make_format(std::vector<FieldTuple> const& given, py::bytes const& end) {
    std::vector<RowFormat::Field> fields;
    fields.reserve(given.size());
    for (auto const& [before, kind, source, first, shape] : given) {
        fields.push_back({std::string(before), kind, source, first, shape});
    }
    return {std::move(fields), std::string(end)};
}

py::bytes py_rows(RowFormat const& format, std::size_t rows, std::vector<Texts> const& columns,
                  std::vector<Array<float>> const& arrays) {
    std::vector<std::span<Bytes const>> texts;
    for (auto const& column : columns) texts.push_back(column.each());
    std::vector<NumberTable> tables;
    for (auto const& array : arrays) {
        if (array.ndim() != 2) throw py::value_error("expected arrays of rank 2");
        tables.push_back({array.data(), static_cast<std::size_t>(array.shape(0)),
                          static_cast<std::size_t>(array.shape(1))});
    }
    format.check(rows, texts, tables);
    std::size_t const room = format.room(rows, texts);
    if (room > static_cast<std::size_t>(PY_SSIZE_T_MAX)) throw std::length_error("too many rows");
    PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<py::ssize_t>(room));
    if (bytes == nullptr) throw py::error_already_set();
    char* const begin = PyBytes_AS_STRING(bytes);
    char* end = nullptr;
    {
        py::gil_scoped_release const unlocked;
        end = format.write(rows, texts, tables, begin);
    }
    if (_PyBytes_Resize(&bytes, end - begin) != 0) throw py::error_already_set();
    return py::reinterpret_steal<py::bytes>(bytes);
}

}  // namespace

void bind_rows(py::module_& module) {
    using namespace py::literals;
    py::enum_<RowField>(module, "RowField")
        .value("TEXT", RowField::text)
        .value("QUOTED", RowField::quoted)
        .value("CELLS", RowField::cells)
        .value("JSON", RowField::json);
    py::class_<Texts>(module, "Texts")
        .def(py::init<py::list const&>(), "texts"_a)
        .def("__len__", [](Texts const& texts) { return texts.each().size(); })
        .def("text", &py_text, "index"_a)
        .def("slice", &Texts::slice, "begin"_a, "end"_a);
    py::class_<RowFormat>(module, "RowFormat")
        .def(py::init(&make_format), "fields"_a, "end"_a)
        .def("rows", &py_rows, "rows"_a, "texts"_a, "arrays"_a.noconvert());
}

}  // namespace seqtile::bindings
