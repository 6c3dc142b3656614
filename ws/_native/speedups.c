/*
 * What costs most in Python, in C: masks and frames, the way of a message from the socket to its listener and back, and
 * system calls that keep the GIL.
 *
 * Optional: everything here has a twin in Python, named where it is defined, which does the same for any input
 * (test/native/test_speedups.py). What a type here has for attributes, its twin has, too.
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

#ifdef _MSC_VER
#define restrict __restrict
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
enum { FIN = 0x80, RSV1 = 0x40, TEXT = 0x1, BINARY = 0x2, MASK = 0x80, LENGTH = 0x7F, SHORT_LIMIT = 125 };
enum { WHOLE_TEXT = FIN | TEXT, WHOLE_BINARY = FIN | BINARY, ASCII = 0x7F };

/* --- what the module keeps, once for each interpreter ------------------------------------------------------------- */

/* Names of attributes and methods, and of one event. */
#define FOR_EACH_NAME(DO)                                                                                              \
    DO(_data) DO(_deflater) DO(_fragmented) DO(_ident) DO(_is_server) DO(_kept) DO(_later) DO(_listeners) DO(_loop)    \
    DO(_masked) DO(_max_payload) DO(_message) DO(_pos) DO(_run) DO(_sender) DO(_settle) DO(_socket) DO(_state)         \
    DO(_streams) DO(deflate) DO(function) DO(message) DO(most) DO(needed) DO(onbinary) DO(once) DO(ontext)             \
    DO(readyState) DO(send) DO(this) DO(threshold) DO(write)

#define AS_ENUM(name) NAME_##name,
enum { FOR_EACH_NAME(AS_ENUM) NAMES };

#define AS_STRING(name) #name,
static const char *const name_strings[] = {FOR_EACH_NAME(AS_STRING)};

typedef struct {
    PyTypeObject *flags, *shortcut;
    PyObject *names[NAMES];
    PyObject *get_ident;
    PyObject *last_data, *last_binary, *last_frame; /* see remembered_frame */
} State;

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
    .name = "ws._native.speedups.Flags",
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

/* NULL with an exception, which is UnicodeDecodeError for what isn't UTF-8. */
static PyObject *payload_of(const Frame *frame)
{
    return frame->is_text ? unmasked_text(frame->payload, frame->length, frame->key)
                          : unmasked_bytes(frame->payload, frame->length, frame->key);
}

static PyObject *flags_of(const Frame *frame, PyObject *payload, PyTypeObject *type)
{
    Flags *flags = (Flags *)type->tp_alloc(type, 0);
    if (!flags) return NULL;
    flags->masked = PyBool_FromLong(frame->key != NULL);
    Py_INCREF(payload);
    flags->payload = payload;
    return (PyObject *)flags;
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
   announced. For many bytes, sixteen times as much: pages that nobody has touched are address space only, and hardly any
   of a large message is copied. By a quarter at least, so that time stays linear with any number of pieces. */
enum { MANY = 65536 };

static int make_room(BytesBuilder *builder, Py_ssize_t size, Py_ssize_t announced)
{
    Py_ssize_t ahead = size < MANY ? 2 : 16, room = builder->buffer ? PyBytes_GET_SIZE(builder->buffer) : 0;
    if (size <= room) return 0;
    if (announced > size) size = announced / ahead < size ? announced : ahead * size;
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
    .name = "ws._native.speedups.BytesBuilder",
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

/* Of str or an object with a buffer. */
static PyObject *build_of(uint8_t first, PyObject *payload, const uint8_t *key)
{
    PyObject *encoded = NULL, *built = NULL;
    Py_buffer buffer;
    if (PyUnicode_Check(payload)) {
        if (PyUnicode_MAX_CHAR_VALUE(payload) <= ASCII)
            return build(first, PyUnicode_DATA(payload), PyUnicode_GET_LENGTH(payload), key);
        if (!(payload = encoded = PyUnicode_AsUTF8String(payload))) return NULL;
    }
    if (!PyObject_GetBuffer(payload, &buffer, PyBUF_SIMPLE)) {
        built = build(first, buffer.buf, buffer.len, key);
        PyBuffer_Release(&buffer);
    }
    Py_XDECREF(encoded);
    return built;
}

PyDoc_STRVAR(frame_doc, "frame(first, payload, key)\n--\n\nSee ws.protocol.sender.");

static PyObject *frame(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *built = NULL;
    Py_buffer key;
    long first;
    (void)module;
    if (check_count("frame", count, 3)) return NULL;
    first = PyLong_AsLong(arguments[0]);
    if (first < 0 || first > UINT8_MAX) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "first must be a byte");
        return NULL;
    }
    if (arguments[2] == Py_None) return build_of((uint8_t)first, arguments[1], NULL);
    if (PyObject_GetBuffer(arguments[2], &key, PyBUF_SIMPLE)) return NULL;
    if (!check_key(&key)) built = build_of((uint8_t)first, arguments[1], key.buf);
    PyBuffer_Release(&key);
    return built;
}

/* The frame of what can't change its value; that of the same object as the last time is the same (a broadcast). */
static PyObject *remembered_frame(PyObject *module, PyObject *data, PyObject *binary)
{
    State *state = PyModule_GetState(module);
    PyObject *built = NULL, *old_data, *old_frame, *old_binary;
    int is_binary;
    BEGIN_CRITICAL_SECTION(module);
    if (data == state->last_data && binary == state->last_binary) {
        built = state->last_frame;
        Py_INCREF(built);
    }
    END_CRITICAL_SECTION();
    if (built) return built;
    is_binary = binary == Py_None ? PyBytes_CheckExact(data) : PyObject_IsTrue(binary);
    built = is_binary < 0 ? NULL : build_of(is_binary ? WHOLE_BINARY : WHOLE_TEXT, data, NULL);
    if (!built) return NULL;
    Py_INCREF(data);
    Py_INCREF(binary);
    Py_INCREF(built);
    BEGIN_CRITICAL_SECTION(module);
    old_data = state->last_data;
    old_binary = state->last_binary;
    old_frame = state->last_frame;
    state->last_data = data;
    state->last_binary = binary;
    state->last_frame = built;
    END_CRITICAL_SECTION();
    Py_XDECREF(old_data);
    Py_XDECREF(old_binary);
    Py_XDECREF(old_frame);
    return built;
}

PyDoc_STRVAR(frame_of_doc, "frame_of(data, binary=None)\n--\n\nSee ws.protocol.sender.");

static PyObject *frame_of(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 1 && check_count("frame_of", count, 2)) return NULL;
    if (PyBytes_CheckExact(arguments[0]) || PyUnicode_CheckExact(arguments[0]))
        return remembered_frame(module, arguments[0], count == 2 ? arguments[1] : Py_None);
    PyErr_SetString(PyExc_TypeError, "data must be str or bytes");
    return NULL;
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

/* What the kernel returns, or -2 with an exception. Releasing a buffer may change errno. */
static Py_ssize_t send_one(int fd, PyObject *data)
{
    Py_buffer buffer;
    Py_ssize_t sent;
    int error;
    if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)) return -2;
    sent = send(fd, buffer.buf, (size_t)buffer.len, MSG_NOSIGNAL);
    error = errno;
    PyBuffer_Release(&buffer);
    errno = error;
    return sent;
}

PyDoc_STRVAR(send_doc, "send(fd, data)\n--\n\nSee ws.net.calls.");

static PyObject *socket_send(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    Py_ssize_t sent;
    int fd;
    (void)module;
    if (check_count("send", count, 2)) return NULL;
    fd = PyObject_AsFileDescriptor(arguments[0]);
    sent = fd < 0 ? -2 : send_one(fd, arguments[1]);
    if (sent == -2) return NULL;
    if (sent >= 0) return PyLong_FromSsize_t(sent);
    if (would_block()) return PyLong_FromLong(0);
    return PyErr_SetFromErrno(PyExc_OSError);
}

#endif

/* --- calling methods ---------------------------------------------------------------------------------------------- */

static PyObject *call_method(void *object, const char *name, PyObject *argument)
{
    return argument ? PyObject_CallMethod(object, name, "(O)", argument) : PyObject_CallMethod(object, name, NULL);
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

/* --- streams ------------------------------------------------------------------------------------------------------ */

#ifndef MS_WINDOWS

PyDoc_STRVAR(stream_doc, "See ws.net.stream.");

/* As in net/stream.py. */
enum { READ_SIZE = 131072, HIGH_WATER_MARK = 131072, JOINED_LIMIT = 65536, BUFFERS_PER_CALL = 64 };

/* As in net/poller.py. */
enum { READ = 0x001, WRITE = 0x004 };

typedef struct {
    PyObject_HEAD
    PyObject *sock, *queue, *callbacks, *dirty, *on_data;
    Py_ssize_t queued;
    long long bytes_read, handed_over;
    int fd, mask;
    char reading, stalled, scheduled, ending, waits_for_drain;
    char reads_much; /* the last time */
} Stream;

static int stream_traverse(Stream *stream, visitproc visit, void *arg)
{
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

/* Room for much costs more than the system call that fills little of it. So one that has brought little is followed by one
   that takes little; if that was not all, the poller says so. */

enum { LITTLE = 4096 };

static PyObject *received_little(int fd)
{
    char data[LITTLE];
    Py_ssize_t count = recv(fd, data, LITTLE, 0);
    if (count >= 0) return PyBytes_FromStringAndSize(data, count);
    if (would_block()) Py_RETURN_NONE;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *stream_read(Stream *stream)
{
    PyObject *data = stream->reads_much ? received(stream->fd, READ_SIZE) : received_little(stream->fd);
    PyObject *on_data, *result;
    if (!data) return PyErr_ExceptionMatches(PyExc_OSError) ? call_with_error(stream, "destroy") : NULL;
    if (data == Py_None) return data;
    stream->reads_much = PyBytes_GET_SIZE(data) >= LITTLE;
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
    if (whole && filled != size) {
        PyErr_SetString(PyExc_SystemError, "a buffer in the queue has changed its size");
        Py_CLEAR(whole);
    }
    return whole;
}

/* As send_one, all of them by one call. */
static Py_ssize_t send_several(int fd, PyObject *queue)
{
    Py_buffer buffers[BUFFERS_PER_CALL];
    struct iovec vectors[BUFFERS_PER_CALL];
    struct msghdr message = {.msg_iov = vectors};
    Py_ssize_t count = PyList_GET_SIZE(queue), filled = 0, sent = -2;
    int error;
    if (count > BUFFERS_PER_CALL) count = BUFFERS_PER_CALL;
    for (; filled < count; filled++) {
        if (PyObject_GetBuffer(PyList_GET_ITEM(queue, filled), &buffers[filled], PyBUF_SIMPLE)) break;
        vectors[filled].iov_base = buffers[filled].buf;
        vectors[filled].iov_len = (size_t)buffers[filled].len;
    }
    message.msg_iovlen = (size_t)count;
    if (filled == count) sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    error = errno;
    while (filled) PyBuffer_Release(&buffers[--filled]);
    errno = error;
    return sent;
}

static Py_ssize_t send_queue(Stream *stream)
{
    PyObject *whole;
    Py_ssize_t sent;
    int error;
    if (PyList_GET_SIZE(stream->queue) == 1) return send_one(stream->fd, PyList_GET_ITEM(stream->queue, 0));
    if (stream->queued > JOINED_LIMIT) return send_several(stream->fd, stream->queue);
    whole = joined(stream->queue, stream->queued);
    if (!whole) return -2;
    sent = send_one(stream->fd, whole);
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
    if (stream->queued > JOINED_LIMIT && PyList_GET_SIZE(stream->queue) > BUFFERS_PER_CALL)
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
    .name = "ws._native.speedups.StreamBase",
    .basicsize = sizeof(Stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = stream_slots,
};

#endif

/* --- shortcuts ---------------------------------------------------------------------------------------------------- */

/* A shortcut stands in the place of a method written in Python. It does what that does in the usual case, and leaves
   everything else to it: other arguments, other states, errors. */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *module, *function, *more, *dict, *weak_references;
} Shortcut;

static State *state_of(const Shortcut *shortcut)
{
    return PyModule_GetState(shortcut->module);
}

/* NULL, without an exception, if there is no such attribute: then this is not the usual case. */
static PyObject *attribute(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (!value) PyErr_Clear();
    return value;
}

static int is(PyObject *object, PyObject *name, PyObject *expected)
{
    PyObject *value = attribute(object, name);
    Py_XDECREF(value); /* expected is alive by itself */
    return value == expected;
}

/* -1 if it is none. */
static Py_ssize_t number(PyObject *object, PyObject *name)
{
    PyObject *value = attribute(object, name);
    Py_ssize_t result = value && PyLong_CheckExact(value) ? PyLong_AsSsize_t(value) : -1;
    if (result == -1) PyErr_Clear();
    Py_XDECREF(value);
    return result;
}

static int set_number(PyObject *object, PyObject *name, Py_ssize_t value)
{
    PyObject *as_object = PyLong_FromSsize_t(value);
    int failed = !as_object || PyObject_SetAttr(object, name, as_object);
    Py_XDECREF(as_object);
    return failed ? -1 : 0;
}

static int has_length(PyObject *object, PyObject *name, Py_ssize_t length)
{
    PyObject *value = attribute(object, name);
    int same = value && PyBytes_CheckExact(value) && PyBytes_GET_SIZE(value) == length;
    Py_XDECREF(value);
    return same;
}

/* protocol/receiver.py, Receiver.add: the data begins with a whole message, and nothing is left from before. */

enum { IDLE = 0, RUNNING = 1 };

static int is_idle(PyObject *receiver, State *state)
{
    return number(receiver, state->names[NAME__state]) == IDLE && has_length(receiver, state->names[NAME__data], 0) &&
           is(receiver, state->names[NAME__message], Py_None);
}

static int has_rules(PyObject *receiver, State *state, Rules *rules)
{
    PyObject *masked = attribute(receiver, state->names[NAME__masked]);
    rules->any_mask = masked == Py_None;
    rules->masked = masked == Py_True;
    rules->max_payload = number(receiver, state->names[NAME__max_payload]);
    Py_XDECREF(masked);
    return (rules->any_mask || rules->masked || masked == Py_False) && rules->max_payload >= 0;
}

static int call_back(const Shortcut *shortcut, PyObject *receiver, const Frame *frame, PyObject *payload)
{
    State *state = state_of(shortcut);
    PyObject *callback = PyObject_GetAttr(receiver, state->names[frame->is_text ? NAME_ontext : NAME_onbinary]);
    PyObject *flags = callback ? flags_of(frame, payload, (PyTypeObject *)shortcut->more) : NULL, *result = NULL;
    if (flags) {
        PyObject *arguments[] = {NULL, payload, flags};
        result = PyObject_Vectorcall(callback, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    Py_XDECREF(callback);
    Py_XDECREF(flags);
    return done(result);
}

/* Let Python go on, or clean up. An exception of a callback stays. */
static PyObject *leave_to(PyObject *receiver, PyObject *name)
{
    PyObject *type, *error, *traceback, *result;
    PyErr_Fetch(&type, &error, &traceback);
    result = PyObject_VectorcallMethod(name, &receiver, 1, NULL);
    if (!type) return result;
    Py_XDECREF(result);
    PyErr_Restore(type, error, traceback);
    return NULL;
}

static PyObject *take(const Shortcut *shortcut, PyObject *receiver, PyObject *data, Frame frame, const Rules *rules)
{
    State *state = state_of(shortcut);
    PyObject **names = state->names;
    const uint8_t *start = (const uint8_t *)PyBytes_AS_STRING(data), *pos = start, *end = start + PyBytes_GET_SIZE(data);
    int failed = set_number(receiver, names[NAME__state], RUNNING), kept = 0;
    Py_ssize_t now = RUNNING;
    while (!failed && now == RUNNING && frame.payload) {
        const uint8_t *stop = frame.payload + frame.length;
        PyObject *payload = payload_of(&frame);
        if (!payload) break;
        if (!kept && stop < end) {
            failed = PyObject_SetAttr(receiver, names[NAME__data], data);
            kept = 1;
        }
        pos = stop;
        if (kept && !failed) failed = set_number(receiver, names[NAME__pos], pos - start);
        if (!failed) failed = call_back(shortcut, receiver, &frame, payload);
        Py_DECREF(payload);
        now = number(receiver, names[NAME__state]);
        frame = frame_at(pos, end, rules);
    }
    if (PyErr_Occurred()) {
        if (failed || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return leave_to(receiver, names[NAME__settle]);
        PyErr_Clear(); /* what it means to the connection, Python tells */
    }
    if (now != RUNNING) return leave_to(receiver, names[NAME__settle]);
    if (pos < end) {
        if (!kept && PyObject_SetAttr(receiver, names[NAME__data], data)) return NULL;
        return leave_to(receiver, names[NAME__run]);
    }
    if (!is(receiver, names[NAME__later], Py_None)) return leave_to(receiver, names[NAME__run]);
    if (kept) return leave_to(receiver, names[NAME__settle]);
    if (set_number(receiver, names[NAME__state], IDLE)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *add(PyObject *callable, PyObject *const *arguments, size_t count, PyObject *keywords)
{
    Shortcut *shortcut = (Shortcut *)callable;
    State *state = state_of(shortcut);
    Rules rules;
    if (PyVectorcall_NARGS(count) == 2 && !keywords && PyBytes_CheckExact(arguments[1]) &&
        is_idle(arguments[0], state) && has_rules(arguments[0], state, &rules)) {
        const uint8_t *start = (const uint8_t *)PyBytes_AS_STRING(arguments[1]);
        Frame frame = frame_at(start, start + PyBytes_GET_SIZE(arguments[1]), &rules);
        if (frame.payload) return take(shortcut, arguments[0], arguments[1], frame, &rules);
    }
    return PyObject_Vectorcall(shortcut->function, arguments, count, keywords);
}

/* websocket.py, WebSocket._on_message: the connection is open, and has one ordinary listener. */

enum { OPEN = 1 };

static PyObject *only_listener(PyObject *socket, State *state)
{
    PyObject *all = attribute(socket, state->names[NAME__listeners]), *of_event = NULL, *only = NULL;
    if (all && PyDict_CheckExact(all)) {
#if PY_VERSION_HEX >= 0x030D0000
        if (PyDict_GetItemRef(all, state->names[NAME_message], &of_event) < 0) PyErr_Clear();
#else
        of_event = PyDict_GetItemWithError(all, state->names[NAME_message]);
        if (!of_event) PyErr_Clear();
        Py_XINCREF(of_event);
#endif
    }
    if (of_event && PyTuple_CheckExact(of_event) && PyTuple_GET_SIZE(of_event) == 1) only = PyTuple_GET_ITEM(of_event, 0);
    Py_XINCREF(only);
    Py_XDECREF(of_event);
    Py_XDECREF(all);
    return only;
}

/* How many of two arguments it takes, or -1 if it is not of the ordinary kind: subclasses do more than call a function. */
static Py_ssize_t takes(const Shortcut *shortcut, PyObject *listener)
{
    State *state = state_of(shortcut);
    Py_ssize_t needed = number(listener, state->names[NAME_needed]), most = number(listener, state->names[NAME_most]);
    if ((PyObject *)Py_TYPE(listener) != shortcut->more || needed < 0 || needed > 2) return -1;
    if (!is(listener, state->names[NAME_once], Py_False)) return -1;
    return is(listener, state->names[NAME_this], Py_False) ? (most > 2 ? 2 : most) : -1;
}

/* The exception that is set, whatever it is, harms nobody else. */
static PyObject *report(PyObject *socket, PyObject *data, PyObject *flags)
{
    PyObject *type, *error, *traceback, *result;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback) PyException_SetTraceback(error, traceback);
    result = PyObject_CallMethod(socket, "_raised", "O(OO)", error, data, flags);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return result;
}

static PyObject *ordinary_function(const Shortcut *shortcut, PyObject *socket, Py_ssize_t *taken)
{
    State *state = state_of(shortcut);
    PyObject *listener = NULL, *function = NULL;
    if (number(socket, state->names[NAME_readyState]) == OPEN && is(socket, state->names[NAME__kept], Py_None))
        listener = only_listener(socket, state);
    if (listener) {
        *taken = takes(shortcut, listener);
        if (*taken >= 0) function = attribute(listener, state->names[NAME_function]);
        Py_DECREF(listener);
    }
    return function;
}

static PyObject *on_message(PyObject *callable, PyObject *const *arguments, size_t count, PyObject *keywords)
{
    Shortcut *shortcut = (Shortcut *)callable;
    PyObject *function = NULL, *result = NULL;
    Py_ssize_t taken = 0;
    if (PyVectorcall_NARGS(count) == 3 && !keywords) function = ordinary_function(shortcut, arguments[0], &taken);
    if (!function) return PyObject_Vectorcall(shortcut->function, arguments, count, keywords);
    if (!Py_EnterRecursiveCall(" in a listener")) {
        PyObject *given[] = {NULL, arguments[1], arguments[2]};
        result = PyObject_Vectorcall(function, given + 1, (size_t)taken | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_LeaveRecursiveCall();
    }
    Py_DECREF(function);
    if (!result) return report(arguments[0], arguments[1], arguments[2]);
    Py_DECREF(result);
    Py_RETURN_NONE;
}

/* websocket.py, WebSocket.send: without options or callback, on the loop thread. */

static int is_plain(PyObject *data)
{
    return PyBytes_CheckExact(data) || PyUnicode_CheckExact(data);
}

static int in_thread(PyObject *socket, State *state)
{
    PyObject *loop = attribute(socket, state->names[NAME__loop]);
    PyObject *ident = loop ? attribute(loop, state->names[NAME__ident]) : NULL;
    PyObject *here = ident ? PyObject_CallNoArgs(state->get_ident) : NULL;
    int same = here ? PyObject_RichCompareBool(here, ident, Py_EQ) : 0;
    if (PyErr_Occurred()) PyErr_Clear();
    Py_XDECREF(loop);
    Py_XDECREF(ident);
    Py_XDECREF(here);
    return same == 1;
}

static PyObject *sender_of(PyObject *socket, State *state)
{
    if (number(socket, state->names[NAME_readyState]) == OPEN && is(socket, state->names[NAME__streams], Py_None) &&
        in_thread(socket, state))
        return attribute(socket, state->names[NAME__sender]);
    return NULL;
}

static PyObject *send_message(PyObject *callable, PyObject *const *arguments, size_t count, PyObject *keywords)
{
    Shortcut *shortcut = (Shortcut *)callable;
    State *state = state_of(shortcut);
    PyObject *sender = NULL;
    if (PyVectorcall_NARGS(count) == 2 && !keywords && is_plain(arguments[1])) sender = sender_of(arguments[0], state);
    if (sender) {
        PyObject *mask = is(arguments[0], state->names[NAME__is_server], Py_True) ? Py_False : Py_True, *result;
        PyObject *given[] = {sender, arguments[1], Py_None, Py_True, mask, Py_None, Py_True};
        result = PyObject_VectorcallMethod(state->names[NAME_send], given, 7, NULL);
        Py_DECREF(sender);
        return result;
    }
    return PyObject_Vectorcall(shortcut->function, arguments, count, keywords);
}

/* protocol/sender.py, Sender.send: a message in one frame. */

/* From here on, copying a payload behind its header costs more than a second write. */
enum { LARGE = 16384 };

static int write_to(PyObject *socket, State *state, PyObject *data, PyObject *callback)
{
    PyObject *given[] = {socket, data, callback}, *result;
    if (Py_EnterRecursiveCall(" in write")) return -1;
    result = PyObject_VectorcallMethod(state->names[NAME_write], given, 3, NULL);
    Py_LeaveRecursiveCall();
    return done(result);
}

static int write_masked(const Shortcut *shortcut, PyObject *socket, uint8_t first, PyObject *data, PyObject *callback)
{
    PyObject *key = PyObject_CallNoArgs(shortcut->more), *built = NULL;
    int failed;
    if (key && PyBytes_Check(key) && PyBytes_GET_SIZE(key) == 4)
        built = build_of(first, data, (const uint8_t *)PyBytes_AS_STRING(key));
    else if (key)
        PyErr_SetString(PyExc_TypeError, "a mask key has 4 bytes");
    failed = !built || write_to(socket, state_of(shortcut), built, callback);
    Py_XDECREF(key);
    Py_XDECREF(built);
    return failed;
}

static int write_large(PyObject *socket, State *state, uint8_t first, PyObject *payload, PyObject *callback)
{
    uint8_t bytes[10] = {first}, *end = put_length(bytes + 1, 0, (uint64_t)PyBytes_GET_SIZE(payload));
    PyObject *header = PyBytes_FromStringAndSize((const char *)bytes, end - bytes);
    int failed = !header || write_to(socket, state, header, Py_None) || write_to(socket, state, payload, callback);
    Py_XDECREF(header);
    return failed;
}

static int write_small(const Shortcut *shortcut, PyObject *socket, PyObject *data, PyObject *binary, PyObject *callback)
{
    PyObject *built = remembered_frame(shortcut->module, data, binary);
    int failed = !built || write_to(socket, state_of(shortcut), built, callback);
    Py_XDECREF(built);
    return failed;
}

/* Sender.send's arguments, self first. */
enum { SELF, DATA, AS_BINARY, FIN_BIT, MASKED, CALLBACK, COMPRESS, ARGUMENTS };

static int is_usual(PyObject *const *given, State *state)
{
    return is_plain(given[DATA]) && (given[AS_BINARY] == Py_None || PyBool_Check(given[AS_BINARY])) &&
           given[FIN_BIT] == Py_True && PyBool_Check(given[MASKED]) && PyBool_Check(given[COMPRESS]) &&
           is(given[SELF], state->names[NAME__fragmented], Py_False);
}

static PyObject *bytes_of(PyObject *data)
{
    if (PyUnicode_CheckExact(data)) return PyUnicode_AsUTF8String(data);
    Py_INCREF(data);
    return data;
}

static int write_plain(const Shortcut *shortcut, PyObject *socket, uint8_t first, PyObject *const *given)
{
    PyObject *data = given[DATA], *callback = given[CALLBACK];
    int failed;
    if (given[MASKED] == Py_True) return write_masked(shortcut, socket, first, data, callback);
    if ((PyBytes_CheckExact(data) ? PyBytes_GET_SIZE(data) : PyUnicode_GetLength(data)) < LARGE)
        return write_small(shortcut, socket, data, given[AS_BINARY], callback);
    data = bytes_of(data);
    failed = !data || write_large(socket, state_of(shortcut), first, data, callback);
    Py_XDECREF(data);
    return failed;
}

/* RFC 7692 section 7.2.1 */
static int write_compressed(const Shortcut *shortcut, PyObject *socket, uint8_t first, PyObject *deflater,
                            PyObject *const *given)
{
    State *state = state_of(shortcut);
    PyObject *payload = bytes_of(given[DATA]), *built;
    int failed;
    if (payload && PyBytes_GET_SIZE(payload) >= number(deflater, state->names[NAME_threshold])) {
        PyObject *deflated[] = {deflater, payload, Py_True};
        first |= RSV1;
        built = PyObject_VectorcallMethod(state->names[NAME_deflate], deflated, 3, NULL);
        Py_DECREF(payload);
        payload = built;
    }
    if (payload && !PyBytes_Check(payload)) {
        PyErr_SetString(PyExc_TypeError, "a deflater makes bytes");
        Py_CLEAR(payload);
    }
    if (!payload) return -1;
    if (given[MASKED] == Py_True) {
        failed = write_masked(shortcut, socket, first, payload, given[CALLBACK]);
    } else if (PyBytes_GET_SIZE(payload) >= LARGE) {
        failed = write_large(socket, state, first, payload, given[CALLBACK]);
    } else {
        built = build_of(first, payload, NULL);
        failed = !built || write_to(socket, state, built, given[CALLBACK]);
        Py_XDECREF(built);
    }
    Py_DECREF(payload);
    return failed;
}

static int write_frame(const Shortcut *shortcut, PyObject *socket, PyObject *const *given)
{
    PyObject *binary = given[AS_BINARY];
    int is_binary = binary == Py_None ? PyBytes_CheckExact(given[DATA]) : binary == Py_True, failed;
    uint8_t first = is_binary ? WHOLE_BINARY : WHOLE_TEXT;
    PyObject *deflater = NULL;
    if (given[COMPRESS] == Py_True) {
        deflater = PyObject_GetAttr(given[SELF], state_of(shortcut)->names[NAME__deflater]);
        if (!deflater) return -1;
    }
    failed = !deflater || deflater == Py_None ? write_plain(shortcut, socket, first, given)
                                              : write_compressed(shortcut, socket, first, deflater, given);
    Py_XDECREF(deflater);
    return failed;
}

static PyObject *send_frame(PyObject *callable, PyObject *const *arguments, size_t flagged, PyObject *keywords)
{
    Shortcut *shortcut = (Shortcut *)callable;
    State *state = state_of(shortcut);
    Py_ssize_t count = PyVectorcall_NARGS(flagged);
    PyObject *given[ARGUMENTS] = {NULL, NULL, Py_None, Py_True, Py_False, Py_None, Py_True}, *socket;
    if (!keywords && count >= 2 && count <= ARGUMENTS) {
        memcpy(given, arguments, (size_t)count * sizeof *given);
        if (is_usual(given, state) && (socket = attribute(given[SELF], state->names[NAME__socket]))) {
            int failed = write_frame(shortcut, socket, given);
            Py_DECREF(socket);
            if (failed) return NULL;
            Py_RETURN_NONE;
        }
    }
    return PyObject_Vectorcall(shortcut->function, arguments, flagged, keywords);
}

/* --- */

static int shortcut_traverse(Shortcut *shortcut, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(shortcut));
    Py_VISIT(shortcut->module);
    Py_VISIT(shortcut->function);
    Py_VISIT(shortcut->more);
    Py_VISIT(shortcut->dict);
    return 0;
}

static int shortcut_clear(Shortcut *shortcut)
{
    Py_CLEAR(shortcut->module);
    Py_CLEAR(shortcut->function);
    Py_CLEAR(shortcut->more);
    Py_CLEAR(shortcut->dict);
    return 0;
}

static void shortcut_dealloc(Shortcut *shortcut)
{
    PyTypeObject *type = Py_TYPE(shortcut);
    PyObject_GC_UnTrack(shortcut);
    if (shortcut->weak_references) PyObject_ClearWeakRefs((PyObject *)shortcut);
    shortcut_clear(shortcut);
    type->tp_free(shortcut);
    Py_DECREF(type);
}

static PyObject *shortcut_get(PyObject *shortcut, PyObject *object, PyObject *type)
{
    (void)type;
    if (object && object != Py_None) return PyMethod_New(shortcut, object);
    Py_INCREF(shortcut);
    return shortcut;
}

static PyObject *shortcut_repr(Shortcut *shortcut)
{
    return PyObject_Repr(shortcut->function);
}

/* As functions, it is copied and pickled by its name. */
static PyObject *shortcut_reduce(PyObject *shortcut, PyObject *nothing)
{
    (void)nothing;
    return PyObject_GetAttrString(shortcut, "__qualname__");
}

static PyMethodDef shortcut_methods[] = {
    {"__reduce__", shortcut_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef shortcut_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Shortcut, call), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Shortcut, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Shortcut, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef shortcut_attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot shortcut_slots[] = {
    {Py_tp_dealloc, shortcut_dealloc},
    {Py_tp_traverse, shortcut_traverse},
    {Py_tp_clear, shortcut_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_repr, shortcut_repr},
    {Py_tp_methods, shortcut_methods},
    {Py_tp_descr_get, shortcut_get},
    {Py_tp_members, shortcut_members},
    {Py_tp_getset, shortcut_attributes},
    {0, NULL},
};

static PyType_Spec shortcut_spec = {
    .name = "ws._native.speedups.Shortcut",
    .basicsize = sizeof(Shortcut),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = shortcut_slots,
};

static const struct {
    const char *name;
    vectorcallfunc call;
} shortcuts[] = {
    {"Receiver.add", add},
    {"Sender.send", send_frame},
    {"WebSocket._on_message", on_message},
    {"WebSocket.send", send_message},
};

static vectorcallfunc shortcut_named(PyObject *name)
{
    for (size_t at = 0; at < sizeof shortcuts / sizeof *shortcuts; at++)
        if (PyUnicode_CompareWithASCIIString(name, shortcuts[at].name) == 0) return shortcuts[at].call;
    PyErr_SetString(PyExc_ValueError, "there is no such shortcut");
    return NULL;
}

static int is_flags_type(PyObject *type, State *state)
{
    return PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, state->flags);
}

PyDoc_STRVAR(shortcut_doc, "shortcut(name, function, more)\n--\n\nSee ws._native.");

static PyObject *shortcut(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    State *state = PyModule_GetState(module);
    vectorcallfunc call;
    Shortcut *made;
    if (check_count("shortcut", count, 3)) return NULL;
    if (!PyUnicode_Check(arguments[0]) || !PyCallable_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "the name of a shortcut and a function expected");
        return NULL;
    }
    if (!(call = shortcut_named(arguments[0]))) return NULL;
    if (call == add && !is_flags_type(arguments[2], state)) {
        PyErr_SetString(PyExc_TypeError, "a subclass of Flags expected");
        return NULL;
    }
    made = (Shortcut *)state->shortcut->tp_alloc(state->shortcut, 0);
    if (!made) return NULL;
    made->call = call;
    Py_INCREF(module);
    made->module = module;
    Py_INCREF(arguments[1]);
    made->function = arguments[1];
    Py_INCREF(arguments[2]);
    made->more = arguments[2];
    return (PyObject *)made;
}

/* --- the module --------------------------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"mask", (PyCFunction)(void (*)(void))mask, METH_FASTCALL, mask_doc},
    {"shortcut", (PyCFunction)(void (*)(void))shortcut, METH_FASTCALL, shortcut_doc},
    {"frame", (PyCFunction)(void (*)(void))frame, METH_FASTCALL, frame_doc},
    {"frame_of", (PyCFunction)(void (*)(void))frame_of, METH_FASTCALL, frame_of_doc},
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
    State *state = PyModule_GetState(module);
    PyObject *threading;
    for (int name = 0; name < NAMES; name++)
        if (!(state->names[name] = PyUnicode_InternFromString(name_strings[name]))) return -1;
    if (!(threading = PyImport_ImportModule("threading"))) return -1;
    state->get_ident = PyObject_GetAttrString(threading, "get_ident");
    Py_DECREF(threading);
    if (!state->get_ident || !(state->flags = add_type(module, &flags_spec)) ||
        !(state->shortcut = add_type(module, &shortcut_spec)) || add_type_for_good(module, &bytes_builder_spec))
        return -1;
#ifndef MS_WINDOWS
    if (add_type_for_good(module, &stream_spec)) return -1;
#endif
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->flags);
    Py_VISIT(state->shortcut);
    Py_VISIT(state->get_ident);
    return 0;
}

static int clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    for (int name = 0; name < NAMES; name++) Py_CLEAR(state->names[name]);
    Py_CLEAR(state->flags);
    Py_CLEAR(state->shortcut);
    Py_CLEAR(state->get_ident);
    Py_CLEAR(state->last_data);
    Py_CLEAR(state->last_binary);
    Py_CLEAR(state->last_frame);
    return 0;
}

static void release(void *module)
{
    clear(module);
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
    .m_name = "ws._native.speedups",
    .m_size = sizeof(State),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

PyMODINIT_FUNC PyInit_speedups(void)
{
    return PyModuleDef_Init(&definition);
}
