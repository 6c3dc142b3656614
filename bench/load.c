/*
 * A WebSocket load generator: N connections to a server on 127.0.0.1, M messages in flight on each.
 *
 *   load PORT echo|broadcast FRAMES CONNECTIONS IN_FLIGHT [COMPRESSED]
 *
 * FRAMES is a file of masked frames (see frames.py): they go out on every connection over and over, and the same must
 * come back, unmasked; every byte received is compared. With COMPRESSED, a file of the same messages compressed,
 * permessage-deflate is offered and these go out instead; what comes must be compressed, too, and is inflated.
 *
 * It connects, prints {"connections": N, "seconds": S} and waits. Each line read from standard input is the length of a
 * phase in seconds; when the phase is over and every answer has come, it prints {"messages": N, "seconds": S,
 * "p50": T, "p99": T}, the latencies in microseconds. End of input ends it. Nothing is in flight between phases, so
 * whoever measures the server may read its figures there.
 *
 * In a broadcast only the first connection sends, and a message counts once for each connection it reaches.
 *
 * Compiled with WITH_TLS, all connections are TLS; the certificate is not verified. WITH_DEFLATE permits COMPRESSED.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif
#ifdef WITH_DEFLATE
#include <zlib.h>
#endif

#define MAX_CONNECTIONS 20000
#define MAX_FRAMES (64u << 20) /* bytes of them */
#define MAX_IN_FLIGHT 4096u
#define MAX_SECONDS 60.0
#define MAX_MESSAGES 50000000u /* in one phase */
#define MAX_LIFETIME 600       /* seconds */
#define STALLED 10000          /* milliseconds without an event */
#define HANDSHAKES 64          /* at once: fewer than the shortest backlog among the servers */
#define READ_SIZE (256u << 10)
#define EVENTS 1024
#define MAX_HEAD 4096

/* Frames that follow one another, the first again after the last. */
struct ring {
    uint8_t *bytes;
    size_t size, *ends; /* where each frame ends */
    unsigned count;
};

struct opening {
    int requested;
    size_t length;
    char head[MAX_HEAD + 1];
};

struct connection {
    int fd;
#ifdef WITH_TLS
    SSL *tls;
#endif
#ifdef WITH_DEFLATE
    z_stream *inflater;
    uint8_t *kept; /* compressed frames that are not whole yet */
    size_t kept_length;
    uint64_t inflated; /* messages */
#endif
    struct opening *opening; /* until the handshake is over */
    uint64_t asked, come;    /* messages it may have sent, and those received, since it was opened */
    uint64_t sent, received; /* bytes since then */
    uint64_t *sent_at;       /* of the messages in flight, in nanoseconds */
    int blocked;             /* the socket took less than it was given */
};

static struct ring outgoing, incoming;
static struct connection *connections;
static unsigned connection_count, in_flight;
static int broadcast, compressed, epoll;
static uint8_t buffer[READ_SIZE];

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) fail("out of memory");
    return memory;
}

/* --- latencies -------------------------------------------------------------------------------------------------- */

/* Counts in buckets whose width is 1/64 of the power of two they lie in. */
static uint64_t histogram[64 << 6];

static unsigned bucket_of(uint64_t time) {
    if (time < 64) return (unsigned)time;
    unsigned shift = 57u - (unsigned)__builtin_clzll(time);
    return ((shift + 1) << 6) + (unsigned)(time >> shift) - 64;
}

static double middle_of(unsigned bucket) {
    if (bucket < 64) return bucket;
    unsigned shift = (bucket >> 6) - 1;
    return ((bucket & 63) + 64.5) * (double)(1ull << shift);
}

static double percentile(double share, uint64_t messages) {
    uint64_t before = 0;
    unsigned bucket = 0;
    while ((before += histogram[bucket]) < share * (double)messages) bucket++;
    return middle_of(bucket) / 1000;
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

/* RFC 6455, section 5.2: the length of the frame's header, 0 if that isn't there yet. */
static size_t header_length(const uint8_t *frame, size_t available, uint64_t *payload) {
    if (available < 2) return 0;
    size_t bytes = (frame[1] & 0x7f) == 126 ? 2 : (frame[1] & 0x7f) == 127 ? 8 : 0;
    size_t length = 2 + bytes + (frame[1] & 0x80 ? 4 : 0);
    if (available < length) return 0;
    *payload = bytes ? 0 : frame[1] & 0x7f;
    for (size_t i = 0; i < bytes; i++) *payload = *payload << 8 | frame[2 + i];
    return length;
}

/* How many bytes the first messages have. */
static uint64_t bytes_of(const struct ring *ring, uint64_t messages) {
    uint64_t rest = messages % ring->count;
    return messages / ring->count * ring->size + (rest ? ring->ends[rest - 1] : 0);
}

static struct ring read_frames(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail("%s: %s", path, strerror(errno));
    long size = ftell(file);
    if (size <= 0 || size > MAX_FRAMES) fail("%s has %ld bytes", path, size);
    rewind(file);
    uint8_t *bytes = allocate((size_t)size);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size) fail("%s cannot be read", path);
    fclose(file);

    struct ring ring = {.bytes = bytes, .size = (size_t)size, .ends = allocate((size_t)size * sizeof(size_t))};
    uint64_t payload;
    size_t header;
    for (size_t at = 0; at < ring.size; ring.ends[ring.count++] = at) {
        header = header_length(bytes + at, ring.size - at, &payload);
        if (!header || payload > ring.size - at - header) fail("%s does not hold whole frames", path);
        at += header + payload;
    }
    return ring;
}

/* The same frames without their masks: what an echo is. */
static struct ring unmasked(const struct ring *masked) {
    struct ring ring = {.bytes = allocate(masked->size), .ends = allocate(masked->count * sizeof(size_t))};
    uint8_t *to = ring.bytes, *from = masked->bytes;
    for (; ring.count < masked->count; ring.ends[ring.count++] = (size_t)(to - ring.bytes)) {
        uint64_t payload;
        size_t header = header_length(from, 14, &payload);
        memcpy(to, from, header - 4);
        to[1] &= 0x7f;
        to += header - 4;
        for (size_t i = 0; i < payload; i++) to[i] = from[header + i] ^ from[header - 4 + i % 4];
        to += payload;
        from += header + payload;
    }
    ring.size = (size_t)(to - ring.bytes);
    return ring;
}

/* --- transport: TCP or TLS -------------------------------------------------------------------------------------- */

#ifdef WITH_TLS

static SSL_CTX *context;

static void prepare_tls(void) {
    context = SSL_CTX_new(TLS_client_method());
    if (!context) fail("SSL_CTX_new failed");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
}

static void tls_failed(struct connection *connection, const char *what, int result) {
    int error = SSL_get_error(connection->tls, result);
    if (error == SSL_ERROR_ZERO_RETURN) fail("the server ended the connection");
    fail("%s: error %d, %s", what, error, ERR_error_string(ERR_get_error(), NULL));
}

static int would_block(struct connection *connection, int result) {
    int error = SSL_get_error(connection->tls, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* Returns whether TLS is established. */
static int secure(struct connection *connection) {
    if (!connection->tls) {
        connection->tls = SSL_new(context);
        if (!connection->tls || !SSL_set_fd(connection->tls, connection->fd)) fail("SSL_new failed");
    }
    int result = SSL_connect(connection->tls);
    if (result != 1 && !would_block(connection, result)) tls_failed(connection, "SSL_connect", result);
    return result == 1;
}

/* Both return 0 if nothing can be had or taken now. */
static size_t read_some(struct connection *connection, void *into, size_t size) {
    int count = SSL_read(connection->tls, into, (int)size);
    if (count <= 0 && !would_block(connection, count)) tls_failed(connection, "SSL_read", count);
    return count > 0 ? (size_t)count : 0;
}

static size_t write_some(struct connection *connection, struct iovec *parts, int number) {
    (void)number; /* the rest is left to the next call */
    int count = SSL_write(connection->tls, parts->iov_base, (int)parts->iov_len);
    if (count <= 0 && !would_block(connection, count)) tls_failed(connection, "SSL_write", count);
    return count > 0 ? (size_t)count : 0;
}

/* Whether there are bytes that epoll doesn't know of. */
static int has_more(struct connection *connection) {
    return SSL_has_pending(connection->tls);
}

#else

static void prepare_tls(void) {}

static int secure(struct connection *connection) {
    (void)connection;
    return 1;
}

static size_t read_some(struct connection *connection, void *into, size_t size) {
    ssize_t count = recv(connection->fd, into, size, 0);
    if (count < 0 && errno != EAGAIN) fail("recv: %s", strerror(errno));
    if (count == 0) fail("the server ended the connection");
    return count > 0 ? (size_t)count : 0;
}

static size_t write_some(struct connection *connection, struct iovec *parts, int number) {
    ssize_t count = writev(connection->fd, parts, number);
    if (count < 0 && errno != EAGAIN) fail("write: %s", strerror(errno));
    return count > 0 ? (size_t)count : 0;
}

static int has_more(struct connection *connection) {
    (void)connection;
    return 0;
}

#endif

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll, operation, connection->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

/* --- opening handshake ------------------------------------------------------------------------------------------ */

/* RFC 6455, section 1.3, gives this key with its answer: no SHA-1 is needed here. */
static void send_request(struct connection *connection) {
    char request[512];
    int length = snprintf(request, sizeof request,
                          "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                          compressed ? "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                                       "client_no_context_takeover\r\n"
                                     : "");
    struct iovec part = {request, (size_t)length};
    if (write_some(connection, &part, 1) != (size_t)length) fail("the request cannot be sent");
}

static void check_response(const char *head) {
    if (strncmp(head, "HTTP/1.1 101 ", 13)) fail("unexpected response: %.*s", (int)strcspn(head, "\r"), head);
    if (!strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) fail("wrong Sec-WebSocket-Accept");
    if (compressed && !strstr(head, "permessage-deflate")) fail("the server did not agree to permessage-deflate");
}

/* Does what can be done of the handshakes; returns whether they are over. */
static int open_further(struct connection *connection) {
    struct opening *opening = connection->opening;
    if (!opening->requested) {
        if (!secure(connection)) return 0;
        send_request(connection);
        opening->requested = 1;
    }
    opening->length += read_some(connection, opening->head + opening->length, MAX_HEAD - opening->length);
    char *end = strstr(opening->head, "\r\n\r\n");
    if (!end && opening->length == MAX_HEAD) fail("the response head is longer than %d bytes", MAX_HEAD);
    if (!end) return 0;
    if (end + 4 != opening->head + opening->length) fail("the server sent something before it was asked");
    check_response(opening->head);
    free(opening);
    connection->opening = NULL;
    return 1;
}

/* Returns whether it is open already. */
static int start_connecting(struct connection *connection, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) fail("socket: %s", strerror(errno));
    int yes = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    /* Blocking: on loopback the kernel answers itself as long as the backlog has room. */
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
    if (fcntl(connection->fd, F_SETFL, O_NONBLOCK)) fail("fcntl: %s", strerror(errno));
    connection->opening = allocate(sizeof *connection->opening);
    connection->sent_at = allocate(in_flight * sizeof *connection->sent_at);
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    return open_further(connection);
}

static int wait_for(struct epoll_event *events) {
    int count;
    do count = epoll_wait(epoll, events, EVENTS, STALLED);
    while (count < 0 && errno == EINTR);
    if (count < 0) fail("epoll_wait: %s", strerror(errno));
    if (count == 0) fail("nothing came from the server for %d s", STALLED / 1000);
    return count;
}

static void connect_all(int port) {
    struct epoll_event events[EVENTS];
    unsigned started = 0, finished = 0;
    for (;;) {
        while (started < connection_count && started - finished < HANDSHAKES)
            finished += (unsigned)start_connecting(&connections[started++], port);
        if (finished == connection_count) return;
        int count = wait_for(events);
        for (int i = 0; i < count; i++) finished += (unsigned)open_further(events[i].data.ptr);
    }
}

/* --- messages --------------------------------------------------------------------------------------------------- */

static void send_asked(struct connection *connection) {
    uint64_t total = bytes_of(&outgoing, connection->asked);
    size_t count = 1;
    while (connection->sent < total && count) {
        size_t left = (size_t)(total - connection->sent), at = (size_t)(connection->sent % outgoing.size);
        size_t first = outgoing.size - at < left ? outgoing.size - at : left;
        struct iovec parts[2] = {{outgoing.bytes + at, first}, {outgoing.bytes, left - first}};
        if (parts[1].iov_len > outgoing.size) parts[1].iov_len = outgoing.size;
        count = write_some(connection, parts, left > first ? 2 : 1);
        connection->sent += count;
    }
    int blocked = connection->sent < total;
    if (blocked != connection->blocked) {
        connection->blocked = blocked;
        watch(connection, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void ask(struct connection *connection, uint64_t messages, uint64_t time) {
    for (uint64_t i = 0; i < messages; i++) connection->sent_at[(connection->asked + i) % in_flight] = time;
    connection->asked += messages;
    send_asked(connection);
}

static void compare(struct connection *connection, size_t count) {
    for (size_t done = 0; done < count;) {
        size_t at = (size_t)(connection->received % incoming.size), part = incoming.size - at;
        if (part > count - done) part = count - done;
        if (memcmp(buffer + done, incoming.bytes + at, part))
            fail("message %llu came back changed", (unsigned long long)connection->come);
        done += part;
        connection->received += part;
    }
}

#ifdef WITH_DEFLATE

/* RFC 7692, section 7.2.2. The context is kept, which does no harm where the server's is not. */
static void inflate_part(z_stream *inflater, const uint8_t *from, size_t length) {
    inflater->next_in = (uint8_t *)from;
    inflater->avail_in = (unsigned)length;
    int result = inflate(inflater, Z_SYNC_FLUSH);
    if ((result != Z_OK && result != Z_BUF_ERROR) || inflater->avail_in) fail("inflate: error %d", result);
}

static void compare_inflated(struct connection *connection, const uint8_t *frame, size_t header, uint64_t payload) {
    static uint8_t *message;
    if (!message) message = allocate(incoming.size);
    uint64_t start = bytes_of(&incoming, connection->inflated) % incoming.size, expected_payload;
    const uint8_t *expected = incoming.bytes + start;
    size_t expected_header = header_length(expected, 14, &expected_payload);
    if (frame[0] != (expected[0] | 0x40)) fail("a frame that begins with %#x is no compressed message", frame[0]);

    connection->inflater->next_out = message;
    connection->inflater->avail_out = (unsigned)incoming.size;
    inflate_part(connection->inflater, frame + header, payload);
    inflate_part(connection->inflater, (const uint8_t *)"\0\0\xff\xff", 4);
    if ((size_t)(connection->inflater->next_out - message) != expected_payload ||
        memcmp(message, expected + expected_header, expected_payload))
        fail("message %llu came back changed", (unsigned long long)connection->inflated);
}

static void take_compressed(struct connection *connection, size_t count) {
    if (!connection->inflater) {
        connection->inflater = allocate(sizeof *connection->inflater);
        connection->kept = allocate(2 * outgoing.size + incoming.size + sizeof buffer);
        if (inflateInit2(connection->inflater, -15) != Z_OK) fail("inflateInit2 failed");
    }
    memcpy(connection->kept + connection->kept_length, buffer, count);
    connection->kept_length += count;
    size_t at = 0, header;
    uint64_t payload;
    while ((header = header_length(connection->kept + at, connection->kept_length - at, &payload)) &&
           payload <= connection->kept_length - at - header) {
        compare_inflated(connection, connection->kept + at, header, payload);
        connection->received = bytes_of(&incoming, ++connection->inflated);
        at += header + payload;
    }
    connection->kept_length -= at;
    memmove(connection->kept, connection->kept + at, connection->kept_length);
    if (connection->kept_length > outgoing.size + incoming.size) fail("an answer is longer than all messages");
}

#else

static void take_compressed(struct connection *connection, size_t count) {
    (void)connection, (void)count;
    fail("built without zlib");
}

#endif

/* Returns how many messages were completed by what came, and when that was. */
static uint64_t receive(struct connection *connection, uint64_t *time) {
    do {
        size_t count = read_some(connection, buffer, sizeof buffer);
        if (compressed)
            take_compressed(connection, count);
        else
            compare(connection, count);
    } while (has_more(connection));
    *time = nanoseconds();

    uint64_t completed = 0, *sent_at = broadcast ? connections->sent_at : connection->sent_at;
    for (; bytes_of(&incoming, connection->come + 1) <= connection->received; completed++)
        histogram[bucket_of(*time - sent_at[connection->come++ % in_flight])]++;
    return completed;
}

static void run_phase(double seconds) {
    struct epoll_event events[EVENTS];
    unsigned senders = broadcast ? 1 : connection_count;
    uint64_t copies = broadcast ? connection_count : 1;
    uint64_t asked = (uint64_t)senders * in_flight, messages = 0;
    uint64_t start = nanoseconds(), end = start + (uint64_t)(seconds * 1e9), time = start;

    memset(histogram, 0, sizeof histogram);
    for (unsigned i = 0; i < senders; i++) ask(&connections[i], in_flight, nanoseconds());
    while (messages < asked * copies) {
        int count = wait_for(events);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_asked(connection);
            uint64_t completed = receive(connection, &time);
            messages += completed;
            if (!completed || broadcast || time >= end || asked >= MAX_MESSAGES) continue;
            ask(connection, completed, time);
            asked += completed;
        }
        /* The next round of a broadcast starts when the last has reached everyone. */
        if (broadcast && time < end && messages == asked * copies && asked * copies < MAX_MESSAGES) {
            ask(connections, in_flight, nanoseconds());
            asked += in_flight;
        }
    }
    if (messages > asked * copies) fail("more messages came than were asked for");
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f}\n", (unsigned long long)messages,
           (double)(nanoseconds() - start) / 1e9, percentile(0.5, messages), percentile(0.99, messages));
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) fail("getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit)) fail("setrlimit: %s", strerror(errno));
    if (limit.rlim_cur < connection_count + 16) fail("only %llu descriptors", (unsigned long long)limit.rlim_cur);
}

static unsigned number(const char *argument, unsigned least, unsigned most) {
    char *end;
    unsigned long value = strtoul(argument, &end, 10);
    if (*end || value < least || value > most) fail("%s is not between %u and %u", argument, least, most);
    return (unsigned)value;
}

int main(int count, char **arguments) {
    if (count != 6 && count != 7) fail("arguments: PORT echo|broadcast FRAMES CONNECTIONS IN_FLIGHT [COMPRESSED]");
    unsigned port = number(arguments[1], 1, 65535);
    broadcast = !strcmp(arguments[2], "broadcast");
    connection_count = number(arguments[4], 1, MAX_CONNECTIONS);
    in_flight = number(arguments[5], 1, MAX_IN_FLIGHT);
    compressed = count == 7;
    outgoing = read_frames(arguments[3]);
    incoming = unmasked(&outgoing);
    if (compressed) outgoing = read_frames(arguments[6]);
    connections = allocate(connection_count * sizeof *connections);
    raise_descriptor_limit();
    alarm(MAX_LIFETIME);
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1: %s", strerror(errno));
    setvbuf(stdout, NULL, _IOLBF, 0);
    prepare_tls();

    uint64_t start = nanoseconds();
    connect_all((int)port);
    double seconds = (double)(nanoseconds() - start) / 1e9;
    printf("{\"connections\": %u, \"seconds\": %.6f}\n", connection_count, seconds);

    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        seconds = strtod(line, NULL);
        if (!(seconds > 0 && seconds <= MAX_SECONDS)) fail("a phase lasts up to %g s", MAX_SECONDS);
        run_phase(seconds);
    }
    return 0;
}
