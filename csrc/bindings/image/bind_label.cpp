#include <pybind11/stl.h>

#include <optional>

#include "../arrays.hpp"
#include "image/components.hpp"
#include "image/grow.hpp"
#include "image/outline.hpp"
#include "image/run_levels.hpp"

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

// `runs` (n, 3): row, begin, end, sorted by object; object i has the runs [first[i], first[i + 1]).
// Returns the coordinates of their polygons, scaled, as JSON, and where in it each object's begin
// and end.
py::tuple py_outlines(Array<std::int32_t> const& runs, Array<std::int64_t> const& first,
                      double scale_y, double scale_x) {
    static_assert(sizeof(Run) == 3 * sizeof(std::int32_t));
    if (runs.ndim() != 2 || runs.shape(1) != 3) throw py::value_error("runs must be (n, 3)");
    if (first.size() == 0) throw py::value_error("first must not be empty");
    std::span const source(reinterpret_cast<Run const*>(runs.data()),
                           static_cast<std::size_t>(runs.shape(0)));
    auto const bounds = view(first);
    for (std::size_t i = 0; i + 1 < bounds.size(); ++i) {
        if (bounds[i] < 0 || bounds[i] >= bounds[i + 1] || bounds[i + 1] > runs.shape(0)) {
            throw py::value_error("first must rise and lie in [0, n]");
        }
    }
    std::string text;
    py::array_t<std::int64_t> ends(first.size());
    std::int64_t* end = ends.mutable_data();
    *end = 0;
    {
        py::gil_scoped_release const unlocked;
        Outlines outlines;
        for (std::size_t i = 0; i + 1 < bounds.size(); ++i) {
            outlines.add(source.subspan(static_cast<std::size_t>(bounds[i]),
                                        static_cast<std::size_t>(bounds[i + 1] - bounds[i])));
            append_coordinates(text, outlines, i, {.x = scale_x, .y = scale_y});
            *++end = static_cast<std::int64_t>(text.size());
        }
    }
    return py::make_tuple(py::str(text), std::move(ends));
}

// `runs` (n, 3): object, first pixel, length; `image` (pixels, channels); the others (objects,).
template <class Level>
void py_add_run_levels(Array<Level> const& image, std::size_t channel,
                       Array<std::int64_t> const& runs, Array<double>& sum, Array<double>& smallest,
                       Array<double>& largest) {
    static_assert(sizeof(LevelRun) == 3 * sizeof(std::int64_t));
    if (image.ndim() != 2 || channel >= static_cast<std::size_t>(image.shape(1))) {
        throw py::value_error("image must be (pixels, channels)");
    }
    if (runs.ndim() != 2 || runs.shape(1) != 3) throw py::value_error("runs must be (n, 3)");
    check_size("smallest", smallest.size(), static_cast<std::size_t>(sum.size()));
    check_size("largest", largest.size(), static_cast<std::size_t>(sum.size()));
    std::span const source(reinterpret_cast<LevelRun const*>(runs.data()),
                           static_cast<std::size_t>(runs.shape(0)));
    for (LevelRun const& run : source) {
        bool const inside = run.object >= 0 && run.object < sum.size() && run.start >= 0 &&
                            run.length > 0 && run.length <= image.shape(0) - run.start;
        if (!inside) throw py::value_error("runs must lie in the image and be of known objects");
    }
    Level const* const first = image.data() + channel;
    auto const step = static_cast<std::size_t>(image.shape(1));
    LevelTotals const totals{sum.mutable_data(), smallest.mutable_data(), largest.mutable_data()};
    py::gil_scoped_release const unlocked;
    add_run_levels(first, step, source, totals);
}

template <class Level>
void def_add_run_levels(py::module_& module) {
    using namespace py::literals;
    module.def("add_run_levels", &py_add_run_levels<Level>, "image"_a.noconvert(), "channel"_a,
               "runs"_a.noconvert(), "sum"_a.noconvert(), "smallest"_a.noconvert(),
               "largest"_a.noconvert());
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
    def_add_run_levels<std::uint8_t>(module);
    def_add_run_levels<std::uint16_t>(module);
    def_add_run_levels<float>(module);
    def_add_run_levels<double>(module);
    module.def("grow", &py_grow, "labels"_a.noconvert(), "reach"_a);
    module.def("outlines", &py_outlines, "runs"_a.noconvert(), "first"_a.noconvert(), "scale_y"_a,
               "scale_x"_a);
}

}  // namespace seqtile::bindings
