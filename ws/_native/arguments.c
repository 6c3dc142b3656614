/* What the functions are given is checked before it is touched. */
#include "native.h"

int check_count(const char *name, Py_ssize_t count, Py_ssize_t expected)
{
    if (count == expected) return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", name, expected, count);
    return -1;
}

/* No subclasses: those may have a buffer of their own making. */
int check_bytes(const char *what, PyObject *object)
{
    if (PyBytes_CheckExact(object)) return 0;
    PyErr_Format(PyExc_TypeError, "%s must be bytes, not %.100s", what, Py_TYPE(object)->tp_name);
    return -1;
}

int check_key(PyObject *key)
{
    if (check_bytes("a mask key", key)) return -1;
    if (PyBytes_GET_SIZE(key) == KEY_SIZE) return 0;
    PyErr_SetString(PyExc_ValueError, "a mask key has 4 bytes");
    return -1;
}
