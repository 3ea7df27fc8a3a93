#include <pybind11/stl.h>

#include <optional>

#include "../components.hpp"
#include "../grow.hpp"
#include "arrays.hpp"

namespace seqtile::bindings {
namespace {

void py_add(Components& components, Array<float> const& mask,
            std::optional<Array<float>> const& marker, Array<Label>& out) {
    auto const size = static_cast<std::size_t>(mask.size());
    if (size % components.width() != 0) throw py::value_error("mask must hold whole rows");
    if (marker) check_size("marker", marker->size(), size);
    check_size("out", out.size(), size);
    float const* const core = marker ? marker->data() : nullptr;
    float const* const inside = mask.data();
    Label* const target = out.mutable_data();
    py::gil_scoped_release const unlocked;
    components.add(inside, core, size / components.width(), target);
}

py::array_t<Label> py_numbers(Components& components) {
    auto const numbers = components.numbers();
    return py::array_t<Label>(static_cast<py::ssize_t>(numbers.size()), numbers.data());
}

void py_grow(Array<Label>& labels, std::size_t reach) {
    if (labels.ndim() != 2) throw py::value_error("labels must have two axes");
    auto const rows = static_cast<std::size_t>(labels.shape(0));
    auto const width = static_cast<std::size_t>(labels.shape(1));
    Label* const target = labels.mutable_data();
    py::gil_scoped_release const unlocked;
    grow(target, rows, width, reach);
}

Components components(std::size_t width, float mask_threshold, float marker_threshold) {
    if (width == 0) throw py::value_error("width must be positive");
    return {width, mask_threshold, marker_threshold};
}

}  // namespace

void bind_label(py::module_& module) {
    using namespace py::literals;
    module.attr("UNCLAIMED") = kUnclaimed;
    py::class_<Components>(module, "Components")
        .def(py::init(&components), "width"_a, "mask_threshold"_a, "marker_threshold"_a)
        .def("add", &py_add, "mask"_a.noconvert(), "marker"_a.noconvert(), "out"_a.noconvert())
        .def("numbers", &py_numbers);
    module.def("grow", &py_grow, "labels"_a.noconvert(), "reach"_a);
}

}  // namespace seqtile::bindings
