#include "../fasta.hpp"
#include "arrays.hpp"

namespace seqtile::bindings {
namespace {

bool py_unwrap(py::bytes const& raw, std::uint64_t column, std::uint64_t line_bases,
               std::uint64_t line_width, Array<std::uint8_t>& out) {
    if (column >= line_bases || line_width < line_bases) {
        throw py::value_error("expected column < line_bases <= line_width");
    }
    std::string_view const text = raw;
    auto const target = mutable_view(out);
    py::gil_scoped_release const unlocked;
    return unwrap({reinterpret_cast<std::uint8_t const*>(text.data()), text.size()}, column,
                  line_bases, line_width, target);
}

}  // namespace

void bind_fasta(py::module_& module) {
    using namespace py::literals;
    module.def(
        "line_span",
        [](std::uint64_t start, std::uint64_t end, std::uint64_t bases, std::uint64_t width) {
            if (start >= end || bases == 0) throw py::value_error("expected start < end");
            LineSpan const span = line_span(start, end, bases, width);
            return py::make_tuple(span.offset, span.size);
        },
        "start"_a, "end"_a, "line_bases"_a, "line_width"_a);
    module.def("unwrap", &py_unwrap, "raw"_a, "column"_a, "line_bases"_a, "line_width"_a,
               "out"_a.noconvert());
}

}  // namespace seqtile::bindings
