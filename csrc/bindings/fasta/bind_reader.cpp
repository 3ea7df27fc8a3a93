#include <unistd.h>

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include "../sequence/batch.hpp"
#include "../text/texts.hpp"
#include "fasta/bgzf_source.hpp"
#include "fasta/reader.hpp"
#include "fasta/record_batch.hpp"
#include "record.hpp"

namespace seqtile::bindings {
namespace {

// Blocks from a Python iterator of bytes-like objects, taken under the GIL.
class PythonBlocks final : public Blocks {
  public:
    explicit PythonBlocks(py::iterator blocks) : blocks_(std::move(blocks)) {}
    ~PythonBlocks() override {
        py::gil_scoped_acquire const locked;
        view_ = {};
        block_ = {};
        blocks_ = {};
    }

    Bytes next() override {
        py::gil_scoped_acquire const locked;
        view_ = {};
        block_ = py::reinterpret_steal<py::object>(PyIter_Next(blocks_.ptr()));
        if (!block_) {
            if (PyErr_Occurred()) throw py::error_already_set();
            return {};
        }
        view_ = py::reinterpret_borrow<py::buffer>(block_).request();
        return {static_cast<std::uint8_t const*>(view_.ptr), static_cast<std::size_t>(view_.size)};
    }

  private:
    py::object blocks_, block_;
    py::buffer_info view_;
};

class Reader {
  public:
    explicit Reader(std::unique_ptr<Records> records)
        : records_(std::move(records)), batches_(*records_) {}
    Reader(Reader const&) = delete;
    Reader& operator=(Reader const&) = delete;

    ~Reader() {
        // After a fork its threads are not in this process: to join them would wait for ever.
        if (process_ == ::getpid()) return;
        [[maybe_unused]] auto* const leaked = records_.release();
    }

    RecordBlock next() {
        check_process();
        py::gil_scoped_release const unlocked;
        return records_->next();
    }

    RecordBatch next_batch(std::size_t least, std::size_t most) {
        check_process();
        py::gil_scoped_release const unlocked;
        return batches_.next(least, most);
    }

  private:
    void check_process() const {
        if (process_ == ::getpid()) return;
        throw std::runtime_error(
            "a FASTA reader cannot be used on both sides of a fork: open the file in the child "
            "process");
    }

    std::unique_ptr<Records> records_;
    RecordBatches batches_;
    pid_t process_ = ::getpid();
};

LetterRule rule_of(Alphabet const* alphabet, std::string const& expected) {
    return alphabet == nullptr ? kLetters : LetterRule{alphabet->table(), expected};
}

// Lists of records; an empty one is the end.
py::list next_records(Reader& reader) {
    RecordBlock block = reader.next();
    py::list records(block.parts.size());
    if (block.parts.empty()) return records;
    py::capsule const owner = hold(block.slab);
    bool const fastq = block.format == Format::fastq;
    std::size_t i = 0;
    for (auto const& part : block.parts) {
        PyList_SET_ITEM(records.ptr(), static_cast<Py_ssize_t>(i++),
                        make_record(owner, *block.slab, part, fastq).release().ptr());
    }
    return records;
}

// (letters, names) of records; None is the end.
py::object next_batch(Reader& reader, std::size_t least, std::size_t most) {
    if (most == 0) throw py::value_error("most must be at least 1");
    RecordBatch batch = reader.next_batch(least, most);
    if (batch.names.empty()) return py::none();
    Texts names(std::move(batch.names), batch.slabs);
    return py::make_tuple(std::make_unique<Batch>(std::move(batch.letters), std::move(batch.slabs)),
                          std::move(names));
}

// [(name or None, header's line, letters, (length, offset, line_bases, line_width, uneven_line)
// or None)]: a record's first part has its name, the last its geometry.
py::list next_pieces(Reader& reader) {
    RecordBlock block = reader.next();
    py::list pieces;
    if (block.parts.empty()) return pieces;
    py::capsule const owner = hold(block.slab);
    for (auto const& part : block.parts) {
        py::object name = py::none(), geometry = py::none();
        auto* const base = block.slab->data();
        if (part.begins) {
            auto const* const header = base + part.header;
            auto const* const end = std::find_if(header, header + part.header_size, is_blank);
            name = decode_text(header, static_cast<std::size_t>(end - header));
        }
        if (part.ends) {
            auto const& g = part.geometry;
            geometry = py::make_tuple(g.length, g.offset, g.line_bases, g.line_width, g.uneven_line,
                                      g.blank_line);
        }
        pieces.append(py::make_tuple(
            name, part.line, make_array(owner, base + part.letters, part.length), geometry));
    }
    return pieces;
}

void translate_errors(std::exception_ptr pointer) {
    try {
        if (pointer) std::rethrow_exception(pointer);
    } catch (ParseError const& error) {
        py::object const type = py::module_::import("seqtile._core").attr("ParseError");
        py::object const args =
            py::make_tuple(error.what(), error.line(),
                           decode_text(reinterpret_cast<std::uint8_t const*>(error.record().data()),
                                       error.record().size()));
        PyErr_SetObject(type.ptr(), args.ptr());
    } catch (std::system_error const& error) {
        errno = error.code().value();
        PyErr_SetFromErrno(PyExc_OSError);
    }
}

}  // namespace

void bind_reader(py::module_& module) {
    using namespace py::literals;
    static py::exception<ParseError> const parse_error(module, "ParseError", PyExc_ValueError);
    py::register_exception_translator(&translate_errors);
    py::enum_<Format>(module, "Format").value("ANY", Format::any).value("FASTA", Format::fasta);
    py::class_<Reader>(module, "RecordReader")
        .def(py::init([](int descriptor, std::size_t inflaters, Alphabet const* alphabet,
                         std::string const& expected, Format format, bool pieces) {
                 std::unique_ptr<Source> source = std::make_unique<FileSource>(descriptor);
                 if (inflaters != 0) {
                     source = std::make_unique<BgzfSource>(std::move(source), inflaters);
                 }
                 auto records =
                     std::make_unique<RecordReader>(std::make_unique<ReadAhead>(std::move(source)),
                                                    rule_of(alphabet, expected), format, pieces);
                 return std::make_unique<Reader>(std::make_unique<ParseAhead>(std::move(records)));
             }),
             "descriptor"_a, "inflaters"_a, "alphabet"_a, "expected"_a, "format"_a, "pieces"_a)
        .def(py::init([](py::iterator const& blocks, Alphabet const* alphabet,
                         std::string const& expected, Format format, bool pieces) {
                 return std::make_unique<Reader>(
                     std::make_unique<RecordReader>(std::make_unique<PythonBlocks>(blocks),
                                                    rule_of(alphabet, expected), format, pieces));
             }),
             "blocks"_a, "alphabet"_a, "expected"_a, "format"_a, "pieces"_a)
        .def("records", &next_records)
        .def("batch", &next_batch, "least"_a, "most"_a)
        .def("pieces", &next_pieces);
}

}  // namespace seqtile::bindings
