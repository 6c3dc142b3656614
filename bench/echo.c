/*
 * A bare WebSocket server: what the kernel and the frames themselves cost, and nothing else. The ceiling for the servers,
 * and the server for the clients.
 *
 *   echo echo|broadcast
 *
 * One thread, epoll; it prints the port it listens on. Each frame is sent back unmasked, to its sender or to everybody;
 * also a close frame. No limits, no checks of UTF-8: nothing for use outside.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256u << 10)
#define EVENTS 1024
#define MAX_CONNECTIONS 65536

struct bytes {
    uint8_t *at;
    size_t length, capacity;
};

struct connection {
    int fd, open, waiting; /* open: the handshake is over; waiting: for room in the socket */
    struct bytes in, out;
    size_t sent; /* of out */
};

static struct connection *everybody[MAX_CONNECTIONS]; /* by descriptor */
static int broadcast, epoll, highest;
static uint8_t buffer[READ_SIZE];

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Returns where `more` bytes can be put. */
static uint8_t *reserve(struct bytes *bytes, size_t more) {
    if (bytes->length + more > bytes->capacity) {
        bytes->capacity = bytes->length + more + bytes->length / 2;
        bytes->at = realloc(bytes->at, bytes->capacity);
        if (!bytes->at) die("realloc");
    }
    return bytes->at + bytes->length;
}

static void append(struct bytes *bytes, const void *from, size_t length) {
    if (!length) return;
    memcpy(reserve(bytes, length), from, length);
    bytes->length += length;
}

/* --- opening handshake ------------------------------------------------------------------------------------------ */

static uint32_t rotate(uint32_t word, int by) {
    return word << by | word >> (32 - by);
}

/* FIPS 180-4, section 6.1.2: one block of SHA-1. */
static void sha1_block(uint32_t *hash, const uint8_t *block) {
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t w[80], a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
    for (int t = 0; t < 16; t++) {
        uint32_t word;
        memcpy(&word, block + 4 * t, 4);
        w[t] = ntohl(word);
    }
    for (int t = 16; t < 80; t++) w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (int t = 0; t < 80; t++) {
        uint32_t f = t < 20 ? (b & c) | (~b & d) : t >= 40 && t < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
        uint32_t next = rotate(a, 5) + f + e + constants[t / 20] + w[t];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d, hash[4] += e;
}

/* RFC 6455, section 4.2.2: the 24 characters of a key to the 28 of Sec-WebSocket-Accept. */
static void accept_key(const char *key, char *accept) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t blocks[128] = {0}, digest[21] = {0};
    memcpy(blocks, key, 24);
    memcpy(blocks + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    blocks[60] = 0x80; /* the padding; the length in bits, 480, ends the second block */
    blocks[126] = 480 >> 8, blocks[127] = 480 & 0xff;
    sha1_block(hash, blocks);
    sha1_block(hash, blocks + 64);
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(hash[i / 4] >> (24 - 8 * (i % 4)));
    for (int i = 0; i < 7; i++) {
        uint32_t group = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++) accept[4 * i + j] = digits[group >> (18 - 6 * j) & 63];
    }
    accept[27] = '=';
    accept[28] = 0;
}

/* Returns how many bytes of the request were used: all of its head, or none. */
static size_t open_connection(struct connection *connection, const uint8_t *bytes, size_t length) {
    static const char name[] = "sec-websocket-key:";
    const uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end) return 0;
    char head[4097], accept[29], response[256];
    size_t size = (size_t)(end + 4 - bytes);
    if (size >= sizeof head) exit(1);
    memcpy(head, bytes, size);
    head[size] = 0;
    char *key = strcasestr(head, name);
    if (!key) exit(1);
    key += sizeof name - 1;
    accept_key(key + strspn(key, " "), accept);
    int count = snprintf(response, sizeof response,
                         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: %s\r\n\r\n",
                         accept);
    append(&connection->out, response, (size_t)count);
    connection->open = 1;
    return size;
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

static void unmask(uint8_t *to, const uint8_t *from, size_t length, const uint8_t *key) {
    uint64_t word, mask;
    memcpy(&mask, key, 4);
    memcpy((uint8_t *)&mask + 4, key, 4);
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= mask;
        memcpy(to + i, &word, 8);
    }
    for (; i < length; i++) to[i] = from[i] ^ key[i % 4];
}

/* RFC 6455, section 5.2. Returns how many bytes the frame has, or 0 if it isn't whole. */
static size_t answer_frame(struct connection *connection, const uint8_t *frame, size_t length) {
    if (length < 2) return 0;
    size_t bytes = (frame[1] & 0x7f) == 126 ? 2 : (frame[1] & 0x7f) == 127 ? 8 : 0, header = 2 + bytes;
    if (length < header + 4) return 0;
    uint64_t size = bytes ? 0 : frame[1] & 0x7f;
    for (size_t i = 0; i < bytes; i++) size = size << 8 | frame[2 + i];
    if (size > length - header - 4) return 0;

    size_t start = connection->out.length;
    uint8_t *answer = reserve(&connection->out, header + size);
    memcpy(answer, frame, header);
    answer[1] &= 0x7f;
    if ((frame[0] & 0x0f) == 9) answer[0] = 0x8a; /* ping, pong */
    unmask(answer + header, frame + header + 4, size, frame + header);
    connection->out.length += header + size;
    for (int fd = 0; broadcast && fd <= highest; fd++)
        if (everybody[fd] && everybody[fd] != connection)
            append(&everybody[fd]->out, connection->out.at + start, header + size);
    return header + 4 + size;
}

static size_t answer_all(struct connection *connection, const uint8_t *bytes, size_t length) {
    size_t used = connection->open ? 0 : open_connection(connection, bytes, length), count = used;
    while (connection->open && (count = answer_frame(connection, bytes + used, length - used))) used += count;
    return used;
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static void end(struct connection *connection) {
    everybody[connection->fd] = NULL;
    close(connection->fd);
    free(connection->in.at);
    free(connection->out.at);
    free(connection);
}

static void flush(struct connection *connection) {
    struct bytes *out = &connection->out;
    if (!out->length) return;
    ssize_t count = send(connection->fd, out->at + connection->sent, out->length - connection->sent, MSG_NOSIGNAL);
    if (count >= 0) connection->sent += (size_t)count;
    int waiting = count >= 0 ? connection->sent < out->length : errno == EAGAIN; /* else recv will tell of the end */
    if (!waiting) out->length = connection->sent = 0;
    if (waiting != connection->waiting) {
        struct epoll_event event = {.events = waiting ? EPOLLOUT : EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event)) die("epoll_ctl");
        connection->waiting = waiting;
    }
}

static void serve(struct connection *connection) {
    struct bytes *in = &connection->in;
    int kept = in->length > 0; /* the beginning of a frame */
    uint8_t *to = kept ? reserve(in, READ_SIZE) : buffer;
    ssize_t count = recv(connection->fd, to, READ_SIZE, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        end(connection);
        return;
    }
    size_t length = in->length + (size_t)count;
    size_t used = answer_all(connection, kept ? in->at : buffer, length);
    in->length = 0;
    if (!kept) {
        append(in, buffer + used, length - used);
    } else {
        memmove(in->at, in->at + used, length - used);
        in->length = length - used;
    }
    flush(connection);
    for (int fd = 0; broadcast && fd <= highest; fd++)
        if (everybody[fd]) flush(everybody[fd]);
}

static void accept_all(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection || fd >= MAX_CONNECTIONS) die("accept");
        connection->fd = fd;
        everybody[fd] = connection;
        if (fd > highest) highest = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    }
}

int main(int count, char **arguments) {
    if (count != 2) {
        fputs("arguments: echo|broadcast\n", stderr);
        return 1;
    }
    broadcast = !strcmp(arguments[1], "broadcast");
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1024)) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) die("epoll_ctl");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection) accept_all(listener);
            else if (events[i].events & EPOLLOUT) flush(connection);
            else serve(connection);
        }
    }
}
