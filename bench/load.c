/*
 * A WebSocket load generator: N connections to a server on 127.0.0.1, M messages in flight on each.
 *
 *   load PORT echo|broadcast text|binary SIZE CONNECTIONS IN_FLIGHT
 *
 * It connects, prints {"connections": N, "seconds": S} and waits. Each line read from standard input is the length of a
 * phase in seconds; when the phase is over and every answer has come, it prints {"messages": N, "seconds": S}.
 * End of input ends it. Nothing is in flight between phases, so whoever measures the server may read its
 * figures there.
 *
 * What goes out on a connection is the same M masked frames over and over, each with its own content, and so is what must
 * come back: a ring of bytes each way. Every byte received is compared. In a broadcast only the first connection
 * sends, and a message counts once for each connection it reaches.
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

#define MAX_CONNECTIONS 20000
#define MAX_SIZE (16u << 20)
#define MAX_IN_FLIGHT 4096u
#define MAX_SECONDS 60.0
#define MAX_MESSAGES 50000000u /* in one phase */
#define MAX_LIFETIME 600       /* seconds */
#define STALLED 10000          /* milliseconds without an event */
#define HANDSHAKES 64          /* at once: fewer than the shortest backlog among the servers */
#define READ_SIZE (256u << 10)
#define EVENTS 1024

struct ring {
    uint8_t *bytes;
    size_t frame, size;
};

struct connection {
    int fd;
    uint64_t asked;          /* messages it may have sent since it was opened */
    uint64_t sent, received; /* bytes since then */
    int blocked;             /* the socket took less than it was given */
};

static struct ring outgoing, incoming;
static struct connection *connections;
static unsigned connection_count, in_flight;
static int broadcast, epoll;
static uint8_t buffer[READ_SIZE];

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint32_t random32(void) {
    static uint32_t state = 2463534242u; /* xorshift: the same bytes in every run */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* RFC 6455, section 5.2: opcode and length; returns the length of what was written. */
static size_t put_header(uint8_t *at, uint8_t opcode, size_t size, uint8_t mask_bit) {
    at[0] = 0x80 | opcode;
    if (size < 126) {
        at[1] = mask_bit | (uint8_t)size;
        return 2;
    }
    int bytes = size < 65536 ? 2 : 8;
    at[1] = mask_bit | (bytes == 2 ? 126 : 127);
    for (int i = 0; i < bytes; i++) at[2 + i] = (uint8_t)((uint64_t)size >> (8 * (bytes - 1 - i)));
    return 2 + (size_t)bytes;
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) fail("out of memory");
    return memory;
}

static void build_rings(int text, size_t size) {
    uint8_t header[10], opcode = text ? 1 : 2;
    incoming.frame = put_header(header, opcode, size, 0) + size;
    outgoing.frame = incoming.frame + 4; /* the mask key */
    incoming.size = incoming.frame * in_flight;
    outgoing.size = outgoing.frame * in_flight;
    incoming.bytes = allocate(incoming.size);
    outgoing.bytes = allocate(outgoing.size);

    for (unsigned i = 0; i < in_flight; i++) {
        uint8_t *in = incoming.bytes + i * incoming.frame, *out = outgoing.bytes + i * outgoing.frame;
        uint32_t random_key = random32();
        uint8_t key[4];
        memcpy(key, &random_key, 4);
        in += put_header(in, opcode, size, 0);
        out += put_header(out, opcode, size, 0x80);
        memcpy(out, key, 4);
        out += 4;
        for (size_t j = 0; j < size; j++) {
            uint32_t random = random32();
            in[j] = (uint8_t)(text ? ' ' + random % 95 : random);
            out[j] = in[j] ^ key[j % 4];
        }
    }
}

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll, operation, connection->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

/* --- opening handshake ------------------------------------------------------------------------------------------ */

static void start_connecting(struct connection *connection, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) fail("socket: %s", strerror(errno));
    int yes = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    /* Blocking: on loopback the kernel answers itself as long as the backlog has room. */
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));

    /* RFC 6455, section 1.3, gives this key with its answer: no SHA-1 is needed here. */
    char request[256];
    int length = snprintf(request, sizeof request,
                          "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          port);
    if (send(connection->fd, request, (size_t)length, MSG_NOSIGNAL) != length) fail("send: %s", strerror(errno));
    if (fcntl(connection->fd, F_SETFL, O_NONBLOCK)) fail("fcntl: %s", strerror(errno));
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
}

/* The response is looked at, and stays in the socket until it is whole. Returns whether it was. */
static int finish_connecting(struct connection *connection) {
    char head[4097];
    ssize_t count = recv(connection->fd, head, sizeof head - 1, MSG_PEEK);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) fail("the server ended the connection during the handshake");
    head[count] = 0;
    char *end = strstr(head, "\r\n\r\n");
    if (!end && count == sizeof head - 1) fail("the response head is longer than %d bytes", (int)count);
    if (!end) return 0;
    if (strncmp(head, "HTTP/1.1 101 ", 13)) fail("unexpected response: %.*s", (int)strcspn(head, "\r"), head);
    if (!strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) fail("wrong Sec-WebSocket-Accept");
    size_t length = (size_t)(end + 4 - head);
    if (recv(connection->fd, head, length, 0) != (ssize_t)length) fail("recv: %s", strerror(errno));
    return 1;
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
    while (finished < connection_count) {
        while (started < connection_count && started - finished < HANDSHAKES)
            start_connecting(&connections[started++], port);
        int count = wait_for(events);
        for (int i = 0; i < count; i++) finished += (unsigned)finish_connecting(events[i].data.ptr);
    }
}

/* --- messages --------------------------------------------------------------------------------------------------- */

static void send_asked(struct connection *connection) {
    uint64_t total = connection->asked * outgoing.frame;
    int blocked = 0;
    while (connection->sent < total && !blocked) {
        size_t left = (size_t)(total - connection->sent), at = (size_t)(connection->sent % outgoing.size);
        size_t first = outgoing.size - at < left ? outgoing.size - at : left;
        struct iovec parts[2] = {{outgoing.bytes + at, first}, {outgoing.bytes, left - first}};
        ssize_t count = writev(connection->fd, parts, left > first ? 2 : 1);
        if (count < 0 && errno != EAGAIN) fail("write: %s", strerror(errno));
        if (count > 0) connection->sent += (uint64_t)count;
        blocked = count < (ssize_t)left;
    }
    if (blocked != connection->blocked) {
        connection->blocked = blocked;
        watch(connection, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

/* Compares what came with what must come; returns how many messages it completed. */
static uint64_t receive(struct connection *connection) {
    uint64_t before = connection->received / incoming.frame;
    ssize_t count = recv(connection->fd, buffer, sizeof buffer, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count < 0) fail("recv: %s", strerror(errno));
    if (count == 0) fail("the server ended the connection");
    for (size_t done = 0; done < (size_t)count;) {
        size_t at = (size_t)(connection->received % incoming.size), part = incoming.size - at;
        if (part > (size_t)count - done) part = (size_t)count - done;
        if (memcmp(buffer + done, incoming.bytes + at, part))
            fail("message %llu came back changed", (unsigned long long)(connection->received / incoming.frame));
        done += part;
        connection->received += part;
    }
    return connection->received / incoming.frame - before;
}

static void ask(struct connection *connection, uint64_t messages) {
    connection->asked += messages;
    send_asked(connection);
}

static void run_phase(double seconds) {
    struct epoll_event events[EVENTS];
    unsigned senders = broadcast ? 1 : connection_count;
    uint64_t copies = broadcast ? connection_count : 1;
    uint64_t asked = (uint64_t)senders * in_flight, messages = 0;
    double start = now();

    for (unsigned i = 0; i < senders; i++) ask(&connections[i], in_flight);
    while (messages < asked * copies) {
        int count = wait_for(events), more = now() < start + seconds && asked * copies < MAX_MESSAGES;
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_asked(connection);
            uint64_t completed = receive(connection);
            messages += completed;
            if (!more || !completed || broadcast) continue;
            ask(connection, completed);
            asked += completed;
        }
        /* The next round of a broadcast starts when the last has reached everyone. */
        if (broadcast && more && messages == asked * copies) {
            ask(&connections[0], in_flight);
            asked += in_flight;
        }
    }
    if (messages > asked * copies) fail("more messages came than were asked for");
    printf("{\"messages\": %llu, \"seconds\": %.6f}\n", (unsigned long long)messages, now() - start);
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
    if (count != 7) fail("arguments: PORT echo|broadcast text|binary SIZE CONNECTIONS IN_FLIGHT");
    unsigned port = number(arguments[1], 1, 65535);
    broadcast = !strcmp(arguments[2], "broadcast");
    connection_count = number(arguments[5], 1, MAX_CONNECTIONS);
    in_flight = number(arguments[6], 1, MAX_IN_FLIGHT);
    build_rings(!strcmp(arguments[3], "text"), number(arguments[4], 0, MAX_SIZE));
    connections = allocate(connection_count * sizeof *connections);
    raise_descriptor_limit();
    alarm(MAX_LIFETIME);
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1: %s", strerror(errno));
    setvbuf(stdout, NULL, _IOLBF, 0);

    double start = now();
    connect_all((int)port);
    printf("{\"connections\": %u, \"seconds\": %.6f}\n", connection_count, now() - start);

    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        double seconds = strtod(line, NULL);
        if (!(seconds > 0 && seconds <= MAX_SECONDS)) fail("a phase lasts up to %g s", MAX_SECONDS);
        run_phase(seconds);
    }
    return 0;
}
