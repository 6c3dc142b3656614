/*
 * What costs most in Python, in C: masks, bursts of small messages, frames, and system calls that keep the GIL.
 *
 * Optional: every function has a twin in Python, named where it is defined, which gives the same for any input
 * (test/test_speedups.py).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <structmember.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef MS_WINDOWS
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Without the GIL, two threads may call methods of one object at a time. */
#if PY_VERSION_HEX >= 0x030D0000
#define BEGIN_CRITICAL_SECTION Py_BEGIN_CRITICAL_SECTION
#define END_CRITICAL_SECTION Py_END_CRITICAL_SECTION
#else
#define BEGIN_CRITICAL_SECTION(object)
#define END_CRITICAL_SECTION()
#endif

/* Frames (RFC 6455 section 5.2), named as in protocol/receiver.py. */
enum { FIN = 0x80, TEXT = 0x1, BINARY = 0x2, MASK = 0x80, LENGTH = 0x7F, SHORT_LIMIT = 125 };
enum { WHOLE_TEXT = FIN | TEXT, WHOLE_BINARY = FIN | BINARY, ANY_CODE_POINT = 0x10FFFF, ASCII = 0x7F };

/* A pause in the middle of a burst has the rest of it parsed again: not too much, then. */
enum { MESSAGES_AT_ONCE = 64 };

/* --- masking (RFC 6455 section 5.3) ------------------------------------------------------------------------------- */

/* Copy with every byte XORed with those of the key in turn. Returns the bytes written, ORed with one another. */
static uint8_t copy_masked(uint8_t *restrict to, const uint8_t *restrict from, Py_ssize_t size, const uint8_t *key)
{
    uint64_t wide, words = 0;
    uint8_t bytes = 0;
    Py_ssize_t at = 0;

    memcpy(&wide, key, 4);
    memcpy((uint8_t *)&wide + 4, key, 4);
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

/* A new bytes object; as it is without a key. */
static PyObject *unmasked_bytes(const uint8_t *data, Py_ssize_t size, const uint8_t *key)
{
    PyObject *result = PyBytes_FromStringAndSize(key ? NULL : (const char *)data, size);
    if (result && key) copy_masked((uint8_t *)PyBytes_AS_STRING(result), data, size, key);
    return result;
}

/* A new str; NULL, with UnicodeDecodeError set, if it is not UTF-8. */
static PyObject *unmasked_text(const uint8_t *data, Py_ssize_t size, const uint8_t *key)
{
    PyObject *text, *bytes;
    if (!key) return PyUnicode_DecodeUTF8((const char *)data, size, NULL);
    /* Most text is ASCII, and then unmasking writes the characters themselves. */
    text = PyUnicode_New(size, ASCII);
    if (!text || size == 0) return text;
    if (copy_masked(PyUnicode_DATA(text), data, size, key) <= ASCII) return text;
    Py_DECREF(text);
    bytes = unmasked_bytes(data, size, key);
    if (!bytes) return NULL;
    text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(bytes), size, NULL);
    Py_DECREF(bytes);
    return text;
}

static int check_key(const Py_buffer *key)
{
    if (key->len == 4) return 0;
    PyErr_SetString(PyExc_ValueError, "a mask key has 4 bytes");
    return -1;
}

static int check_count(const char *name, Py_ssize_t count, Py_ssize_t expected)
{
    if (count == expected) return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", name, expected, count);
    return -1;
}

PyDoc_STRVAR(mask_doc, "mask(data, key)\n--\n\nSee ws.protocol.masking.");

static PyObject *mask(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer data, key;
    PyObject *result = NULL;
    (void)module;
    if (check_count("mask", count, 2) || PyObject_GetBuffer(arguments[0], &data, PyBUF_SIMPLE)) return NULL;
    if (!PyObject_GetBuffer(arguments[1], &key, PyBUF_SIMPLE)) {
        if (!check_key(&key)) result = unmasked_bytes(data.buf, data.len, key.buf);
        PyBuffer_Release(&key);
    }
    PyBuffer_Release(&data);
    return result;
}

/* --- what goes with a message ------------------------------------------------------------------------------------- */

PyDoc_STRVAR(flags_doc, "The attributes of ws.protocol.receiver.MessageFlags.");

typedef struct {
    PyObject_HEAD
    PyObject *masked;  /* True or False */
    PyObject *payload; /* str, bytes or None */
} Flags;

static void flags_dealloc(Flags *flags)
{
    PyTypeObject *type = Py_TYPE(flags);
    Py_XDECREF(flags->masked);
    Py_XDECREF(flags->payload);
    type->tp_free(flags);
    Py_DECREF(type);
}

static PyMemberDef flags_members[] = {
    {"masked", T_OBJECT_EX, offsetof(Flags, masked), 0, NULL},
    {"_payload", T_OBJECT_EX, offsetof(Flags, payload), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot flags_slots[] = {
    {Py_tp_doc, (void *)flags_doc},
    {Py_tp_dealloc, flags_dealloc},
    {Py_tp_members, flags_members},
    {0, NULL},
};

static PyType_Spec flags_spec = {
    .name = "ws._speedups.Flags",
    .basicsize = sizeof(Flags),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = flags_slots,
};

/* --- incoming messages -------------------------------------------------------------------------------------------- */

/* A frame at `pos` that is a whole message, wanted as it is; `payload` is NULL if there is none. */
typedef struct {
    const uint8_t *payload, *key;
    Py_ssize_t length;
    int is_text;
} Frame;

typedef struct {
    int any_mask, masked; /* what the MASK bit must be, unless any will do */
    Py_ssize_t max_payload;
} Rules;

static Frame frame_at(const uint8_t *pos, const uint8_t *end, const Rules *rules)
{
    Frame frame = {NULL, NULL, 0, 0};
    uint64_t length;
    int masked, width;
    if (end - pos < 2 || (pos[0] != WHOLE_TEXT && pos[0] != WHOLE_BINARY)) return frame;
    masked = pos[1] >= MASK;
    if (!rules->any_mask && masked != rules->masked) return frame;
    frame.is_text = pos[0] == WHOLE_TEXT;
    length = pos[1] & LENGTH;
    pos += 2;
    if (length > SHORT_LIMIT) {
        width = length == 126 ? 2 : 8;
        if (end - pos < width) return frame;
        for (length = 0; width; width--) length = length << 8 | *pos++;
    }
    if (masked) {
        if (end - pos < 4) return frame;
        frame.key = pos;
        pos += 4;
    }
    if (length > (uint64_t)(end - pos) || length > (uint64_t)rules->max_payload) return frame;
    frame.length = (Py_ssize_t)length;
    frame.payload = pos;
    return frame;
}

/* (payload, flags, stop); NULL with an exception, which is UnicodeDecodeError for what isn't UTF-8. */
static PyObject *message_of(const Frame *frame, Py_ssize_t stop, PyTypeObject *flags_type)
{
    PyObject *message = PyTuple_New(3), *end, *payload;
    Flags *flags;
    if (!message) return NULL;
    payload = frame->is_text ? unmasked_text(frame->payload, frame->length, frame->key)
                             : unmasked_bytes(frame->payload, frame->length, frame->key);
    if (!payload) goto failed;
    PyTuple_SET_ITEM(message, 0, payload);
    flags = (Flags *)flags_type->tp_alloc(flags_type, 0);
    if (!flags) goto failed;
    PyTuple_SET_ITEM(message, 1, (PyObject *)flags);
    flags->masked = PyBool_FromLong(frame->key != NULL);
    Py_INCREF(payload);
    flags->payload = payload;
    end = PyLong_FromSsize_t(stop);
    if (!end) goto failed;
    PyTuple_SET_ITEM(message, 2, end);
    return message;
failed:
    Py_DECREF(message);
    return NULL;
}

static int append_messages(PyObject *messages, const Py_buffer *data, Py_ssize_t pos, const Rules *rules,
                           PyTypeObject *flags_type)
{
    const uint8_t *start = data->buf, *end = start + data->len;
    while (PyList_GET_SIZE(messages) < MESSAGES_AT_ONCE) {
        Frame frame = frame_at(start + pos, end, rules);
        PyObject *message;
        int failed;
        if (!frame.payload) return 0;
        pos = frame.payload + frame.length - start;
        message = message_of(&frame, pos, flags_type);
        if (!message) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return -1;
            PyErr_Clear(); /* whoever takes this frame next tells what is wrong with it */
            return 0;
        }
        failed = PyList_Append(messages, message);
        Py_DECREF(message);
        if (failed) return -1;
    }
    return 0;
}

static PyTypeObject *flags_type_of(PyObject *module, PyObject *type)
{
    PyTypeObject **state = PyModule_GetState(module);
    if (PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, *state)) return (PyTypeObject *)type;
    PyErr_SetString(PyExc_TypeError, "flags must be a subclass of Flags");
    return NULL;
}

PyDoc_STRVAR(burst_doc, "burst(data, pos, masked, max_payload, flags)\n--\n\nSee ws.protocol.receiver.");

static PyObject *burst(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    PyTypeObject *flags_type;
    PyObject *messages;
    Py_buffer data;
    Py_ssize_t pos;
    Rules rules;
    if (check_count("burst", count, 5)) return NULL;
    pos = PyLong_AsSsize_t(arguments[1]);
    rules.any_mask = arguments[2] == Py_None;
    rules.masked = PyObject_IsTrue(arguments[2]);
    rules.max_payload = PyLong_AsSsize_t(arguments[3]);
    if (!PyErr_Occurred() && rules.max_payload < 0) PyErr_SetString(PyExc_ValueError, "max_payload must not be negative");
    if (PyErr_Occurred() || !(flags_type = flags_type_of(module, arguments[4]))) return NULL;
    if (PyObject_GetBuffer(arguments[0], &data, PyBUF_SIMPLE)) return NULL;
    messages = PyList_New(0);
    if (messages && (pos < 0 || pos > data.len)) {
        PyErr_SetString(PyExc_ValueError, "pos is outside of data");
        Py_CLEAR(messages);
    }
    if (messages && append_messages(messages, &data, pos, &rules, flags_type)) Py_CLEAR(messages);
    PyBuffer_Release(&data);
    return messages;
}

/* --- a message in many pieces ------------------------------------------------------------------------------------- */

PyDoc_STRVAR(bytes_builder_doc, "See ws.protocol.receiver.");

typedef struct {
    PyObject_HEAD
    PyObject *buffer; /* bytes that nobody else knows; NULL before the first piece */
    Py_ssize_t size;  /* so much of it is filled */
} BytesBuilder;

static void bytes_builder_dealloc(BytesBuilder *builder)
{
    PyTypeObject *type = Py_TYPE(builder);
    Py_XDECREF(builder->buffer);
    type->tp_free(builder);
    Py_DECREF(type);
}

/* Room for `size` bytes, and for as many again if so many are to come: memory follows what has come, not what was
   announced. By a quarter at least, so that time stays linear with any number of pieces. */
static int make_room(BytesBuilder *builder, Py_ssize_t size, Py_ssize_t announced)
{
    Py_ssize_t room = builder->buffer ? PyBytes_GET_SIZE(builder->buffer) : 0;
    if (size <= room) return 0;
    if (announced > size) size = announced - size < size ? announced : 2 * size;
    if (room <= PY_SSIZE_T_MAX / 2 && size < room + room / 4) size = room + room / 4;
    if (!builder->buffer) {
        builder->buffer = PyBytes_FromStringAndSize(NULL, size);
        return builder->buffer ? 0 : -1;
    }
    if (!_PyBytes_Resize(&builder->buffer, size)) return 0;
    builder->size = 0; /* it is gone */
    return -1;
}

static int append_bytes(BytesBuilder *builder, const Py_buffer *data, const Py_buffer *key, Py_ssize_t announced)
{
    uint8_t *end;
    if (data->len == 0) return 0;
    if (data->len > PY_SSIZE_T_MAX - builder->size) {
        PyErr_NoMemory();
        return -1;
    }
    if (make_room(builder, builder->size + data->len, announced)) return -1;
    end = (uint8_t *)PyBytes_AS_STRING(builder->buffer) + builder->size;
    if (key)
        copy_masked(end, data->buf, data->len, key->buf);
    else
        memcpy(end, data->buf, (size_t)data->len);
    builder->size += data->len;
    return 0;
}

static PyObject *bytes_builder_append(BytesBuilder *builder, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer data, key;
    Py_ssize_t announced;
    int failed = -1;
    if (check_count("append", count, 3)) return NULL;
    announced = PyLong_AsSsize_t(arguments[2]);
    if (PyErr_Occurred() || PyObject_GetBuffer(arguments[0], &data, PyBUF_SIMPLE)) return NULL;
    if (arguments[1] == Py_None) {
        BEGIN_CRITICAL_SECTION(builder);
        failed = append_bytes(builder, &data, NULL, announced);
        END_CRITICAL_SECTION();
    } else if (!PyObject_GetBuffer(arguments[1], &key, PyBUF_SIMPLE)) {
        if (!check_key(&key)) {
            BEGIN_CRITICAL_SECTION(builder);
            failed = append_bytes(builder, &data, &key, announced);
            END_CRITICAL_SECTION();
        }
        PyBuffer_Release(&key);
    }
    PyBuffer_Release(&data);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

/* What was appended, which is handed out without a copy: the next piece begins anew. */
static PyObject *bytes_builder_value(BytesBuilder *builder, PyObject *nothing)
{
    PyObject *value;
    Py_ssize_t size;
    (void)nothing;
    BEGIN_CRITICAL_SECTION(builder);
    value = builder->buffer;
    size = builder->size;
    builder->buffer = NULL;
    builder->size = 0;
    END_CRITICAL_SECTION();
    if (!value) return PyBytes_FromStringAndSize(NULL, 0);
    if (size < PyBytes_GET_SIZE(value)) _PyBytes_Resize(&value, size);
    return value;
}

static PyMethodDef bytes_builder_methods[] = {
    {"append", (PyCFunction)(void (*)(void))bytes_builder_append, METH_FASTCALL, NULL},
    {"value", (PyCFunction)bytes_builder_value, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot bytes_builder_slots[] = {
    {Py_tp_doc, (void *)bytes_builder_doc},
    {Py_tp_dealloc, bytes_builder_dealloc},
    {Py_tp_methods, bytes_builder_methods},
    {0, NULL},
};

static PyType_Spec bytes_builder_spec = {
    .name = "ws._speedups.BytesBuilder",
    .basicsize = sizeof(BytesBuilder),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = bytes_builder_slots,
};

/* --- outgoing frames ---------------------------------------------------------------------------------------------- */

static uint8_t *put_length(uint8_t *to, uint8_t mask_bit, uint64_t length)
{
    int width = length <= SHORT_LIMIT ? 0 : length <= UINT16_MAX ? 2 : 8;
    *to++ = mask_bit | (width == 0 ? (uint8_t)length : width == 2 ? 126 : 127);
    while (width--) *to++ = (uint8_t)(length >> 8 * width);
    return to;
}

static PyObject *build(uint8_t first, const uint8_t *payload, Py_ssize_t length, const uint8_t *key)
{
    uint8_t header[14], *end = header;
    PyObject *frame;
    *end++ = first;
    end = put_length(end, key ? MASK : 0, (uint64_t)length);
    if (key) {
        memcpy(end, key, 4);
        end += 4;
    }
    if (length > PY_SSIZE_T_MAX - (end - header)) return PyErr_NoMemory();
    frame = PyBytes_FromStringAndSize(NULL, end - header + length);
    if (!frame) return NULL;
    memcpy(PyBytes_AS_STRING(frame), header, (size_t)(end - header));
    if (key)
        copy_masked((uint8_t *)PyBytes_AS_STRING(frame) + (end - header), payload, length, key);
    else
        memcpy(PyBytes_AS_STRING(frame) + (end - header), payload, (size_t)length);
    return frame;
}

PyDoc_STRVAR(frame_doc, "frame(first, payload, key)\n--\n\nSee ws.protocol.sender.");

static PyObject *frame(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *encoded = NULL, *built = NULL;
    Py_buffer payload, key;
    long first;
    (void)module;
    if (check_count("frame", count, 3)) return NULL;
    first = PyLong_AsLong(arguments[0]);
    if (first < 0 || first > UINT8_MAX) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "first must be a byte");
        return NULL;
    }
    if (PyUnicode_Check(arguments[1]) && !(encoded = PyUnicode_AsUTF8String(arguments[1]))) return NULL;
    if (!PyObject_GetBuffer(encoded ? encoded : arguments[1], &payload, PyBUF_SIMPLE)) {
        if (arguments[2] == Py_None) {
            built = build((uint8_t)first, payload.buf, payload.len, NULL);
        } else if (!PyObject_GetBuffer(arguments[2], &key, PyBUF_SIMPLE)) {
            if (!check_key(&key)) built = build((uint8_t)first, payload.buf, payload.len, key.buf);
            PyBuffer_Release(&key);
        }
        PyBuffer_Release(&payload);
    }
    Py_XDECREF(encoded);
    return built;
}

/* --- system calls ------------------------------------------------------------------------------------------------- */

#ifndef MS_WINDOWS

/* On a non-blocking socket these return at once. Giving up the GIL for them costs more than they do, and when another
   thread computes, up to 5 ms until it is given back. */

static int would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static PyObject *received(int fd, Py_ssize_t size)
{
    PyObject *data = PyBytes_FromStringAndSize(NULL, size);
    Py_ssize_t count;
    if (!data) return NULL;
    count = recv(fd, PyBytes_AS_STRING(data), (size_t)size, 0);
    if (count < 0) {
        Py_DECREF(data);
        if (would_block()) Py_RETURN_NONE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    _PyBytes_Resize(&data, count);
    return data;
}

PyDoc_STRVAR(recv_doc, "recv(fd, size)\n--\n\nSee ws.net.calls.");

static PyObject *socket_recv(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    Py_ssize_t size;
    int fd;
    (void)module;
    if (check_count("recv", count, 2)) return NULL;
    fd = PyObject_AsFileDescriptor(arguments[0]);
    if (fd < 0) return NULL;
    size = PyLong_AsSsize_t(arguments[1]);
    if (size <= 0) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "size must be positive");
        return NULL;
    }
    return received(fd, size);
}

PyDoc_STRVAR(send_doc, "send(fd, data)\n--\n\nSee ws.net.calls.");

static PyObject *socket_send(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    Py_buffer data;
    Py_ssize_t sent;
    int fd, error;
    (void)module;
    if (check_count("send", count, 2)) return NULL;
    fd = PyObject_AsFileDescriptor(arguments[0]);
    if (fd < 0 || PyObject_GetBuffer(arguments[1], &data, PyBUF_SIMPLE)) return NULL;
    sent = send(fd, data.buf, (size_t)data.len, MSG_NOSIGNAL);
    error = errno; /* releasing the buffer may change it */
    PyBuffer_Release(&data);
    errno = error;
    if (sent >= 0) return PyLong_FromSsize_t(sent);
    if (would_block()) return PyLong_FromLong(0);
    return PyErr_SetFromErrno(PyExc_OSError);
}

#endif

/* --- streams ------------------------------------------------------------------------------------------------------- */

#ifndef MS_WINDOWS

PyDoc_STRVAR(stream_doc, "See ws.net.stream.");

/* As in net/stream.py. */
enum { READ_SIZE = 131072, HIGH_WATER_MARK = 65536, BUFFERS_PER_CALL = 64 };

/* As in net/poller.py. */
enum { READ = 0x001, WRITE = 0x004 };

typedef struct {
    PyObject_HEAD
    PyObject *loop, *sock, *queue, *callbacks, *dirty, *on_data;
    Py_ssize_t queued;
    long long bytes_read, handed_over;
    int fd, mask;
    char reading, stalled, scheduled, ending, waits_for_drain;
} Stream;

static int stream_traverse(Stream *stream, visitproc visit, void *arg)
{
    Py_VISIT(stream->loop);
    Py_VISIT(stream->sock);
    Py_VISIT(stream->queue);
    Py_VISIT(stream->callbacks);
    Py_VISIT(stream->dirty);
    Py_VISIT(stream->on_data);
    Py_VISIT(Py_TYPE(stream));
    return 0;
}

static int stream_clear(Stream *stream)
{
    Py_CLEAR(stream->loop);
    Py_CLEAR(stream->sock);
    Py_CLEAR(stream->queue);
    Py_CLEAR(stream->callbacks);
    Py_CLEAR(stream->dirty);
    Py_CLEAR(stream->on_data);
    return 0;
}

static void stream_dealloc(Stream *stream)
{
    PyTypeObject *type = Py_TYPE(stream);
    PyObject_GC_UnTrack(stream);
    stream_clear(stream);
    type->tp_free(stream);
    Py_DECREF(type);
}

static int is_list(const PyObject *object)
{
    return object && PyList_CheckExact(object);
}

/* As they are once Stream.__init__ has run; nobody has a reason to put anything else there. */
static int check_stream(const Stream *stream)
{
    if (stream->on_data && is_list(stream->queue) && is_list(stream->callbacks) && is_list(stream->dirty)) return 0;
    PyErr_SetString(PyExc_RuntimeError, "the stream is not complete");
    return -1;
}

static PyObject *call_method(void *object, const char *name, PyObject *argument)
{
    return argument ? PyObject_CallMethod(object, name, "O", argument) : PyObject_CallMethod(object, name, NULL);
}

/* Call the method with the OSError that is set. */
static PyObject *call_with_error(void *object, const char *name)
{
    PyObject *type, *error, *traceback, *result;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    result = call_method(object, name, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return result;
}

/* Whatever a method returns. */
static int done(PyObject *result)
{
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyObject *stream_read(Stream *stream)
{
    PyObject *data = received(stream->fd, READ_SIZE), *on_data, *result;
    if (!data) return call_with_error(stream, "destroy");
    if (data == Py_None) return data;
    if (PyBytes_GET_SIZE(data) == 0) {
        Py_DECREF(data);
        return call_method(stream, "_read_eof", NULL);
    }
    stream->bytes_read += PyBytes_GET_SIZE(data);
    on_data = stream->on_data;
    Py_INCREF(on_data); /* it may put another one in its place */
    result = PyObject_CallOneArg(on_data, data);
    Py_DECREF(on_data);
    Py_DECREF(data);
    return result;
}

static PyObject *stream_on_event(Stream *stream, PyObject *argument)
{
    long mask = PyLong_AsLong(argument);
    if ((mask == -1 && PyErr_Occurred()) || check_stream(stream)) return NULL;
    if (mask != READ && stream->stalled) {
        stream->stalled = 0;
        if (done(call_method(stream, "flush", NULL))) return NULL;
    }
    if (mask == WRITE || !stream->reading) Py_RETURN_NONE;
    if (done(stream_read(stream))) return NULL;
    Py_RETURN_NONE;
}

static int add_callback(Stream *stream, PyObject *callback)
{
    PyObject *entry = Py_BuildValue("LO", stream->handed_over + stream->queued, callback);
    int failed = !entry || PyList_Append(stream->callbacks, entry);
    Py_XDECREF(entry);
    return failed;
}

static PyObject *stream_write(Stream *stream, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *callback = count == 2 ? arguments[1] : Py_None;
    Py_ssize_t size;
    if (count != 2 && check_count("write", count, 1)) return NULL;
    if (check_stream(stream)) return NULL;
    if (stream->fd < 0 || stream->ending) {
        if (done(call_method(stream, "_refuse", callback))) return NULL;
        Py_RETURN_FALSE;
    }
    size = PyObject_Size(arguments[0]);
    if (size < 0 || (size > 0 && PyList_Append(stream->queue, arguments[0]))) return NULL;
    stream->queued += size;
    if (callback != Py_None && add_callback(stream, callback)) return NULL;
    if (!stream->scheduled) {
        if (PyList_Append(stream->dirty, (PyObject *)stream)) return NULL;
        stream->scheduled = 1;
    }
    if (stream->queued <= HIGH_WATER_MARK) Py_RETURN_TRUE;
    return call_method(stream, "_written_much", NULL);
}

/* Several small buffers in one. */
static PyObject *joined(PyObject *queue, Py_ssize_t size)
{
    PyObject *whole = PyBytes_FromStringAndSize(NULL, size);
    Py_ssize_t filled = 0;
    for (Py_ssize_t at = 0; whole && at < PyList_GET_SIZE(queue); at++) {
        Py_buffer buffer;
        if (PyObject_GetBuffer(PyList_GET_ITEM(queue, at), &buffer, PyBUF_SIMPLE)) {
            Py_CLEAR(whole);
        } else {
            Py_ssize_t length = buffer.len <= size - filled ? buffer.len : size - filled;
            memcpy(PyBytes_AS_STRING(whole) + filled, buffer.buf, (size_t)length);
            filled += length;
            PyBuffer_Release(&buffer);
        }
    }
    return whole;
}

/* By one call; returns what it returns, or -2 with an exception. */
static Py_ssize_t send_buffers(int fd, PyObject *queue)
{
    Py_buffer buffers[BUFFERS_PER_CALL];
    struct iovec vectors[BUFFERS_PER_CALL];
    struct msghdr message = {.msg_iov = vectors};
    Py_ssize_t count = PyList_GET_SIZE(queue), filled = 0, sent = -2;
    int error;
    for (; filled < count; filled++) {
        if (PyObject_GetBuffer(PyList_GET_ITEM(queue, filled), &buffers[filled], PyBUF_SIMPLE)) break;
        vectors[filled].iov_base = buffers[filled].buf;
        vectors[filled].iov_len = (size_t)buffers[filled].len;
    }
    message.msg_iovlen = (size_t)count;
    if (filled == count) sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    error = errno; /* releasing a buffer may change it */
    while (filled) PyBuffer_Release(&buffers[--filled]);
    errno = error;
    return sent;
}

static Py_ssize_t send_queue(Stream *stream)
{
    PyObject *whole;
    Py_ssize_t sent;
    int error;
    if (stream->queued > HIGH_WATER_MARK || PyList_GET_SIZE(stream->queue) == 1)
        return send_buffers(stream->fd, stream->queue);
    whole = joined(stream->queue, stream->queued);
    if (!whole) return -2;
    sent = send(stream->fd, PyBytes_AS_STRING(whole), (size_t)stream->queued, MSG_NOSIGNAL);
    error = errno;
    Py_DECREF(whole);
    errno = error;
    return sent;
}

PyDoc_STRVAR(flush_doc, "flush($self, /)\n--\n\nHand the queue to the kernel, as far as it takes it.");

static PyObject *stream_flush(Stream *stream, PyObject *nothing)
{
    (void)nothing;
    if (check_stream(stream)) return NULL;
    stream->scheduled = 0;
    if (stream->stalled || stream->fd < 0) Py_RETURN_NONE;
    if (stream->queued > HIGH_WATER_MARK && PyList_GET_SIZE(stream->queue) > BUFFERS_PER_CALL)
        return call_method(stream, "_flush_much", NULL);
    if (PyList_GET_SIZE(stream->queue)) {
        Py_ssize_t taken = send_queue(stream);
        if (taken == -2) return NULL;
        if (taken == -1) {
            if (!would_block()) {
                PyErr_SetFromErrno(PyExc_OSError);
                return call_with_error(stream, "_on_sent");
            }
            taken = 0;
        }
        if (taken < stream->queued) return PyObject_CallMethod((PyObject *)stream, "_sent_part", "n", taken);
        stream->handed_over += taken;
        stream->queued = 0;
        if (PyList_SetSlice(stream->queue, 0, PyList_GET_SIZE(stream->queue), NULL)) return NULL;
    }
    if (PyList_GET_SIZE(stream->callbacks) || stream->ending || stream->waits_for_drain || stream->mask & WRITE)
        return call_method(stream, "_on_sent", Py_None);
    Py_RETURN_NONE;
}

#define MEMBER(name, type, field) {name, type, offsetof(Stream, field), 0, NULL}

static PyMemberDef stream_members[] = {
    MEMBER("_loop", T_OBJECT_EX, loop),
    MEMBER("_sock", T_OBJECT_EX, sock),
    MEMBER("_queue", T_OBJECT_EX, queue),
    MEMBER("_callbacks", T_OBJECT_EX, callbacks),
    MEMBER("_dirty", T_OBJECT_EX, dirty),
    MEMBER("on_data", T_OBJECT_EX, on_data),
    MEMBER("queued", T_PYSSIZET, queued),
    MEMBER("bytes_read", T_LONGLONG, bytes_read),
    MEMBER("_handed_over", T_LONGLONG, handed_over),
    MEMBER("_fd", T_INT, fd),
    MEMBER("_mask", T_INT, mask),
    MEMBER("_reading", T_BOOL, reading),
    MEMBER("stalled", T_BOOL, stalled),
    MEMBER("_scheduled", T_BOOL, scheduled),
    MEMBER("_ending", T_BOOL, ending),
    MEMBER("_waits_for_drain", T_BOOL, waits_for_drain),
    {NULL, 0, 0, 0, NULL},
};

#undef MEMBER

PyDoc_STRVAR(write_doc, "write($self, data, callback=None, /)\n--\n\nQueue data.");

static PyMethodDef stream_methods[] = {
    {"on_event", (PyCFunction)stream_on_event, METH_O, NULL},
    {"write", (PyCFunction)(void (*)(void))stream_write, METH_FASTCALL, write_doc},
    {"flush", (PyCFunction)stream_flush, METH_NOARGS, flush_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, (void *)stream_doc},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_traverse, stream_traverse},
    {Py_tp_clear, stream_clear},
    {Py_tp_members, stream_members},
    {Py_tp_methods, stream_methods},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "ws._speedups.StreamBase",
    .basicsize = sizeof(Stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = stream_slots,
};

#endif

/* --- the module --------------------------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"mask", (PyCFunction)(void (*)(void))mask, METH_FASTCALL, mask_doc},
    {"burst", (PyCFunction)(void (*)(void))burst, METH_FASTCALL, burst_doc},
    {"frame", (PyCFunction)(void (*)(void))frame, METH_FASTCALL, frame_doc},
#ifndef MS_WINDOWS
    {"recv", (PyCFunction)(void (*)(void))socket_recv, METH_FASTCALL, recv_doc},
    {"send", (PyCFunction)(void (*)(void))socket_send, METH_FASTCALL, send_doc},
#endif
    {NULL, NULL, 0, NULL},
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, type)) Py_CLEAR(type);
    return type;
}

/* The module alone holds it. */
static int add_type_for_good(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = add_type(module, spec);
    Py_XDECREF(type);
    return type ? 0 : -1;
}

static int execute(PyObject *module)
{
    PyTypeObject **flags = PyModule_GetState(module);
    *flags = add_type(module, &flags_spec);
    if (!*flags || add_type_for_good(module, &bytes_builder_spec)) return -1;
#ifndef MS_WINDOWS
    if (add_type_for_good(module, &stream_spec)) return -1;
#endif
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    PyTypeObject **state = PyModule_GetState(module);
    Py_VISIT(*state);
    return 0;
}

static int clear(PyObject *module)
{
    PyTypeObject **state = PyModule_GetState(module);
    Py_CLEAR(*state);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ws._speedups",
    .m_size = sizeof(PyTypeObject *),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__speedups(void)
{
    return PyModuleDef_Init(&definition);
}
