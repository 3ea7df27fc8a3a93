#include <fcntl.h>
#include <pybind11/stl.h>

#include <cerrno>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "../arrays.hpp"
#include "fasta/fasta_file.hpp"

namespace seqtile::bindings {
namespace {

Bytes to_bytes(std::string_view text) {
    return {reinterpret_cast<std::uint8_t const*>(text.data()), text.size()};
}

// An open file and the records of its index.
struct FastaReader {
    std::shared_ptr<FastaFile const> file;  // none once it is closed
    std::shared_ptr<std::vector<FaidxRecord> const> records;
    std::vector<bool> verified;  // by the record's header
    py::dict numbers;            // their numbers, by name

    FastaFile const& open() const {
        if (!file) {
            errno = EBADF;
            PyErr_SetFromErrno(PyExc_OSError);
            throw py::error_already_set();
        }
        return *file;
    }
};

// Calls `body` without the GIL; a failure of the system becomes an OSError with its number.
template <class Body>
auto unlocked(Body const& body) {
    try {
        py::gil_scoped_release const released;
        return body();
    } catch (std::system_error const& error) {
        errno = error.code().value();
        PyErr_SetFromErrno(PyExc_OSError);
        throw py::error_already_set();
    }
}

// `gzi`: for bgzip its index, or nothing to build that from the blocks.
std::unique_ptr<FastaReader> py_open(int descriptor, bool bgzf, std::optional<py::bytes> gzi) {
    std::optional<std::string> const index = gzi ? std::optional(std::string(*gzi)) : std::nullopt;
    auto reader = std::make_unique<FastaReader>();
    reader->file = unlocked([&] {
        std::optional<BgzfIndex> blocks;
        if (bgzf && index) blocks = read_gzi(to_bytes(*index), descriptor);
        if (bgzf && !index) blocks = build_bgzf_index(descriptor);
        int const own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        if (own < 0) throw std::system_error(errno, std::generic_category(), "dup");
        return std::make_shared<FastaFile const>(own, std::move(blocks));
    });
    return reader;
}

py::object py_gzi(FastaReader const& reader) {
    BgzfBlocks const* const blocks = reader.open().blocks();
    if (blocks == nullptr) return py::none();
    auto const bytes = write_gzi(blocks->index());
    return py::bytes(reinterpret_cast<char const*>(bytes.data()), bytes.size());
}

// The index: rows of length, offset, line_bases, line_width, checked here once for all.
void py_set_records(FastaReader& reader, py::list const& names, Array<std::int64_t> const& geometry,
                    bool verified) {
    check_size("geometry", geometry.size(), 4 * names.size());
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    auto const numbers = view(geometry);
    std::vector<FaidxRecord> records;
    records.reserve(names.size());
    reader.numbers = py::dict();
    for (std::size_t i = 0; i < names.size(); ++i) {
        auto const at = [&](std::size_t k) {
            return static_cast<std::uint64_t>(numbers[4 * i + k]);
        };
        FaidxRecord const record{at(0), at(1), at(2), at(3)};
        std::uint64_t const room = reader.open().size();
        bool sound = record.length <= kMost && record.offset <= room;
        if (sound && record.length != 0) {
            sound = record.line_bases != 0 && record.line_bases <= record.line_width &&
                    record.line_width <= kMost && record.length <= room;
            // lines before the last, each wider than its letters by `ends`
            std::uint64_t const lines = sound ? (record.length - 1) / record.line_bases : 0;
            std::uint64_t const ends = record.line_width - record.line_bases;
            sound = sound && (ends == 0 || lines <= kMost / 2 / ends) &&
                    line_span(0, record.length, record).size <= room - record.offset;
        }
        if (!sound) throw py::index_error(py::str(names[i]));
        records.push_back(record);
        reader.numbers[names[i]] = i;
    }
    reader.records = std::make_shared<std::vector<FaidxRecord> const>(std::move(records));
    reader.verified.assign(names.size(), verified);
}

py::bytes py_read(FastaReader const& reader, std::uint64_t offset, std::size_t size) {
    FastaFile const& file = reader.open();
    std::string text(size, '\0');
    auto const keep = reader.file;
    text.resize(unlocked([&] {
        return file.read(offset, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    }));
    return text;
}

// A fresh uint8 array, the short way: it is a third of a small fetch otherwise.
py::object new_letters(std::size_t size) {
    static PyObject* const type = py::dtype::of<std::uint8_t>().release().ptr();
    auto const& numpy = py::detail::npy_api::get();
    auto shape = static_cast<Py_intptr_t>(size);
    Py_INCREF(type);
    PyObject* const array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, type, 1, &shape,
                                                        nullptr, nullptr, 0, nullptr);
    if (array == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(array);
}

MutableBytes letters_of(py::object const& array, std::size_t size) {
    return {reinterpret_cast<std::uint8_t*>(py::detail::array_proxy(array.ptr())->data), size};
}

// An integer of Python's or numpy's; one beyond 64 bits is -1, which lies in no record.
std::int64_t to_position(PyObject* object) {
    int overflow = 0;
    long long value = 0;
    if (PyLong_CheckExact(object)) {
        value = PyLong_AsLongLongAndOverflow(object, &overflow);
    } else {
        auto const index = py::reinterpret_steal<py::object>(PyNumber_Index(object));
        if (!index) throw py::error_already_set();
        value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
    }
    return overflow != 0 ? -1 : value;
}

// Number of the record `name`, or kNone; no object but a str names one.
std::size_t find_record(FastaReader const& reader, PyObject* name) {
    if (!PyUnicode_Check(name)) return kNone;
    PyObject* const number = PyDict_GetItemWithError(reader.numbers.ptr(), name);
    if (number == nullptr) {
        if (PyErr_Occurred() != nullptr) throw py::error_already_set();
        return kNone;
    }
    return PyLong_AsSize_t(number);
}

// What a fetcher holds on to. No cycle with its Fasta: that is held weakly.
struct Fetcher {
    py::object reader;
    FastaReader const* records;
    py::object careful;
};

// The letters, or null where anything is out of the ordinary: no such record or interval, a header
// not yet verified, another strand, a file that is not what its index says.
py::object fetch_quickly(FastaReader const& reader, PyObject* const* arguments) {
    std::size_t const number = find_record(reader, arguments[0]);
    std::int64_t const start = to_position(arguments[1]);
    std::int64_t const end = to_position(arguments[2]);
    if (number == kNone || !reader.file || start < 0 || end < start ||
        static_cast<std::uint64_t>(end) > (*reader.records)[number].length ||
        !reader.verified[number]) {
        return {};
    }
    auto const first = static_cast<std::uint64_t>(start);
    auto const last = static_cast<std::uint64_t>(end);
    auto const size = static_cast<std::size_t>(last - first);
    py::object letters = new_letters(size);
    MutableBytes const target = letters_of(letters, size);
    FaidxRecord const record = (*reader.records)[number];
    auto const file = reader.file;
    bool sound = false;
    try {
        py::gil_scoped_release const released;
        sound = file->fetch(record, first, last, target);
    } catch (std::exception const&) {
        sound = false;  // the careful way meets the error again, and says what it is
    }
    return sound ? letters : py::object();
}

// fetch(chrom, start, end, strand="+"), the common case; anything else goes to the careful way in
// Python. A plain C function of vectorcall, for its call is a good part of a small fetch: through
// py::cpp_function and array_t a fetch takes 1.28 (plain, 100 letters), 1.19 (plain, 1,000), 1.32
// and 1.34 (blocks of bgzip at hand) times as long.
PyObject* fetch(PyObject* capsule, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    auto const& fetcher = *static_cast<Fetcher const*>(PyCapsule_GetPointer(capsule, nullptr));
    try {
        if (count == 3 && names == nullptr) {
            py::object letters = fetch_quickly(*fetcher.records, arguments);
            if (letters) return letters.release().ptr();
        }
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_TypeError)) {  // a place that is no integer: as others in disorder
            error.restore();
            return nullptr;
        }
    }
    return PyObject_Vectorcall(fetcher.careful.ptr(), arguments, static_cast<std::size_t>(count),
                               names);
}

py::object py_fetcher(py::object const& reader, py::object const& careful) {
    static PyMethodDef definition{
        "fetch", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&fetch)),
        METH_FASTCALL | METH_KEYWORDS, nullptr};
    auto fetcher =
        std::make_unique<Fetcher>(Fetcher{reader, reader.cast<FastaReader const*>(), careful});
    py::capsule const capsule(fetcher.get(), [](void* pointer) {
        std::unique_ptr<Fetcher>(static_cast<Fetcher*>(pointer));
    });
    [[maybe_unused]] auto* const owned = fetcher.release();
    return py::reinterpret_steal<py::object>(PyCFunction_New(&definition, capsule.ptr()));
}

// The careful way of fetch(): false if the file is not what its index says.
bool py_fetch_into(FastaReader const& reader, std::size_t number, std::uint64_t start,
                   std::uint64_t end, Array<std::uint8_t>& out) {
    reader.open();
    if (number >= reader.records->size() || start > end || end > (*reader.records)[number].length) {
        throw py::index_error("no such interval");
    }
    check_size("out", out.size(), static_cast<std::size_t>(end - start));
    MutableBytes const target = mutable_view(out);
    FaidxRecord const record = (*reader.records)[number];
    auto const file = reader.file;
    return unlocked([&] { return file->fetch(record, start, end, target); });
}

// Intervals, looked up and checked.
struct FetchPlan {
    std::shared_ptr<std::vector<FaidxRecord> const> records;
    std::vector<FetchRequest> requests;
    std::vector<std::size_t> unverified;  // records whose headers are to be verified first
    std::size_t odd_one = kNone;          // the first interval not as long as the first
    std::size_t letters = 0;
};

// Where an interval is not one of this file, -1 - its number takes the plan's place.
py::object py_plan(FastaReader const& reader, py::object const& intervals, bool rna) {
    reader.open();
    auto const items = py::reinterpret_steal<py::object>(
        PySequence_Fast(intervals.ptr(), "expected a list of intervals"));
    if (!items) throw py::error_already_set();
    auto const count = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items.ptr()));
    auto plan = std::make_unique<FetchPlan>();
    plan->records = reader.records;
    plan->requests.reserve(count);
    std::vector<bool> seen(reader.records->size());
    py::object name;  // the last, for neighbours are often of one record
    std::size_t number = kNone;
    for (std::size_t i = 0; i < count; ++i) {
        auto const bad = [i] { return py::int_(-1 - static_cast<py::ssize_t>(i)); };
        // an __index__ of the caller's could have changed the list meanwhile
        if (i >= static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items.ptr()))) return bad();
        auto const item = py::reinterpret_borrow<py::object>(
            PySequence_Fast_GET_ITEM(items.ptr(), static_cast<Py_ssize_t>(i)));
        if (!PyTuple_Check(item.ptr())) return bad();
        Py_ssize_t const fields = PyTuple_GET_SIZE(item.ptr());
        if (fields != 3 && fields != 4) return bad();
        PyObject* const chrom = PyTuple_GET_ITEM(item.ptr(), 0);
        if (chrom != name.ptr()) {
            name = py::reinterpret_borrow<py::object>(chrom);
            number = find_record(reader, chrom);
        }
        if (number == kNone) return bad();
        std::int64_t start = -1, end = -1;
        try {
            start = to_position(PyTuple_GET_ITEM(item.ptr(), 1));
            end = to_position(PyTuple_GET_ITEM(item.ptr(), 2));
        } catch (py::error_already_set const& error) {
            if (!error.matches(PyExc_TypeError)) throw;
            return bad();
        }
        FaidxRecord const& record = (*plan->records)[number];
        if (start < 0 || end < start || static_cast<std::uint64_t>(end) > record.length) {
            return bad();
        }
        bool minus = false;
        if (fields == 4) {
            PyObject* const strand = PyTuple_GET_ITEM(item.ptr(), 3);
            if (!PyUnicode_Check(strand) || PyUnicode_GET_LENGTH(strand) != 1) return bad();
            Py_UCS4 const sign = PyUnicode_READ_CHAR(strand, 0);
            if (sign != '+' && sign != '-') return bad();
            minus = sign == '-';
        }
        if (!seen[number]) {
            seen[number] = true;
            if (!reader.verified[number]) plan->unverified.push_back(number);
        }
        FetchRequest const request{&record,
                                   static_cast<std::uint64_t>(start),
                                   static_cast<std::uint64_t>(end),
                                   plan->letters,
                                   minus,
                                   rna};
        if (plan->odd_one == kNone && i != 0 && request.size() != plan->requests[0].size()) {
            plan->odd_one = i;
        }
        plan->letters += request.size();
        plan->requests.push_back(request);
    }
    return py::cast(std::move(plan));
}

// Where the intervals' letters begin in the output, and the end: int64, shape (N + 1,).
Array<std::int64_t> py_offsets(FetchPlan const& plan) {
    Array<std::int64_t> offsets(static_cast<py::ssize_t>(plan.requests.size() + 1));
    auto const out = mutable_view(offsets);
    for (std::size_t i = 0; i < plan.requests.size(); ++i) {
        out[i] = static_cast<std::int64_t>(plan.requests[i].at);
    }
    out.back() = static_cast<std::int64_t>(plan.letters);
    return offsets;
}

// Nothing, or the first interval that failed and, on the minus strand, the position and the byte
// that has no complement (-1, 0 if the file is not what its index says).
py::object py_fetch_many(FastaReader const& reader, FetchPlan const& plan, Array<std::uint8_t>& out,
                         std::size_t threads) {
    reader.open();
    check_size("out", out.size(), plan.letters);
    MutableBytes const target = mutable_view(out);
    auto const file = reader.file;
    FetchFailure const failure =
        unlocked([&] { return file->fetch_many(plan.requests, target, threads); });
    if (failure.request == kNone) return py::none();
    return py::make_tuple(failure.request, position(failure.position), failure.byte);
}

}  // namespace

void bind_faidx(py::module_& module) {
    using namespace py::literals;
    module.def(
        "is_bgzf", [](py::bytes const& start) { return is_bgzf(to_bytes(start)); }, "start"_a);
    py::class_<FetchPlan>(module, "FetchPlan")
        .def("__len__", [](FetchPlan const& plan) { return plan.requests.size(); })
        .def("offsets", &py_offsets)
        .def_readonly("letters", &FetchPlan::letters)
        .def_readonly("unverified", &FetchPlan::unverified)
        .def_property_readonly("odd_one",
                               [](FetchPlan const& plan) { return position(plan.odd_one); });
    py::class_<FastaReader>(module, "FastaReader")
        .def(py::init(&py_open), "descriptor"_a, "bgzf"_a, "gzi"_a)
        .def_property_readonly("size",
                               [](FastaReader const& reader) { return reader.open().size(); })
        .def("gzi", &py_gzi)
        .def("set_records", &py_set_records, "names"_a, "geometry"_a.noconvert(), "verified"_a)
        .def_readonly("numbers", &FastaReader::numbers)
        .def(
            "verified",
            [](FastaReader const& reader, std::size_t number) -> bool {
                return reader.verified.at(number);
            },
            "number"_a)
        .def(
            "verify",
            [](FastaReader& reader, std::size_t number) { reader.verified.at(number) = true; },
            "number"_a)
        .def("read", &py_read, "offset"_a, "size"_a)
        .def("fetch_into", &py_fetch_into, "number"_a, "start"_a, "end"_a, "out"_a.noconvert())
        .def("plan", &py_plan, "intervals"_a, "rna"_a)
        .def("fetch_many", &py_fetch_many, "plan"_a, "out"_a.noconvert(), "threads"_a)
        .def("close", [](FastaReader& reader) { reader.file.reset(); });
    module.def("fetcher", &py_fetcher, "reader"_a, "careful"_a);
}

}  // namespace seqtile::bindings
