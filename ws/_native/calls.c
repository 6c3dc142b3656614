/*
 * System calls on non-blocking sockets: see ws/net/calls.py. They return at once, so they keep the GIL: to give it up
 * costs more than they do, and when another thread computes, up to 5 ms until it is given back.
 */
#include "native.h"

#ifndef MS_WINDOWS

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* So much fits on the stack. Room for more costs more than the call that fills little of it. */
enum { LITTLE = 4096 };

static int would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static int check_descriptor(PyObject *object)
{
    int fd = PyLong_CheckExact(object) ? PyObject_AsFileDescriptor(object) : -1;
    if (fd < 0 && !PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "a descriptor is an int");
    return fd;
}

/* --- recv --------------------------------------------------------------------------------------------------------- */

static PyObject *not_received(void)
{
    if (would_block()) Py_RETURN_NONE;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *receive_little(int fd, size_t size)
{
    char data[LITTLE];
    Py_ssize_t count = recv(fd, data, size, 0);
    return count < 0 ? not_received() : PyBytes_FromStringAndSize(data, count);
}

static PyObject *receive(int fd, Py_ssize_t size)
{
    PyObject *data = PyBytes_FromStringAndSize(NULL, size);
    Py_ssize_t count;
    int error;
    if (!data) return NULL;
    count = recv(fd, PyBytes_AS_STRING(data), (size_t)size, 0);
    if (count >= 0) {
        _PyBytes_Resize(&data, count);
        return data;
    }
    error = errno;
    Py_DECREF(data);
    errno = error;
    return not_received();
}

PyObject *native_recv(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    Py_ssize_t size;
    int fd;
    (void)module;
    if (check_count("recv", count, 2) || (fd = check_descriptor(arguments[0])) < 0) return NULL;
    size = PyLong_CheckExact(arguments[1]) ? PyLong_AsSsize_t(arguments[1]) : -1;
    if (size <= 0) {
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError, "size must be an int above 0");
        return NULL;
    }
    return size <= LITTLE ? receive_little(fd, (size_t)size) : receive(fd, size);
}

/* --- send --------------------------------------------------------------------------------------------------------- */

static PyObject *sent(Py_ssize_t count)
{
    if (count >= 0) return PyLong_FromSsize_t(count);
    if (would_block()) return PyLong_FromLong(0);
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* Of these two, and no subclasses, a buffer is had without any Python code being run. */
static int get_buffer(PyObject *data, Py_buffer *buffer)
{
    if (PyBytes_CheckExact(data) || Py_IS_TYPE(data, &PyMemoryView_Type))
        return PyObject_GetBuffer(data, buffer, PyBUF_SIMPLE);
    PyErr_Format(PyExc_TypeError, "bytes or a memoryview expected, not %.100s", Py_TYPE(data)->tp_name);
    return -1;
}

PyObject *native_send(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer buffer;
    Py_ssize_t taken;
    int fd, error;
    (void)module;
    if (check_count("send", count, 2) || (fd = check_descriptor(arguments[0])) < 0) return NULL;
    if (get_buffer(arguments[1], &buffer)) return NULL;
    taken = send(fd, buffer.buf, (size_t)buffer.len, MSG_NOSIGNAL);
    error = errno;
    PyBuffer_Release(&buffer); /* which may change errno */
    errno = error;
    return sent(taken);
}

/* A new reference: the list may be changed by what happens when a buffer is released. */
static PyObject *item_at(PyObject *list, Py_ssize_t at)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyList_GetItemRef(list, at);
#else
    PyObject *item = PyList_GetItem(list, at);
    Py_XINCREF(item);
    return item;
#endif
}

static Py_ssize_t get_buffers(PyObject *list, Py_ssize_t first, Py_buffer *buffers, struct iovec *vectors)
{
    Py_ssize_t filled = 0, most = PyList_GET_SIZE(list) - first;
    for (; filled < most && filled < BUFFERS_PER_CALL; filled++) {
        PyObject *item = item_at(list, first + filled);
        int failed = !item || get_buffer(item, &buffers[filled]); /* a buffer holds its object */
        Py_XDECREF(item);
        if (failed) break;
        vectors[filled].iov_base = buffers[filled].buf;
        vectors[filled].iov_len = (size_t)buffers[filled].len;
    }
    return filled;
}

PyObject *native_send_several(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer buffers[BUFFERS_PER_CALL];
    struct iovec vectors[BUFFERS_PER_CALL];
    struct msghdr message = {.msg_iov = vectors};
    Py_ssize_t filled, first, taken = -1;
    int fd, error, failed;
    (void)module;
    if (check_count("send_several", count, 3) || (fd = check_descriptor(arguments[0])) < 0) return NULL;
    first = PyLong_CheckExact(arguments[2]) ? PyLong_AsSsize_t(arguments[2]) : -1;
    if (!PyList_CheckExact(arguments[1]) || first < 0) {
        PyErr_Clear();
        PyErr_SetString(PyExc_TypeError, "a list and an int, not below 0, expected");
        return NULL;
    }
    filled = get_buffers(arguments[1], first, buffers, vectors);
    failed = PyErr_Occurred() != NULL;
    message.msg_iovlen = (size_t)filled; /* on some systems an int: the number is small */
    if (!failed) taken = sendmsg(fd, &message, MSG_NOSIGNAL);
    error = errno;
    while (filled) PyBuffer_Release(&buffers[--filled]);
    errno = error;
    return failed ? NULL : sent(taken);
}

#endif
