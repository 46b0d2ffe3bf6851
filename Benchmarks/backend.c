// A backend as cheap as one can be, so that what is measured is the proxy before it.
//
//     backend [-t THREADS] [-b BODY] PORT
//
//     GET /                 a small fixed answer: BODY and a line feed
//     GET /bulk?bytes=N     N bytes out of a static buffer
//     PUT or POST, any      swallows the body (Content-Length only), then the small answer
//
// HTTP/1.0 and 1.1 with keep-alive, pipelining and `Connection: close`, on 127.0.0.1. It trusts its clients: it is for
// benchmarks alone.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD = 4096, BULK = 1 << 20, EVENTS = 256, TURNS = 16 };

struct connection {
    int socket;
    bool hup;                       // the client's FIN has been announced: read until it comes
    bool closes;                    // after the answer under way
    size_t filled;                  // of `input`
    unsigned long long swallow;     // bytes of a request's body still to come; then the answer is due
    bool answer_due;
    size_t reply_size, reply_sent;  // the head of the answer, and the whole of a small one
    unsigned long long bulk;        // bytes of the static buffer still to send after it
    char reply[256];
    char input[HEAD + 1];
};

static int listener;
static const char *body = "fixed";
static char bulk_bytes[BULK];
static const uint32_t interest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

// False where it would block, or is broken: the connection's next event tells.
static bool send_all(struct connection *c) {
    while (c->reply_sent < c->reply_size || c->bulk) {
        bool small = c->reply_sent < c->reply_size;
        const char *from = small ? c->reply + c->reply_sent : bulk_bytes;
        size_t size = small ? c->reply_size - c->reply_sent : c->bulk < BULK ? c->bulk : BULK;
        ssize_t sent = send(c->socket, from, size, MSG_NOSIGNAL | (small && c->bulk ? MSG_MORE : 0));
        if (sent < 0)
            return false;
        if (small)
            c->reply_sent += (size_t)sent;
        else
            c->bulk -= (unsigned long long)sent;
    }
    c->reply_sent = c->reply_size = 0;
    return true;
}

static void answer(struct connection *c, const char *status, bool has_body, unsigned long long bulk) {
    const char *close = c->closes ? "Connection: close\r\n" : "";
    c->bulk = bulk;
    c->reply_size = (size_t)snprintf(
        c->reply, sizeof c->reply, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n%s\r\n%s%s",
        status, has_body ? strlen(body) + 1 : bulk, close, has_body ? body : "", has_body ? "\n" : "");
}

// A field's value in the head, or NULL.
static const char *field(const char *head, const char *name) {
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, strlen(name)) && line[2 + strlen(name)] == ':')
            return line + 3 + strlen(name) + strspn(line + 3 + strlen(name), " ");
    return NULL;
}

// Takes a request's head out of the input. False where there is no whole one yet.
static bool take_request(struct connection *c) {
    c->input[c->filled] = 0;
    char *end = strstr(c->input, "\r\n\r\n");
    if (!end) {
        if (c->filled == HEAD) {
            c->closes = true;
            answer(c, "431 Request Header Fields Too Large", false, 0);
            return true;
        }
        return false;
    }
    end[2] = 0;     // the head, with its last line's end
    const char *connection = field(c->input, "connection"), *length = field(c->input, "content-length");
    const char *first = strstr(c->input, "\r\n"), *bulk = strstr(c->input, "/bulk?bytes=");
    if (first - c->input > 8 && !strncmp(first - 8, "HTTP/1.0", 8))
        c->closes = !connection || strncasecmp(connection, "keep-alive", 10);
    else
        c->closes = connection && !strncasecmp(connection, "close", 5);
    if (field(c->input, "transfer-encoding")) {
        c->closes = true;
        answer(c, "411 Length Required", false, 0);
    } else if (length && strtoull(length, NULL, 10) > 0) {
        c->swallow = strtoull(length, NULL, 10);
        c->answer_due = true;
        if (field(c->input, "expect") && send(c->socket, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) < 0)
            c->closes = true;
    } else if (bulk && bulk < first) {
        answer(c, "200 OK", false, strtoull(bulk + strlen("/bulk?bytes="), NULL, 10));
    } else {
        answer(c, "200 OK", true, 0);
    }
    size_t size = (size_t)(end + 4 - c->input);
    c->filled -= size;
    memmove(c->input, end + 4, c->filled);
    return true;
}

// Body bytes that came with the head, or are among the next request's.
static void swallow_input(struct connection *c) {
    size_t size = c->swallow < c->filled ? (size_t)c->swallow : c->filled;
    c->swallow -= size;
    c->filled -= size;
    memmove(c->input, c->input + size, c->filled);
}

static void end_connection(struct connection *c) {
    close(c->socket);
    free(c);
}

// Goes on until there is nothing to read or nothing can be written; an edge-triggered event comes only then.
static void run(int epoll, struct connection *c, char *scratch) {
    for (int turn = 0;; turn++) {
        if (!send_all(c)) {
            if (errno != EAGAIN)
                end_connection(c);
            return;
        }
        swallow_input(c);
        if (c->answer_due && !c->swallow) {
            c->answer_due = false;
            answer(c, "200 OK", true, 0);
            continue;
        }
        if (c->closes && !c->swallow)
            return end_connection(c);
        if (!c->swallow && take_request(c))
            continue;
        if (turn >= TURNS) {
            // Others have their turn. To modify an edge-triggered registration reports what is ready once more.
            struct epoll_event event = {interest, {.ptr = c}};
            epoll_ctl(epoll, EPOLL_CTL_MOD, c->socket, &event);
            return;
        }
        bool is_body = c->swallow > HEAD;
        size_t room = is_body ? (c->swallow < BULK ? (size_t)c->swallow : BULK) : HEAD - c->filled;
        ssize_t got = recv(c->socket, is_body ? scratch : c->input + c->filled, room, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            return end_connection(c);
        if (is_body)
            c->swallow -= (unsigned long long)got;
        else
            c->filled += (size_t)got;
        // A short read has emptied the socket; but what it brought has to be looked at.
        if ((size_t)got < room && !c->hup) {
            if (is_body)
                return;
            swallow_input(c);
            if (c->swallow || (!c->answer_due && !take_request(c)))
                return;
        }
    }
}

static void accept_one(int epoll) {
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0)
        return;
    struct connection *c = malloc(sizeof *c);
    if (!c)
        fail("malloc");
    memset(c, 0, offsetof(struct connection, input));
    c->socket = socket;
    struct epoll_event event = {interest, {.ptr = c}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) < 0)
        fail("epoll_ctl");
}

static void *work(void *unused) {
    (void)unused;
    char *scratch = malloc(BULK);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS] = {{EPOLLIN | EPOLLEXCLUSIVE, {.ptr = NULL}}};
    if (!scratch || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, events) < 0)
        fail("worker");
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                accept_one(epoll);
                continue;
            }
            if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                c->hup = true;
            run(epoll, c, scratch);     // a connection has one registration: no later event of the batch is its own
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    int threads = 1, option, on = 1;
    while ((option = getopt(count, arguments, "t:b:")) != -1) {
        if (option == 'b')
            body = optarg;
        else
            threads = option == 't' ? atoi(optarg) : 0;
    }
    if (threads < 1 || count - optind != 1 || strlen(body) > 64) {
        fprintf(stderr, "usage: backend [-t THREADS] [-b BODY] PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    memset(bulk_bytes, 'b', BULK);      // untouched, all of it would be the kernel's one page of zeros
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)atoi(arguments[optind]))};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);     // accepted sockets inherit it
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0)
        fail("listen");
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) != 0)
            fail("pthread_create");
    }
    work(NULL);
}
