#include <algorithm>
#include <cstring>
#include <string>

#include "../text/texts.hpp"
#include "record.hpp"

namespace seqtile::bindings {
namespace {

// Objects may be null: not asked for yet, or none. `owner` keeps the memory of the pointers.
struct Record {
    PyObject_HEAD;
    PyObject* owner;
    std::uint8_t const* header;  // null if name and description were given
    std::uint8_t* letters;
    std::size_t header_size, length;
    bool has_quality;
    PyObject *name, *description, *sequence, *quality;
};

PyTypeObject* record_type = nullptr;

Record& self_of(PyObject* object) {
    return *reinterpret_cast<Record*>(object);
}

PyObject* new_reference(PyObject* object) {
    Py_XINCREF(object);
    return object;
}

std::size_t name_size(Record const& record) {
    auto const* const end = record.header + record.header_size;
    return static_cast<std::size_t>(std::find_if(record.header, end, is_blank) - record.header);
}

// A getter must not throw: pybind11 is not between it and Python.
template <class Make>
PyObject* cached(PyObject*& place, Make const& make) {
    if (place == nullptr) {
        try {
            place = make().release().ptr();
        } catch (py::error_already_set& error) {
            error.restore();
            return nullptr;
        } catch (std::bad_alloc const&) {
            return PyErr_NoMemory();
        }
    }
    return new_reference(place);
}

PyObject* get_name(PyObject* object, void*) {
    Record& self = self_of(object);
    return cached(self.name, [&] { return decode_text(self.header, name_size(self)); });
}

PyObject* get_description(PyObject* object, void*) {
    Record& self = self_of(object);
    return cached(self.description, [&] {
        std::size_t begin = name_size(self);
        while (begin < self.header_size && is_blank(self.header[begin])) ++begin;
        return decode_text(self.header + begin, self.header_size - begin);
    });
}

PyObject* get_sequence(PyObject* object, void*) {
    Record& self = self_of(object);
    return cached(self.sequence, [&] { return make_array(self.owner, self.letters, self.length); });
}

PyObject* get_quality(PyObject* object, void*) {
    Record& self = self_of(object);
    return cached(self.quality, [&]() -> py::object {
        if (!self.has_quality) return py::none();
        return make_array(self.owner, self.letters + self.length, self.length);
    });
}

Py_ssize_t length_of(PyObject* object) {
    return static_cast<Py_ssize_t>(self_of(object).length);
}

PyObject* to_tuple(PyObject* object, PyObject*) {
    auto const name = py::reinterpret_steal<py::object>(get_name(object, nullptr));
    auto const description = py::reinterpret_steal<py::object>(get_description(object, nullptr));
    auto const sequence = py::reinterpret_steal<py::object>(get_sequence(object, nullptr));
    auto const quality = py::reinterpret_steal<py::object>(get_quality(object, nullptr));
    if (!name || !description || !sequence || !quality) return nullptr;
    return Py_BuildValue("O(OOOO)", Py_TYPE(object), name.ptr(), description.ptr(), sequence.ptr(),
                         quality.ptr());
}

bool same(PyObject* a, PyObject* b) {
    return a != nullptr && b != nullptr && PyObject_RichCompareBool(a, b, Py_EQ) == 1;
}

std::uint8_t const* quality_of(PyObject* object) {
    auto const quality = py::reinterpret_steal<py::object>(get_quality(object, nullptr));
    if (!quality || quality.is_none()) return nullptr;
    return static_cast<std::uint8_t const*>(py::array(quality).data());
}

PyObject* compare(PyObject* a, PyObject* b, int operation) {
    if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(a) != Py_TYPE(b)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    Record const &left = self_of(a), &right = self_of(b);
    bool equal = left.length == right.length && left.has_quality == right.has_quality &&
                 std::equal(left.letters, left.letters + left.length, right.letters);
    for (auto const getter : {get_name, get_description}) {
        auto const ours = py::reinterpret_steal<py::object>(getter(a, nullptr));
        auto const theirs = py::reinterpret_steal<py::object>(getter(b, nullptr));
        equal = equal && same(ours.ptr(), theirs.ptr());
    }
    if (equal && left.has_quality) {
        auto const* const ours = quality_of(a);
        auto const* const theirs = quality_of(b);
        equal = ours && theirs && std::equal(ours, ours + left.length, theirs);
    }
    if (PyErr_Occurred()) return nullptr;
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

PyObject* represent(PyObject* object) {
    auto const name = py::reinterpret_steal<py::object>(get_name(object, nullptr));
    if (!name) return nullptr;
    Record const& self = self_of(object);
    return PyUnicode_FromFormat("<Record %R, %zu letters%s>", name.ptr(), self.length,
                                self.has_quality ? " with qualities" : "");
}

// Record(name, description, sequence, quality=None)
PyObject* create(PyTypeObject* type, PyObject* args, PyObject* keywords) {
    static char const* names[] = {"name", "description", "sequence", "quality", nullptr};
    PyObject *name = nullptr, *description = nullptr, *sequence = nullptr, *quality = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "UUO|O", const_cast<char**>(names), &name,
                                     &description, &sequence, &quality)) {
        return nullptr;
    }
    if (!py::isinstance<Array<std::uint8_t>>(sequence) ||
        (quality != Py_None && !py::isinstance<Array<std::uint8_t>>(quality))) {
        PyErr_SetString(PyExc_TypeError, "sequence and quality must be contiguous uint8 arrays");
        return nullptr;
    }
    auto letters = py::reinterpret_borrow<Array<std::uint8_t>>(sequence);
    bool sound = letters.ndim() == 1;
    if (quality != Py_None) {
        auto const qualities = py::reinterpret_borrow<Array<std::uint8_t>>(quality);
        sound = sound && qualities.ndim() == 1 && qualities.size() == letters.size();
    }
    if (!sound) {
        PyErr_SetString(PyExc_ValueError, "sequence must be 1-D, and quality as long");
        return nullptr;
    }
    PyObject* const object = type->tp_alloc(type, 0);
    if (object == nullptr) return nullptr;
    Record& self = self_of(object);
    self.letters = const_cast<std::uint8_t*>(letters.data());
    self.length = static_cast<std::size_t>(letters.size());
    self.has_quality = quality != Py_None;
    self.name = new_reference(name);
    self.description = new_reference(description);
    self.sequence = new_reference(sequence);
    self.quality = new_reference(quality);
    return object;
}

void destroy(PyObject* object) {
    Record& self = self_of(object);
    Py_XDECREF(self.name);
    Py_XDECREF(self.description);
    Py_XDECREF(self.sequence);
    Py_XDECREF(self.quality);
    Py_XDECREF(self.owner);
    PyTypeObject* const type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

constexpr char const* kDoc =
    "One FASTA or FASTQ record.\n\n"
    "Attributes\n----------\n"
    "name\n    The header up to the first blank.\n"
    "description\n    The rest of the header, without the blank; may be empty.\n"
    "sequence\n    uint8 array of the letters, shape (L,); L may be 0.\n"
    "quality\n    uint8 array of the quality letters as they stand in a FASTQ file, shape (L,):\n"
    "    Phred scores are ``quality - 33``. None for FASTA.\n\n"
    "``len(record)`` is L. Records of one block of a file share its memory: one that is kept\n"
    "keeps the block (about 1 MB, or the record if that is longer).";

}  // namespace

py::capsule hold(std::shared_ptr<Slab> slab) {
    auto owned = std::make_unique<std::shared_ptr<Slab>>(std::move(slab));
    py::capsule capsule(owned.get(), [](void* pointer) {
        std::unique_ptr<std::shared_ptr<Slab>>(static_cast<std::shared_ptr<Slab>*>(pointer));
    });
    [[maybe_unused]] auto* const released = owned.release();
    return capsule;
}

py::object make_array(py::handle owner, std::uint8_t* data, std::size_t size) {
    auto& numpy = py::detail::npy_api::get();
    static PyObject* const dtype = py::dtype::of<std::uint8_t>().release().ptr();
    auto shape = static_cast<Py_intptr_t>(size);
    Py_INCREF(dtype);
    auto array = py::reinterpret_steal<py::object>(
        numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, dtype, 1, &shape, nullptr, data,
                                    py::detail::npy_api::NPY_ARRAY_WRITEABLE_, nullptr));
    if (!array) throw py::error_already_set();
    numpy.PyArray_SetBaseObject_(array.ptr(), owner.inc_ref().ptr());
    return array;
}

py::object make_record(py::capsule const& owner, Slab& slab, RecordPart const& part, bool quality) {
    auto object = py::reinterpret_steal<py::object>(record_type->tp_alloc(record_type, 0));
    if (!object) throw py::error_already_set();
    Record& self = self_of(object.ptr());
    self.owner = new_reference(owner.ptr());
    self.header = slab.data() + part.header;
    self.header_size = part.header_size;
    self.letters = slab.data() + part.letters;
    self.length = part.length;
    self.has_quality = quality;
    return object;
}

void bind_record(py::module_& module) {
    static PyGetSetDef getters[] = {{"name", get_name, nullptr, nullptr, nullptr},
                                    {"description", get_description, nullptr, nullptr, nullptr},
                                    {"sequence", get_sequence, nullptr, nullptr, nullptr},
                                    {"quality", get_quality, nullptr, nullptr, nullptr},
                                    {nullptr, nullptr, nullptr, nullptr, nullptr}};
    static PyMethodDef methods[] = {{"__reduce__", to_tuple, METH_NOARGS, nullptr},
                                    {nullptr, nullptr, 0, nullptr}};
    static PyType_Slot slots[] = {
        {Py_tp_doc, const_cast<char*>(kDoc)},
        {Py_tp_new, reinterpret_cast<void*>(create)},
        {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
        {Py_tp_getset, getters},
        {Py_tp_methods, methods},
        {Py_tp_repr, reinterpret_cast<void*>(represent)},
        {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
        {Py_tp_hash, reinterpret_cast<void*>(PyObject_HashNotImplemented)},
        {Py_sq_length, reinterpret_cast<void*>(length_of)},
        {0, nullptr}};
    static PyType_Spec spec = {"seqtile.Record", sizeof(Record), 0, Py_TPFLAGS_DEFAULT, slots};
    auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
    if (!type) throw py::error_already_set();
    record_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    module.attr("Record") = type;
    [[maybe_unused]] auto const kept = type.release();  // for as long as the process lives
}

}  // namespace seqtile::bindings
