/* The accelerator: what costs most in Python. Optional: see ws/_native/__init__.py. */
#include "native.h"

#define FUNCTION(name, signature) {#name, (PyCFunction)(void (*)(void))native_##name, METH_FASTCALL, #name signature "\n--\n\n"}

static PyMethodDef functions[] = {
    FUNCTION(mask, "(data, key, /)"),
    FUNCTION(join_masked, "(pieces, keys, /)"),
    FUNCTION(frame, "(first, payload, key, /)"),
    FUNCTION(whole_frame, "(data, pos, starts, masked, max_payload, /)"),
#ifndef MS_WINDOWS
    FUNCTION(recv, "(fd, size, /)"),
    FUNCTION(send, "(fd, data, /)"),
    FUNCTION(send_several, "(fd, queue, first, /)"),
#endif
    {NULL, NULL, 0, NULL},
};

static const struct {
    const char *name;
    long value;
} constants[] = {
    {"TEXT", TEXT},
    {"OPCODE", OPCODE},
    {"RSV1", RSV1},
    {"MASK", MASK},
    {"LENGTH", LENGTH},
    {"SHORT_LIMIT", SHORT_LIMIT},
    {"LENGTH_16", LENGTH_16},
    {"LENGTH_64", LENGTH_64},
    {"KEY_SIZE", KEY_SIZE},
    {"BUFFERS_PER_CALL", BUFFERS_PER_CALL},
};

static int execute(PyObject *module)
{
    for (size_t at = 0; at < sizeof constants / sizeof *constants; at++)
        if (PyModule_AddIntConstant(module, constants[at].name, constants[at].value)) return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
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
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit_speedups(void)
{
    return PyModuleDef_Init(&definition);
}
