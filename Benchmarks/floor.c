// The floor: what a relay costs that does nothing else. One epoll, edge-triggered, one shared buffer of 64 KiB; bytes, FIN and
// resets are handed on as a proxy has to, and that is all: no routing, no timeouts, no limits, no counters.
//
//   floor LISTEN-PORT BACKEND-PORT [THREADS]        both on 127.0.0.1
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 65536, EVENTS = 256, ACCEPTS = 16 };

// One side of a pair: what it still has to be sent waits in `rest`.
struct side {
  int fd;
  // A hang-up was announced: a short read does not mean that the socket is empty.
  bool readable, writable, hangs_up, ended, told;
  char *rest;
  size_t start, end;
  struct side *peer;
  struct side *next_dead;
  bool is_dead;
};

static int listener, backend_port;

static void reset(int fd) {
  struct linger now = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

// Closed at the end of the tick: an event of the other side may still be in this batch.
static void end_pair(struct side *side, struct side **dead, bool broken) {
  if (side->is_dead) return;
  if (broken) {
    reset(side->fd);
    reset(side->peer->fd);
  }
  side->is_dead = side->peer->is_dead = true;
  side->next_dead = side->peer;
  side->peer->next_dead = *dead;
  *dead = side;
}

static bool flush(struct side *sink) {
  while (sink->start < sink->end) {
    ssize_t sent = send(sink->fd, sink->rest + sink->start, sink->end - sink->start, MSG_NOSIGNAL);
    if (sent < 0) {
      sink->writable = false;
      return errno == EAGAIN;
    }
    sink->start += (size_t)sent;
  }
  return true;
}

// From one side to the other, until there is nothing to read or no room to write. False: broken.
static bool pump(struct side *source, char *buffer) {
  struct side *sink = source->peer;
  if (!flush(sink)) return false;
  while (sink->start == sink->end && source->readable) {
    ssize_t got = recv(source->fd, buffer, BUFFER, 0);
    if (got < 0) {
      source->readable = false;
      return errno == EAGAIN;
    }
    if (got == 0) {
      source->ended = true;
      source->readable = false;
      break;
    }
    if (got < BUFFER && !source->hangs_up) source->readable = false;
    ssize_t sent = sink->writable ? send(sink->fd, buffer, (size_t)got, MSG_NOSIGNAL) : 0;
    if (sent < 0) {
      if (errno != EAGAIN) return false;
      sent = 0;
    }
    if (sent < got) {
      sink->writable = false;
      if (!sink->rest) sink->rest = malloc(BUFFER);
      sink->start = 0;
      sink->end = (size_t)(got - sent);
      memcpy(sink->rest, buffer + sent, sink->end);
    }
  }
  if (source->ended && sink->start == sink->end && !sink->told) {
    sink->told = true;
    shutdown(sink->fd, SHUT_WR);
  }
  return true;
}

static struct side *make_side(int fd) {
  struct side *side = calloc(1, sizeof *side);
  int on = 1;
  side->fd = fd;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return side;
}

static void accept_some(int epoll) {
  for (int count = 0; count < ACCEPTS; count++) {
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    int backend = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)backend_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct side *a = make_side(client), *b = make_side(backend);
    a->peer = b;
    b->peer = a;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    event.data.ptr = a;
    epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
    connect(backend, (struct sockaddr *)&address, sizeof address);
    event.data.ptr = b;
    epoll_ctl(epoll, EPOLL_CTL_ADD, backend, &event);
  }
}

static void *serve(void *unused) {
  char *buffer = aligned_alloc(4096, BUFFER);
  struct epoll_event events[EVENTS], event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  event.data.ptr = NULL;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  while (true) {
    struct side *dead = NULL;
    int count = epoll_wait(epoll, events, EVENTS, -1);
    for (int index = 0; index < count; index++) {
      struct side *side = events[index].data.ptr;
      uint32_t what = events[index].events;
      if (!side) {
        accept_some(epoll);
        continue;
      }
      if (side->is_dead) continue;
      if (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->readable = true;
      if (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->hangs_up = true;
      if (what & EPOLLOUT) side->writable = true;
      if (!pump(side, buffer) || !pump(side->peer, buffer)) {
        end_pair(side, &dead, true);
      } else if (side->told && side->peer->told) {
        end_pair(side, &dead, false);
      }
    }
    while (dead) {
      struct side *next = dead->next_dead;
      close(dead->fd);
      free(dead->rest);
      free(dead);
      dead = next;
    }
  }
  return unused;
}

int main(int count, char **arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: floor LISTEN-PORT BACKEND-PORT [THREADS]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  backend_port = atoi(arguments[2]);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int on = 1;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) {
    perror("floor");
    return 1;
  }
  int threads = count > 3 ? atoi(arguments[3]) : 1;
  for (int index = 1; index < threads; index++) {
    pthread_t thread;
    pthread_create(&thread, NULL, serve, NULL);
  }
  serve(NULL);
}
