/* What ThreadSanitizer must report, or its silence about the library would mean nothing: two threads count at once. */

static long counted;

void count(void) {
    for (int i = 0; i < 100000; i++) {
        counted++;
    }
}
