// What wrk and curl do not measure, as an HTTP/1.1 client of 127.0.0.1.
//
//     client down PORT BYTES       GET /bulk?bytes=BYTES; the body is discarded in the kernel, not even copied
//     client up PORT BYTES         PUT of BYTES bytes
//     client hold PORT SESSIONS    opens keep-alive sessions that each ask once, prints `ready`, holds them until its
//                                  standard input ends
//     client probe PORT keep|close asks again and again, on one connection or on one each. Whenever the answer is
//                                  another than before: a line `LAST_ASKED ANSWERED BODY`, when the last request that
//                                  had the old answer began and when the new answer was here, in nanoseconds
//
// The first two print the seconds they took. Any answer other than 200, and any error, ends them with exit code 1.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, HEAD = 4096 };

static char buffer[BUFFER];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    int on = 1, connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Nothing here may take longer than this; a proxy that lost a byte would have it wait for ever.
    struct timeval patience = {30, 0};
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return connection;
}

static void send_all(int connection, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(connection, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("send");
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void discard(int connection, unsigned long long size) {
    while (size > 0) {
        ssize_t got = recv(connection, buffer, size < BUFFER ? (size_t)size : BUFFER, MSG_TRUNC);
        if (got <= 0)
            fail("recv");
        size -= (unsigned long long)got;
    }
}

// Reads a head; returns how many bytes of the body have come with it, at `*start`, and the body's size in `*size`.
static size_t read_head(int connection, char *head, char **start, unsigned long long *size) {
    size_t filled = 0;
    for (;;) {
        ssize_t got = recv(connection, head + filled, HEAD - filled, 0);
        if (got <= 0)
            fail("recv of a head");
        filled += (size_t)got;
        head[filled] = 0;
        char *end = strstr(head, "\r\n\r\n");
        if (!end)
            continue;
        char *length = strcasestr(head, "\ncontent-length:");
        if (strncmp(head, "HTTP/1.1 200 ", 13) || !length || length > end) {
            fprintf(stderr, "unexpected answer: %s\n", head);
            exit(1);
        }
        *size = strtoull(length + strlen("\ncontent-length:"), NULL, 10);
        *start = end + 4;
        return filled - (size_t)(end + 4 - head);
    }
}

// One small request and its answer's body, with its line feed taken off.
static char *ask(int connection, int port, bool closes) {
    static char head[HEAD + 1];
    char request[128], *start;
    unsigned long long size;
    int length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", port,
                          closes ? "Connection: close\r\n" : "");
    send_all(connection, request, (size_t)length);
    size_t got = read_head(connection, head, &start, &size);
    if (size > 256)
        fail("a small answer is not small");
    for (ssize_t more; got < size; got += (size_t)more)
        if ((more = recv(connection, start + got, size - got, 0)) <= 0)
            fail("recv");
    start[size > 0 ? size - 1 : 0] = 0;
    return start;
}

static double transfer(int port, unsigned long long bytes, bool up) {
    char request[160], head[HEAD + 1], *start;
    unsigned long long size;
    int length = snprintf(request, sizeof request,
                          up ? "PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %llu\r\n\r\n"
                             : "GET /bulk?bytes=%llu HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", bytes);
    memset(buffer, 'u', BUFFER);
    int connection = connect_to(port);
    long long began = now();
    send_all(connection, request, (size_t)length);
    for (unsigned long long left = up ? bytes : 0; left > 0; left -= left < BUFFER ? left : BUFFER)
        send_all(connection, buffer, left < BUFFER ? (size_t)left : BUFFER);
    size_t got = read_head(connection, head, &start, &size);
    if (!up && size != bytes)
        fail("another size than asked for");
    discard(connection, size - got);
    return (double)(now() - began) / 1e9;
}

static void hold(int port, int sessions) {
    for (int i = 0; i < sessions; i++)
        ask(connect_to(port), port, false);
    printf("ready\n");
    fflush(stdout);
    while (read(STDIN_FILENO, buffer, BUFFER) > 0)
        ;
}

static void probe(int port, bool closes) {
    char seen[256] = "";
    int connection = closes ? -1 : connect_to(port);
    long long last_asked = now();
    // Until whoever reads the lines has closed the standard input.
    for (struct pollfd input = {STDIN_FILENO, POLLIN, 0}; poll(&input, 1, 0) == 0;) {
        long long asked = now();
        if (closes)
            connection = connect_to(port);
        char *answer = ask(connection, port, closes);
        if (strcmp(seen, answer)) {
            printf("%lld %lld %s\n", last_asked, now(), answer);
            fflush(stdout);
            snprintf(seen, sizeof seen, "%s", answer);
        }
        last_asked = asked;
        if (closes)
            close(connection);
    }
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: client down|up PORT BYTES | hold PORT SESSIONS | probe PORT keep|close\n");
        return 2;
    }
    const char *mode = arguments[1], *what = arguments[3];
    int port = atoi(arguments[2]);
    if (!strcmp(mode, "hold"))
        hold(port, atoi(what));
    else if (!strcmp(mode, "probe"))
        probe(port, !strcmp(what, "close"));
    else
        printf("%.6f\n", transfer(port, strtoull(what, NULL, 10), !strcmp(mode, "up")));
}
