// The floor: a forwarder that does as little as one can. What a proxy costs beyond it is the proxy's own.
//
//     floor [-t THREADS] LISTEN_PORT BACKEND_PORT
//
// Edge-triggered epoll, one buffer of 64 KiB a thread, one backend, everything on 127.0.0.1. No limits, no timeouts, no
// log; but it keeps every byte, passes on a FIN in either direction and a reset as a reset.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, EVENTS = 256, TURNS = 16 };

// One direction: what `from` has sent goes to `to`.
struct flow {
    int from, to;
    bool writable;      // false from a write that would block until the event that says otherwise
    bool hup;           // the sender's FIN has been announced: read until it comes
    bool ended;         // it has come, and was passed on
    char *left;         // what a partial write has left of the buffer, and how much
    size_t left_at, left_size;
};

struct session;

// What an event points to: one of a session's two sockets.
struct end {
    struct session *session;
    struct flow *in, *out;
};

struct session {
    struct flow up, down;
    struct end client, backend;
    bool is_dead;
    struct session *next_dead;
};

static int listener;
static struct sockaddr_in backend_address;
static const uint32_t interest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

struct worker {
    int epoll;
    struct session *dead;   // freed after the batch: a later event of the batch may still point to one
    char buffer[BUFFER];
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void end_session(struct worker *worker, struct session *session, bool reset) {
    if (session->is_dead)
        return;
    int sockets[] = {session->up.from, session->up.to};
    for (int i = 0; i < 2; i++) {
        struct linger now = {1, 0};
        if (reset)
            setsockopt(sockets[i], SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(sockets[i]);
    }
    session->is_dead = true;
    session->next_dead = worker->dead;
    worker->dead = session;
}

// Writes and keeps what did not fit. False where the session is broken.
static bool write_out(struct flow *flow, const char *bytes, size_t size) {
    ssize_t sent = send(flow->to, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return false;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == size) {
        free(flow->left);
        flow->left = NULL;
        return true;
    }
    flow->writable = false;
    if (!flow->left) {
        flow->left = malloc(size - done);
        if (!flow->left)
            return false;
        memcpy(flow->left, bytes + done, size - done);
        flow->left_at = 0;
        flow->left_size = size - done;
    } else {
        flow->left_at += done;
    }
    return true;
}

static void pump(struct worker *worker, struct end *end, struct flow *flow) {
    struct session *session = end->session;
    for (int turn = 0; flow->writable && !flow->ended; turn++) {
        if (flow->left) {
            if (!write_out(flow, flow->left + flow->left_at, flow->left_size - flow->left_at))
                return end_session(worker, session, true);
            continue;
        }
        if (turn >= TURNS) {
            // Others have their turn. To modify an edge-triggered registration reports what is ready once more.
            struct epoll_event event = {interest, {.ptr = flow == &session->up ? &session->client : &session->backend}};
            epoll_ctl(worker->epoll, EPOLL_CTL_MOD, flow->from, &event);
            return;
        }
        ssize_t got = recv(flow->from, worker->buffer, BUFFER, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0)
            return end_session(worker, session, true);
        if (got == 0) {
            flow->ended = true;
            if (session->up.ended && session->down.ended)
                return end_session(worker, session, false);
            shutdown(flow->to, SHUT_WR);
            return;
        }
        if (!write_out(flow, worker->buffer, (size_t)got))
            return end_session(worker, session, true);
        // A short read has emptied the socket: what comes later is a new edge, and so is a FIN not yet announced.
        if (got < BUFFER && !flow->hup && !flow->left)
            return;
    }
}

static void handle(struct worker *worker, struct end *end, uint32_t events) {
    struct session *session = end->session;
    if (session->is_dead)
        return;
    if (events & EPOLLERR)
        return end_session(worker, session, true);
    if (events & (EPOLLRDHUP | EPOLLHUP))
        end->in->hup = true;
    if (events & EPOLLOUT && !end->out->writable) {
        end->out->writable = true;
        pump(worker, end, end->out);
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP) && !session->is_dead)
        pump(worker, end, end->in);
}

static void add(int epoll, int socket, struct end *end) {
    struct epoll_event event = {interest, {.ptr = end}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) < 0)
        fail("epoll_ctl");
}

static void accept_one(struct worker *worker) {
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    int backend = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct session *session = calloc(1, sizeof *session);
    if (backend < 0 || !session)
        fail("session");
    setsockopt(backend, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    session->up = (struct flow){.from = client, .to = backend};     // writable once it is connected
    session->down = (struct flow){.from = backend, .to = client, .writable = true};
    session->client = (struct end){session, &session->up, &session->down};
    session->backend = (struct end){session, &session->down, &session->up};
    if (connect(backend, (struct sockaddr *)&backend_address, sizeof backend_address) < 0 && errno != EINPROGRESS)
        return end_session(worker, session, true);
    add(worker->epoll, backend, &session->backend);
    add(worker->epoll, client, &session->client);
}

static void *work(void *unused) {
    (void)unused;
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker || (worker->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        fail("worker");
    struct epoll_event events[EVENTS] = {{EPOLLIN | EPOLLEXCLUSIVE, {.ptr = NULL}}};
    if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, listener, events) < 0)
        fail("epoll_ctl");
    for (;;) {
        int count = epoll_wait(worker->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                handle(worker, events[i].data.ptr, events[i].events);
            else
                accept_one(worker);
        }
        while (worker->dead) {
            struct session *session = worker->dead;
            worker->dead = session->next_dead;
            free(session->up.left);
            free(session->down.left);
            free(session);
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    int threads = 1, option, on = 1;
    while ((option = getopt(count, arguments, "t:")) != -1)
        threads = option == 't' ? atoi(optarg) : 0;
    if (threads < 1 || count - optind != 2) {
        fprintf(stderr, "usage: floor [-t THREADS] LISTEN_PORT BACKEND_PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    backend_address = address;
    address.sin_port = htons((uint16_t)atoi(arguments[optind]));
    backend_address.sin_port = htons((uint16_t)atoi(arguments[optind + 1]));
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
