// A cheap backend, the same for every proxy, and two clients that are cheaper than curl and wrk.
//
//   backend serve PORT [THREADS [TEXT]]    HTTP/1.1 with keep-alive and pipelining:
//                                            GET /          a few bytes
//                                            GET /bulk/N    N bytes
//                                            POST           takes Content-Length bytes, answers with a few
//   backend get PORT BYTES          asks for /bulk/BYTES and throws them away in the kernel: MSG_TRUNC, tcp(7)
//   backend put PORT BYTES          sends so many and waits for the answer
//   backend both PORT BYTES         the two at once, on two connections
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

enum { BLOCK = 1 << 20, HEAD = 16384, EVENTS = 256 };

static char block[BLOCK];
static int listener;
static char small_answer[256], last_answer[256];
static size_t small_length, last_length;

struct connection {
  int fd;
  // Of the body that comes, and of what goes.
  uint64_t to_swallow, to_send;
  bool answers_body, closes;
  size_t held;
  char head[HEAD];
};

static bool send_all(int fd, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      // Small answers: the socket is never full of them for long.
      usleep(100);
      continue;
    }
    if (sent <= 0) return false;
    bytes += sent;
    count -= (size_t)sent;
  }
  return true;
}

// Answers one head; false: the connection is over.
static bool answer(struct connection *one, char *head) {
  char text[256];
  one->closes = strcasestr(head, "\r\nconnection: close") != NULL;
  if (strncmp(head, "GET /bulk/", 10) == 0) {
    one->to_send = strtoull(head + 10, NULL, 10);
    int length = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                          (unsigned long long)one->to_send);
    return send_all(one->fd, text, (size_t)length);
  }
  char *field = strcasestr(head, "\r\ncontent-length:");
  if (field && (one->to_swallow = strtoull(field + 17, NULL, 10)) > 0) {
    one->answers_body = true;
    return strcasestr(head, "100-continue") == NULL || send_all(one->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
  }
  return one->closes ? send_all(one->fd, last_answer, last_length) : send_all(one->fd, small_answer, small_length);
}

static void write_answers(const char *text) {
  const char *form = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%sContent-Length: %zu\r\n\r\n%s\n";
  small_length = (size_t)snprintf(small_answer, sizeof small_answer, form, "", strlen(text) + 1, text);
  last_length = (size_t)snprintf(last_answer, sizeof last_answer, form, "Connection: close\r\n", strlen(text) + 1, text);
}

// Whatever is possible now; false: the connection is over.
static bool work(struct connection *one) {
  while (true) {
    while (one->to_send > 0) {
      ssize_t sent = send(one->fd, block, one->to_send < BLOCK ? one->to_send : BLOCK, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
      one->to_send -= (uint64_t)sent;
    }
    if (one->to_swallow > 0 && one->held == 0) {
      ssize_t got = recv(one->fd, NULL, one->to_swallow < BLOCK ? one->to_swallow : BLOCK, MSG_TRUNC);
      if (got <= 0) return got < 0 && errno == EAGAIN;
      one->to_swallow -= (uint64_t)got;
    }
    if (one->to_swallow > 0 && one->held > 0) {
      size_t part = one->held < one->to_swallow ? one->held : (size_t)one->to_swallow;
      memmove(one->head, one->head + part, one->held - part);
      one->held -= part;
      one->to_swallow -= part;
    }
    if (one->to_swallow > 0) continue;
    if (one->answers_body) {
      one->answers_body = false;
      if (!send_all(one->fd, small_answer, small_length)) return false;
    }
    if (one->closes) return false;
    one->head[one->held] = 0;
    char *end = one->held ? strstr(one->head, "\r\n\r\n") : NULL;
    if (end) {
      end[2] = 0;
      size_t used = (size_t)(end + 4 - one->head);
      if (!answer(one, one->head)) return false;
      memmove(one->head, one->head + used, one->held - used);
      one->held -= used;
      continue;
    }
    if (one->held == HEAD - 1) return false;
    ssize_t got = recv(one->fd, one->head + one->held, HEAD - 1 - one->held, 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    one->held += (size_t)got;
  }
}

static void *serve(void *unused) {
  struct epoll_event events[EVENTS], event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
  int epoll = epoll_create1(EPOLL_CLOEXEC), on = 1;
  event.data.ptr = NULL;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  while (true) {
    int count = epoll_wait(epoll, events, EVENTS, -1);
    for (int index = 0; index < count; index++) {
      struct connection *one = events[index].data.ptr;
      if (one) {
        if (!work(one)) {
          close(one->fd);
          free(one);
        }
        continue;
      }
      int fd;
      while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        one = calloc(1, sizeof *one);
        one->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        event.data.ptr = one;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
      }
    }
  }
  return unused;
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int connected(int port) {
  struct sockaddr_in address = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror("backend");
    exit(1);
  }
  return fd;
}

static void fail(const char *what) {
  fprintf(stderr, "backend: %s\n", what);
  exit(1);
}

struct transfer {
  int port;
  uint64_t bytes;
};

static void *get(void *argument) {
  struct transfer *wanted = argument;
  char head[256];
  int fd = connected(wanted->port), used = 0;
  dprintf(fd, "GET /bulk/%llu HTTP/1.1\r\nHost: a\r\n\r\n", (unsigned long long)wanted->bytes);
  // Byte by byte: what follows the head is thrown away in the kernel.
  while (used < 255 && recv(fd, head + used, 1, 0) == 1 && !(used > 2 && memcmp(head + used - 3, "\r\n\r\n", 4) == 0)) used++;
  if (strncmp(head, "HTTP/1.1 200", 12) != 0) fail("no answer to GET");
  uint64_t left = wanted->bytes;
  while (left > 0) {
    ssize_t got = recv(fd, NULL, left < BLOCK ? left : BLOCK, MSG_TRUNC);
    if (got <= 0) fail("the answer was cut short");
    left -= (uint64_t)got;
  }
  close(fd);
  return NULL;
}

static void *put(void *argument) {
  struct transfer *wanted = argument;
  char head[256] = "";
  int fd = connected(wanted->port);
  dprintf(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %llu\r\n\r\n", (unsigned long long)wanted->bytes);
  for (uint64_t left = wanted->bytes; left > 0;) {
    ssize_t sent = send(fd, block, left < BLOCK ? left : BLOCK, MSG_NOSIGNAL);
    if (sent <= 0) fail("the body was not taken");
    left -= (uint64_t)sent;
  }
  if (recv(fd, head, sizeof head - 1, 0) <= 0 || strncmp(head, "HTTP/1.1 200", 12) != 0) fail("no answer to POST");
  close(fd);
  return NULL;
}

int main(int count, char **arguments) {
  if (count < 3) fail("usage: backend serve|get|put|both PORT [THREADS|BYTES]");
  signal(SIGPIPE, SIG_IGN);
  const char *verb = arguments[1];
  struct transfer wanted = {atoi(arguments[2]), count > 3 ? strtoull(arguments[3], NULL, 10) : 1};
  pthread_t thread;
  if (strcmp(verb, "serve") == 0) {
    write_answers(count > 4 ? arguments[4] : "App v1");
    struct sockaddr_in address = loopback(wanted.port);
    int on = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) {
      perror("backend");
      return 1;
    }
    for (uint64_t index = 1; index < wanted.bytes; index++) pthread_create(&thread, NULL, serve, NULL);
    serve(NULL);
  } else if (strcmp(verb, "get") == 0) {
    get(&wanted);
  } else if (strcmp(verb, "put") == 0) {
    put(&wanted);
  } else {
    pthread_create(&thread, NULL, put, &wanted);
    get(&wanted);
    pthread_join(thread, NULL);
  }
  return 0;
}
