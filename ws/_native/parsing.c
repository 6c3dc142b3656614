/* Incoming frames (RFC 6455 section 5.2): see ws/protocol/frames.py. */
#include "native.h"

typedef struct {
    const uint8_t *key, *payload; /* no key: not masked */
    Py_ssize_t length;
    uint8_t first;
} Frame;

/* Where a frame's payload begins; NULL if not all that comes before it is there. */
static const uint8_t *read_header(const uint8_t *pos, const uint8_t *end, Frame *frame, uint64_t *length)
{
    int masked, width;
    if (end - pos < 2) return NULL;
    frame->first = pos[0];
    masked = pos[1] >= MASK;
    *length = pos[1] & LENGTH;
    pos += 2;
    if (*length > SHORT_LIMIT) {
        width = *length == LENGTH_16 ? 2 : 8;
        if (end - pos < width) return NULL;
        for (*length = 0; width; width--) *length = *length << 8 | *pos++;
    }
    frame->key = NULL;
    if (masked) {
        if (end - pos < KEY_SIZE) return NULL;
        frame->key = pos;
        pos += KEY_SIZE;
    }
    return pos;
}

static PyObject *bytes_of(const Frame *frame)
{
    PyObject *bytes = PyBytes_FromStringAndSize(frame->key ? NULL : (const char *)frame->payload, frame->length);
    if (bytes && frame->key)
        copy_masked((uint8_t *)PyBytes_AS_STRING(bytes), frame->payload, frame->length, frame->key);
    return bytes;
}

/* NULL, with UnicodeDecodeError set, if it is not UTF-8. */
static PyObject *text_of(const Frame *frame)
{
    PyObject *text, *bytes;
    if (!frame->key) return PyUnicode_DecodeUTF8((const char *)frame->payload, frame->length, NULL);
    /* Most text is ASCII, and then unmasking writes the characters themselves. */
    text = PyUnicode_New(frame->length, ASCII);
    if (!text || frame->length == 0) return text;
    if (copy_masked(PyUnicode_DATA(text), frame->payload, frame->length, frame->key) <= ASCII) return text;
    Py_DECREF(text);
    bytes = bytes_of(frame);
    if (!bytes) return NULL;
    text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(bytes), frame->length, NULL);
    Py_DECREF(bytes);
    return text;
}

static PyObject *result_of(const Frame *frame, Py_ssize_t stop)
{
    int is_text = (frame->first & (OPCODE | RSV1)) == TEXT;
    PyObject *payload = is_text ? text_of(frame) : bytes_of(frame), *first, *end, *result;
    if (!payload) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return NULL;
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    first = PyLong_FromLong(frame->first);
    end = PyLong_FromSsize_t(stop);
    result = first && end ? PyTuple_Pack(4, first, payload, frame->key ? Py_True : Py_False, end) : NULL;
    Py_XDECREF(first);
    Py_XDECREF(end);
    Py_DECREF(payload);
    return result;
}

static int check_size(const char *what, PyObject *object, Py_ssize_t *size)
{
    *size = PyLong_CheckExact(object) ? PyLong_AsSsize_t(object) : -1;
    if (*size >= 0) return 0;
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "%s must be an int, and not below 0", what);
    return -1;
}

PyObject *native_whole_frame(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *data, *starts, *masked;
    const uint8_t *begin, *end;
    Py_ssize_t pos, max_payload;
    uint64_t length;
    Frame frame;
    (void)module;
    if (check_count("whole_frame", count, 5)) return NULL;
    data = arguments[0];
    starts = arguments[2];
    masked = arguments[3];
    if (check_bytes("data", data) || check_size("pos", arguments[1], &pos) || check_bytes("starts", starts) ||
        check_size("max_payload", arguments[4], &max_payload))
        return NULL;
    if (masked != Py_None && !PyBool_Check(masked)) {
        PyErr_SetString(PyExc_TypeError, "masked must be a bool or None");
        return NULL;
    }
    begin = (const uint8_t *)PyBytes_AS_STRING(data);
    end = begin + PyBytes_GET_SIZE(data);
    if (pos > end - begin || !(frame.payload = read_header(begin + pos, end, &frame, &length))) Py_RETURN_NONE;
    if (!memchr(PyBytes_AS_STRING(starts), frame.first, (size_t)PyBytes_GET_SIZE(starts))) Py_RETURN_NONE;
    if (masked != Py_None && (masked == Py_True) != (frame.key != NULL)) Py_RETURN_NONE;
    if (length > (uint64_t)(end - frame.payload) || length > (uint64_t)max_payload) Py_RETURN_NONE;
    frame.length = (Py_ssize_t)length;
    return result_of(&frame, frame.payload + length - begin);
}
