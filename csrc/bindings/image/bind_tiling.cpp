#include "../arrays.hpp"
#include "core/parallel.hpp"
#include "image/stitch.hpp"
#include "image/tiling.hpp"

namespace seqtile::bindings {
namespace {

TileAxis tile_axis(std::size_t length, std::size_t size, std::size_t overlap,
                   std::size_t multiple) {
    if (length == 0 || size == 0 || multiple == 0) {
        throw py::value_error("length, size and multiple must be positive");
    }
    if (overlap >= size || size % multiple != 0 || overlap % multiple != 0) {
        throw py::value_error(
            "overlap must be smaller than size, and both must be multiples of multiple");
    }
    return TileAxis(length, size, overlap, multiple);
}

py::tuple to_python(Range range) {
    return py::make_tuple(range.begin, range.end);
}

Range checked(Range range, std::size_t count, char const* what) {
    if (range.begin >= range.end || range.end > count) {
        throw py::value_error(std::string(what) + " must be a range that lies in [0, " +
                              std::to_string(count) + ")");
    }
    return range;
}

// (n, 2): what each tile reads, or writes.
template <class Part>
py::array_t<std::int64_t> ranges(TileAxis const& axis, Part part) {
    py::array_t<std::int64_t> out({axis.count(), std::size_t{2}});
    auto cells = out.mutable_unchecked<2>();
    for (std::size_t k = 0; k < axis.count(); ++k) {
        Range const range = part(k);
        cells(static_cast<py::ssize_t>(k), 0) = static_cast<std::int64_t>(range.begin);
        cells(static_cast<py::ssize_t>(k), 1) = static_cast<std::int64_t>(range.end);
    }
    return out;
}

// Bytes of a pixel: the product of the axes behind the first two, which must lie side by side.
std::size_t pixel_bytes(py::array const& image) {
    py::ssize_t bytes = image.itemsize();
    for (py::ssize_t axis = image.ndim() - 1; axis >= 1; --axis) {
        if (image.shape(axis) > 1 && image.strides(axis) != bytes) {
            throw py::type_error("the pixels of a row must be contiguous");
        }
        if (axis >= 2) bytes *= image.shape(axis);
    }
    return static_cast<std::size_t>(bytes);
}

std::byte* mutable_bytes(py::array& out, std::size_t expected) {
    if ((out.flags() & py::array::c_style) == 0) throw py::type_error("out must be C-contiguous");
    check_size("out", out.nbytes(), expected);
    return static_cast<std::byte*>(out.mutable_data());
}

void py_cut_tiles(py::array const& image, std::size_t first_row, TileGrid const& grid,
                  std::pair<std::size_t, std::size_t> grid_rows, Pad pad, py::array& out,
                  std::size_t threads) {
    Range const rows = checked({grid_rows.first, grid_rows.second}, grid.y.count(), "rows");
    if (image.ndim() < 2 || static_cast<std::size_t>(image.shape(1)) != grid.x.length()) {
        throw py::value_error("image must be as wide as the grid's");
    }
    Range const needed = rows_needed(grid.y, rows);
    if (first_row > needed.begin ||
        first_row + static_cast<std::size_t>(image.shape(0)) < needed.end) {
        throw py::value_error("image lacks rows that the tiles need");
    }
    ImageRows const source{static_cast<std::byte const*>(image.data()), image.strides(0), first_row,
                           pixel_bytes(image)};
    std::size_t const tiles = rows.size() * grid.x.count();
    std::byte* const target = mutable_bytes(out, tiles * grid.tile_pixels() * source.pixel_bytes);
    Store const store = store_for(static_cast<std::size_t>(out.nbytes()));
    std::size_t const first = rows.begin * grid.y.size();
    py::gil_scoped_release const unlocked;
    parallel_for(rows.size() * grid.y.size(), threads, [&](std::size_t begin, std::size_t end) {
        cut_lines(source, grid, {first + begin, first + end}, pad, store, rows.begin, target);
    });
}

// The grid rows of some arrays of tiles, one array after another.
template <class T>
std::vector<T const*> blocks(py::sequence const& parts, TileGrid const& grid,
                             std::size_t pixel_bytes) {
    std::size_t const bytes = grid.x.count() * grid.tile_pixels() * pixel_bytes;
    std::vector<T const*> out;
    for (py::handle const part : parts) {
        auto const array = py::cast<py::array>(part);
        if ((array.flags() & py::array::c_style) == 0 ||
            (std::is_same_v<T, float> && !py::isinstance<py::array_t<float>>(array))) {
            throw py::type_error("tiles must be C-contiguous, to be blended float32");
        }
        auto const size = static_cast<std::size_t>(array.nbytes());
        if (size % bytes != 0) throw py::value_error("tiles must fill whole rows of the grid");
        auto const* const data = static_cast<std::byte const*>(array.data());
        for (std::size_t at = 0; at < size; at += bytes) {
            out.push_back(reinterpret_cast<T const*>(data + at));
        }
    }
    return out;
}

// Checks that the grid rows `held` hold the rows `needed` and that `out` has room; runs
// `body(part of image_rows, its place in out)` on each thread.
template <class Body>
void stitch_rows(Range held, Range needed, Range image_rows, std::size_t row_bytes, py::array& out,
                 std::size_t threads, Body const& body) {
    if (held.begin > needed.begin || held.end < needed.end) {
        throw py::value_error("tiles lack rows of the grid that the image rows need");
    }
    std::byte* const target = mutable_bytes(out, image_rows.size() * row_bytes);
    py::gil_scoped_release const unlocked;
    parallel_for(image_rows.size(), threads, [&](std::size_t begin, std::size_t end) {
        body(Range{image_rows.begin + begin, image_rows.begin + end}, target + begin * row_bytes);
    });
}

void py_stitch(py::sequence const& parts, std::size_t first, TileGrid const& grid,
               std::size_t pixel_bytes, std::pair<std::size_t, std::size_t> image_rows,
               py::array& out, std::size_t threads) {
    Range const rows =
        checked({image_rows.first, image_rows.second}, grid.y.length(), "image_rows");
    auto const held = blocks<std::byte>(parts, grid, pixel_bytes);
    TileRows<std::byte> const tiles{held, first, pixel_bytes};
    Range const needed{grid.y.writer(rows.begin), grid.y.writer(rows.end - 1) + 1};
    Store const store = store_for(static_cast<std::size_t>(out.nbytes()));
    stitch_rows({first, first + held.size()}, needed, rows, grid.x.length() * pixel_bytes, out,
                threads, [&](Range part, std::byte* to) { stitch(tiles, grid, part, store, to); });
}

void py_stitch_blended(py::sequence const& parts, std::size_t first, TileGrid const& grid,
                       Blend const& blend, std::size_t channels,
                       std::pair<std::size_t, std::size_t> image_rows, Array<float>& out,
                       std::size_t threads) {
    Range const rows =
        checked({image_rows.first, image_rows.second}, grid.y.length(), "image_rows");
    if (blend.down.size() != grid.y.count() * grid.y.size() ||
        blend.across.size() != grid.x.count() * grid.x.size() * channels) {
        throw py::value_error("the weights are those of another grid");
    }
    auto const held = blocks<float>(parts, grid, channels * sizeof(float));
    TileRows<float> const tiles{held, first, channels};
    Blender const blender(tiles, grid, blend);
    Range const needed{grid.y.covering(rows.begin).begin, grid.y.covering(rows.end - 1).end};
    Store const store = store_for(static_cast<std::size_t>(out.nbytes()));
    stitch_rows({first, first + held.size()}, needed, rows,
                grid.x.length() * channels * sizeof(float), out, threads,
                [&](Range part, std::byte* to) {
                    blender.write(part, store, reinterpret_cast<float*>(to));
                });
}

}  // namespace

void bind_tiling(py::module_& module) {
    using namespace py::literals;
    py::enum_<Pad>(module, "Pad")
        .value("reflect", Pad::reflect)
        .value("edge", Pad::edge)
        .value("constant", Pad::constant);
    py::enum_<Ramp>(module, "Ramp").value("linear", Ramp::linear).value("hann", Ramp::hann);
    py::class_<TileAxis>(module, "TileAxis")
        .def(py::init(&tile_axis), "length"_a, "size"_a, "overlap"_a, "multiple"_a)
        .def_property_readonly("count", &TileAxis::count)
        .def(
            "read",
            [](TileAxis const& axis) { return ranges(axis, [&](auto k) { return axis.read(k); }); })
        .def("write",
             [](TileAxis const& axis) {
                 return ranges(axis, [&](auto k) { return axis.write(k); });
             })
        .def("weights",
             [](TileAxis const& axis, Ramp ramp) {
                 auto const weights = blend_weights(axis, ramp);
                 return py::array_t<float>({axis.count(), axis.size()}, weights.data());
             })
        .def(
            "needed",
            [](TileAxis const& axis, std::size_t begin, std::size_t end) {
                return to_python(rows_needed(axis, checked({begin, end}, axis.count(), "rows")));
            },
            "begin"_a, "end"_a);
    py::class_<TileGrid>(module, "TileGrid")
        .def(py::init<TileAxis, TileAxis>(), "y"_a, "x"_a)
        .def_readonly("y", &TileGrid::y)
        .def_readonly("x", &TileGrid::x);
    py::class_<Blend>(module, "Blend")
        .def(py::init<TileGrid const&, Ramp, std::size_t>(), "grid"_a, "ramp"_a, "channels"_a);
    module.def("cut_tiles", &py_cut_tiles, "image"_a.noconvert(), "first_row"_a, "grid"_a, "rows"_a,
               "pad"_a, "out"_a.noconvert(), "threads"_a);
    module.def("stitch", &py_stitch, "parts"_a, "first"_a, "grid"_a, "pixel_bytes"_a,
               "image_rows"_a, "out"_a.noconvert(), "threads"_a);
    module.def("stitch_blended", &py_stitch_blended, "parts"_a, "first"_a, "grid"_a, "blend"_a,
               "channels"_a, "image_rows"_a, "out"_a.noconvert(), "threads"_a);
}

}  // namespace seqtile::bindings
