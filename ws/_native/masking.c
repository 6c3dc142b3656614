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
