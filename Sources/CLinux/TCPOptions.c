#define _GNU_SOURCE
#include "CLinux.h"
#include "Checked.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

void linux_name_congestion(linux_tcp_options *options, const char *name) {
  snprintf(options->congestion, sizeof(options->congestion), "%s", name);
}

int linux_set_congestion(int fd, const char *name) {
  return CHECKED(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)));
}

int linux_congestion(int fd, char *into) {
  memset(into, 0, 16);
  socklen_t length = 15;
  return CHECKED(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, into, &length));
}

// A socket that was just made has the system's default.
static int reset_congestion(int fd) {
  char name[16];
  int fresh = CHECKED(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fresh < 0) return fresh;
  int result = linux_congestion(fresh, name);
  close(fresh);
  return result < 0 ? result : linux_set_congestion(fd, name);
}

int linux_set_tcp_options(int fd, const linux_tcp_options *options, bool resets) {
  int failure = 0;
#define NOTE(call)                                                                                                     \
  do {                                                                                                                 \
    int result_ = (call);                                                                                              \
    if (result_ < 0 && failure == 0) failure = result_;                                                                \
  } while (0)
  if (options->congestion[0] != 0) NOTE(linux_set_congestion(fd, options->congestion));
  else if (resets) NOTE(reset_congestion(fd));
  if (options->keepalive_idle > 0) {
    NOTE(linux_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
    NOTE(linux_set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, options->keepalive_idle));
    NOTE(linux_set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, options->keepalive_interval));
    NOTE(linux_set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_count));
  } else if (resets) {
    // Without SO_KEEPALIVE the three times mean nothing.
    NOTE(linux_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0));
  }
  if (options->user_timeout > 0 || resets)
    NOTE(linux_set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout));
  if (options->defer_accept > 0 || resets)
    NOTE(linux_set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, options->defer_accept));
#undef NOTE
  return failure;
}

int linux_bind_source(int fd, const linux_address *address) {
  int result = linux_set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  return result < 0 ? result : linux_bind(fd, address);
}
