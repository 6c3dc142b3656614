/*
 * What the files of the accelerator share. Each function is pure: it is given exact str, bytes, int and bool objects,
 * keeps none of them, and calls no Python code. What it does, and what for, stands with its twin in Python.
 */
#ifndef WS_NATIVE_H
#define WS_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

#ifdef _MSC_VER
#define restrict __restrict
#endif

/* System calls: as in ws/net/calls.py. */
enum { BUFFERS_PER_CALL = 64 };

/* Frames (RFC 6455 section 5.2). Compared with ws/protocol/frames.py at import. */
enum { TEXT = 0x1, OPCODE = 0x0F, RSV1 = 0x40, MASK = 0x80, LENGTH = 0x7F, SHORT_LIMIT = 125, LENGTH_16 = 126, LENGTH_64 = 127 };
enum { KEY_SIZE = 4 };

/* The largest ASCII character. */
enum { ASCII = 0x7F };

/* masking.c: copy with every byte XORed with those of the key in turn (section 5.3). Returns the bytes written, ORed. */
uint8_t copy_masked(uint8_t *restrict to, const uint8_t *restrict from, Py_ssize_t size, const uint8_t *restrict key);

/* arguments.c: 0, or -1 with TypeError or ValueError. */
int check_count(const char *name, Py_ssize_t count, Py_ssize_t expected);
int check_bytes(const char *what, PyObject *object);
int check_key(PyObject *key);

PyObject *native_mask(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *native_join_masked(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *native_frame(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *native_whole_frame(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
#ifndef MS_WINDOWS
PyObject *native_recv(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *native_send(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *native_send_several(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
#endif

#endif
