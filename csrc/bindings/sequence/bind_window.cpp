#include "../arrays.hpp"
#include "sequence/window.hpp"

namespace seqtile::bindings {
namespace {

py::ssize_t py_unknown_counts(Array<std::uint8_t> const& sequence, std::size_t window,
                              std::size_t stride, Array<std::uint32_t>& out) {
    if (window == 0 || stride == 0) throw py::value_error("window and stride must be positive");
    auto const letters = view(sequence);
    check_size("out", out.size(), window_count(letters.size(), window, stride));
    auto const target = mutable_view(out);
    py::gil_scoped_release const unlocked;
    return position(unknown_counts(letters, window, stride, target));
}

void py_reduce_windows(Array<float> const& scores, std::size_t first_window, std::size_t window,
                       std::size_t stride, std::size_t first_base, Reduce how, Array<float>& out) {
    if (window == 0 || stride == 0) throw py::value_error("window and stride must be positive");
    auto const source = view(scores);
    auto const target = mutable_view(out);
    py::gil_scoped_release const unlocked;
    reduce_windows(source, first_window, window, stride, first_base, how, target);
}

}  // namespace

void bind_window(py::module_& module) {
    using namespace py::literals;
    py::enum_<Reduce>(module, "Reduce").value("mean", Reduce::mean).value("max", Reduce::max);
    module.def("unknown_counts", &py_unknown_counts, "sequence"_a.noconvert(), "window"_a,
               "stride"_a, "out"_a.noconvert());
    module.def("reduce_windows", &py_reduce_windows, "scores"_a.noconvert(), "first_window"_a,
               "window"_a, "stride"_a, "first_base"_a, "how"_a, "out"_a.noconvert());
}

}  // namespace seqtile::bindings
