/* Outgoing frames (RFC 6455 section 5.2): see ws/protocol/frames.py. */
#include "native.h"

enum { LONGEST_HEADER = 14 };

static uint8_t *put_length(uint8_t *to, uint8_t mask_bit, uint64_t length)
{
    int width = length <= SHORT_LIMIT ? 0 : length <= UINT16_MAX ? 2 : 8;
    *to++ = (uint8_t)(mask_bit | (width == 0 ? (uint8_t)length : width == 2 ? LENGTH_16 : LENGTH_64));
    while (width--) *to++ = (uint8_t)(length >> 8 * width);
    return to;
}

static PyObject *build(uint8_t first, const uint8_t *payload, Py_ssize_t length, const uint8_t *key)
{
    uint8_t header[LONGEST_HEADER], *end = header, *body;
    size_t size;
    PyObject *frame;
    *end++ = first;
    end = put_length(end, key ? MASK : 0, (uint64_t)length);
    if (key) {
        memcpy(end, key, KEY_SIZE);
        end += KEY_SIZE;
    }
    size = (size_t)(end - header);
    if (length > PY_SSIZE_T_MAX - (Py_ssize_t)size) return PyErr_NoMemory();
    frame = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size + length);
    if (!frame) return NULL;
    body = (uint8_t *)PyBytes_AS_STRING(frame);
    memcpy(body, header, size);
    if (key)
        copy_masked(body + size, payload, length, key);
    else
        memcpy(body + size, payload, (size_t)length);
    return frame;
}

static PyObject *build_text(uint8_t first, PyObject *text, const uint8_t *key)
{
    PyObject *encoded, *frame;
    if (PyUnicode_IS_ASCII(text)) return build(first, PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), key);
    encoded = PyUnicode_AsUTF8String(text);
    if (!encoded) return NULL;
    frame = build(first, (const uint8_t *)PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded), key);
    Py_DECREF(encoded);
    return frame;
}

PyObject *native_frame(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *payload;
    const uint8_t *key = NULL;
    long first;
    (void)module;
    if (check_count("frame", count, 3)) return NULL;
    if (!PyLong_CheckExact(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "first must be an int");
        return NULL;
    }
    first = PyLong_AsLong(arguments[0]);
    if (first < 0 || first > UINT8_MAX) {
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError, "first must be a byte");
        return NULL;
    }
    if (arguments[2] != Py_None) {
        if (check_key(arguments[2])) return NULL;
        key = (const uint8_t *)PyBytes_AS_STRING(arguments[2]);
    }
    payload = arguments[1];
    if (PyUnicode_CheckExact(payload)) return build_text((uint8_t)first, payload, key);
    if (check_bytes("a payload that is no str", payload)) return NULL;
    return build((uint8_t)first, (const uint8_t *)PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), key);
}
