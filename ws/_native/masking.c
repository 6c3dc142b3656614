/* Masks (RFC 6455 section 5.3): see ws/protocol/masking.py. */
#include "native.h"

uint8_t copy_masked(uint8_t *restrict to, const uint8_t *restrict from, Py_ssize_t size, const uint8_t *restrict key)
{
    uint64_t wide, words = 0;
    uint8_t bytes = 0;
    Py_ssize_t at = 0;

    memcpy(&wide, key, KEY_SIZE);
    memcpy((uint8_t *)&wide + KEY_SIZE, key, KEY_SIZE);
    for (; at + 8 <= size; at += 8) {
        uint64_t word;
        memcpy(&word, from + at, 8);
        word ^= wide;
        words |= word;
        memcpy(to + at, &word, 8);
    }
    for (; at < size; at++) bytes |= to[at] = from[at] ^ key[at & 3];
    for (int shift = 0; shift < 64; shift += 8) bytes |= (uint8_t)(words >> shift);
    return bytes;
}

PyObject *native_mask(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *data, *key, *result;
    (void)module;
    if (check_count("mask", count, 2)) return NULL;
    data = arguments[0];
    key = arguments[1];
    if (check_bytes("data", data) || check_key(key)) return NULL;
    result = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(data));
    if (!result) return NULL;
    copy_masked((uint8_t *)PyBytes_AS_STRING(result), (const uint8_t *)PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data),
                (const uint8_t *)PyBytes_AS_STRING(key));
    return result;
}

/* The sum of their sizes; -1 with an exception. */
static Py_ssize_t check_pieces(PyObject *pieces, PyObject *keys)
{
    Py_ssize_t sum = 0;
    if (PyTuple_GET_SIZE(pieces) != PyTuple_GET_SIZE(keys)) {
        PyErr_SetString(PyExc_ValueError, "each piece has a key");
        return -1;
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(pieces); at++) {
        PyObject *piece = PyTuple_GET_ITEM(pieces, at), *key = PyTuple_GET_ITEM(keys, at);
        if (check_bytes("a piece", piece) || (key != Py_None && check_key(key))) return -1;
        if (PyBytes_GET_SIZE(piece) > PY_SSIZE_T_MAX - sum) {
            PyErr_NoMemory();
            return -1;
        }
        sum += PyBytes_GET_SIZE(piece);
    }
    return sum;
}

static PyObject *join_masked(PyObject *pieces, PyObject *keys)
{
    Py_ssize_t size = check_pieces(pieces, keys);
    PyObject *result = size < 0 ? NULL : PyBytes_FromStringAndSize(NULL, size);
    uint8_t *to;
    if (!result) return NULL;
    to = (uint8_t *)PyBytes_AS_STRING(result);
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(pieces); at++) {
        PyObject *key = PyTuple_GET_ITEM(keys, at);
        const uint8_t *from = (const uint8_t *)PyBytes_AS_STRING(PyTuple_GET_ITEM(pieces, at));
        size = PyBytes_GET_SIZE(PyTuple_GET_ITEM(pieces, at));
        if (key == Py_None)
            memcpy(to, from, (size_t)size);
        else
            copy_masked(to, from, size, (const uint8_t *)PyBytes_AS_STRING(key));
        to += size;
    }
    return result;
}

PyObject *native_join_masked(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *pieces, *keys, *result = NULL;
    (void)module;
    if (check_count("join_masked", count, 2)) return NULL;
    if (!PyList_CheckExact(arguments[0]) || !PyList_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "two lists expected");
        return NULL;
    }
    /* Copies hold what is in them, whatever another thread does to the lists. */
    pieces = PyList_AsTuple(arguments[0]);
    keys = PyList_AsTuple(arguments[1]);
    if (pieces && keys) result = join_masked(pieces, keys);
    Py_XDECREF(pieces);
    Py_XDECREF(keys);
    return result;
}
