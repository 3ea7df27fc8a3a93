#include <exception>
#include <memory>

#include "../fasta.hpp"
#include "arrays.hpp"

namespace seqtile::bindings {
namespace {

// A block's letters as an array that owns them: nothing is copied.
Array<std::uint8_t> to_array(std::vector<std::uint8_t>&& letters) {
    auto owner = std::make_unique<std::vector<std::uint8_t>>(std::move(letters));
    auto const* const data = owner->data();
    auto const size = static_cast<py::ssize_t>(owner->size());
    py::capsule const capsule(owner.get(), [](void* pointer) {
        std::unique_ptr<std::vector<std::uint8_t>>(
            static_cast<std::vector<std::uint8_t>*>(pointer));
    });
    [[maybe_unused]] auto* const released = owner.release();
    return Array<std::uint8_t>({size}, {1}, data, capsule);
}

// (letters, [(position, header, line)], [(length, offset, line_bases, line_width, uneven_line)])
py::tuple to_python(FastaBlock&& block) {
    py::list headers, finished;
    for (auto const& header : block.headers) {
        headers.append(py::make_tuple(header.position, py::bytes(header.text), header.line));
    }
    for (auto const& record : block.finished) {
        finished.append(py::make_tuple(record.length, record.offset, record.line_bases,
                                       record.line_width, record.uneven_line));
    }
    return py::make_tuple(to_array(std::move(block.sequence)), headers, finished);
}

py::tuple py_feed(FastaParser& parser, py::bytes const& data) {
    std::string_view const text = data;
    FastaBlock block;
    {
        py::gil_scoped_release const unlocked;
        parser.feed({reinterpret_cast<std::uint8_t const*>(text.data()), text.size()}, block);
    }
    return to_python(std::move(block));
}

py::tuple py_finish(FastaParser& parser) {
    FastaBlock block;
    parser.finish(block);
    return to_python(std::move(block));
}

}  // namespace

void bind_fasta(py::module_& module) {
    using namespace py::literals;
    static py::exception<ParseError> const parse_error(module, "ParseError", PyExc_ValueError);
    py::register_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) std::rethrow_exception(pointer);
        } catch (ParseError const& error) {
            py::object const type = py::module_::import("seqtile._core").attr("ParseError");
            py::object const args = py::make_tuple(
                error.what(), error.line(),
                py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
                    error.record().data(), static_cast<py::ssize_t>(error.record().size()),
                    "surrogateescape")));
            PyErr_SetObject(type.ptr(), args.ptr());
        }
    });
    py::class_<FastaParser>(module, "FastaParser")
        .def(py::init<>())
        .def("feed", &py_feed, "block"_a)
        .def("finish", &py_finish);
}

}  // namespace seqtile::bindings
