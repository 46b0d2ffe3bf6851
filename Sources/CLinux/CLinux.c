#define _GNU_SOURCE
#include "CLinux.h"
#include "Checked.h"

#include <sys/wait.h>
#include <spawn.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// ---- Addresses

int linux_address_family(const linux_address *address) { return address->socket.any.sa_family; }

int linux_address_port(const linux_address *address) {
  switch (address->socket.any.sa_family) {
  case AF_INET: return ntohs(address->socket.v4.sin_port);
  case AF_INET6: return ntohs(address->socket.v6.sin6_port);
  default: return -1;
  }
}

void linux_address_set_port(linux_address *address, uint16_t port) {
  if (address->socket.any.sa_family == AF_INET) address->socket.v4.sin_port = htons(port);
  if (address->socket.any.sa_family == AF_INET6) address->socket.v6.sin6_port = htons(port);
}

int linux_address_local(linux_address *address, const char *path) {
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof(address->socket.local.sun_path)) return -ENAMETOOLONG;
  memset(address, 0, sizeof(*address));
  address->socket.local.sun_family = AF_UNIX;
  memcpy(address->socket.local.sun_path, path, length + 1);
  address->length = offsetof(struct sockaddr_un, sun_path) + length + 1;
  return 0;
}

void linux_address_wildcard(linux_address *address, int family, uint16_t port) {
  memset(address, 0, sizeof(*address));
  address->socket.any.sa_family = (sa_family_t)family;
  address->length = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  linux_address_set_port(address, port);
}

int linux_address_format(const linux_address *address, char *into, size_t capacity) {
  char text[INET6_ADDRSTRLEN] = "";
  switch (address->socket.any.sa_family) {
  case AF_INET:
    inet_ntop(AF_INET, &address->socket.v4.sin_addr, text, sizeof(text));
    return snprintf(into, capacity, "%s:%d", text, ntohs(address->socket.v4.sin_port));
  case AF_INET6:
    inet_ntop(AF_INET6, &address->socket.v6.sin6_addr, text, sizeof(text));
    return snprintf(into, capacity, "[%s]:%d", text, ntohs(address->socket.v6.sin6_port));
  case AF_UNIX:
    // The client end of an AF_UNIX connection is usually unnamed: only the family is filled in.
    if (address->length <= offsetof(struct sockaddr_un, sun_path)) return snprintf(into, capacity, "unix:");
    return snprintf(into, capacity, "unix:%s", address->socket.local.sun_path);
  default: return snprintf(into, capacity, "unknown");
  }
}

bool linux_address_equal(const linux_address *a, const linux_address *b) {
  if (a->socket.any.sa_family != b->socket.any.sa_family) return false;
  switch (a->socket.any.sa_family) {
  case AF_INET:
    return a->socket.v4.sin_port == b->socket.v4.sin_port &&
           a->socket.v4.sin_addr.s_addr == b->socket.v4.sin_addr.s_addr;
  case AF_INET6:
    return a->socket.v6.sin6_port == b->socket.v6.sin6_port &&
           a->socket.v6.sin6_scope_id == b->socket.v6.sin6_scope_id &&
           memcmp(&a->socket.v6.sin6_addr, &b->socket.v6.sin6_addr, sizeof(struct in6_addr)) == 0;
  case AF_UNIX: return strcmp(a->socket.local.sun_path, b->socket.local.sun_path) == 0;
  default: return false;
  }
}

int linux_resolve(const char *host, uint16_t port, bool passive, linux_address *into, int capacity, int *system_error) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0};
  struct addrinfo *found = NULL;
  char service[8];
  snprintf(service, sizeof(service), "%u", port);
  int failure = getaddrinfo(host, service, &hints, &found);
  if (failure != 0) {
    *system_error = failure == EAI_SYSTEM ? errno : 0;
    return failure < 0 ? failure : -failure;
  }
  int count = 0;
  for (struct addrinfo *each = found; each != NULL && count < capacity; each = each->ai_next) {
    if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
    memset(&into[count], 0, sizeof(into[count]));
    memcpy(&into[count].socket, each->ai_addr, each->ai_addrlen);
    into[count].length = each->ai_addrlen;
    bool seen = false;
    for (int i = 0; i < count; i++) seen |= linux_address_equal(&into[i], &into[count]);
    if (!seen) count++;
  }
  freeaddrinfo(found);
  return count;
}

const char *linux_resolve_error(int negated_eai) { return gai_strerror(negated_eai); }

// ---- Sockets

int linux_stream_socket(int family) { return CHECKED(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

int linux_bind(int fd, const linux_address *address) { return CHECKED(bind(fd, &address->socket.any, address->length)); }

int linux_listen(int fd, int backlog) { return CHECKED(listen(fd, backlog)); }

int linux_connect(int fd, const linux_address *address) {
  return connect(fd, &address->socket.any, address->length) < 0 ? -errno : 0;
}

// Scatters the bits of a 64-bit number: the finalizer of MurmurHash3.
static uint32_t scattered(uint64_t bits) {
  bits = (bits ^ (bits >> 33)) * UINT64_C(0xFF51AFD7ED558CCD);
  bits = (bits ^ (bits >> 33)) * UINT64_C(0xC4CEB9FE1A85EC53);
  return (uint32_t)(bits ^ (bits >> 33));
}

static uint32_t client_hash(const struct sockaddr_storage *address) {
  uint64_t bits = 0;
  if (address->ss_family == AF_INET) {
    bits = ((const struct sockaddr_in *)address)->sin_addr.s_addr;
  } else if (address->ss_family == AF_INET6) {
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6)) {
      bits = v6->s6_addr32[3];
    } else {
      memcpy(&bits, v6, sizeof(bits));
    }
  } else {
    return 0;
  }
  return scattered(bits);
}

int linux_accept(int fd, uint32_t *client) {
  if (client == NULL) return CHECKED(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
  struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
  socklen_t length = sizeof(peer);
  int result = CHECKED(accept4(fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  *client = client_hash(&peer);
  return result;
}

int linux_local_address(int fd, linux_address *into) {
  memset(into, 0, sizeof(*into));
  into->length = sizeof(into->socket);
  return CHECKED(getsockname(fd, &into->socket.any, &into->length));
}

int linux_peer_address(int fd, linux_address *into) {
  memset(into, 0, sizeof(*into));
  into->length = sizeof(into->socket);
  return CHECKED(getpeername(fd, &into->socket.any, &into->length));
}

int linux_set_option(int fd, int level, int name, int value) {
  return CHECKED(setsockopt(fd, level, name, &value, sizeof(value)));
}

int linux_get_option(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  int result = CHECKED(getsockopt(fd, level, name, &value, &length));
  return result < 0 ? result : value;
}

int linux_set_timeout(int fd, int name, int64_t milliseconds) {
  struct timeval value = {.tv_sec = milliseconds / 1000, .tv_usec = (milliseconds % 1000) * 1000};
  return CHECKED(setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)));
}

int linux_reset_on_close(int fd) {
  struct linger value = {.l_onoff = 1, .l_linger = 0};
  return CHECKED(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value)));
}

ssize_t linux_receive(int fd, void *into, size_t capacity) { return CHECKED(recv(fd, into, capacity, 0)); }

ssize_t linux_peek(int fd) {
  char byte;
  return CHECKED(recv(fd, &byte, 1, MSG_PEEK));
}

ssize_t linux_send(int fd, const void *from, size_t count) { return CHECKED(send(fd, from, count, MSG_NOSIGNAL)); }

int linux_shutdown_write(int fd) { return CHECKED(shutdown(fd, SHUT_WR)); }

int linux_pipe(int *read_end, int *write_end) {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) return -errno;
  *read_end = ends[0];
  *write_end = ends[1];
  return 0;
}

int linux_set_pipe_size(int fd, int size) { return CHECKED(fcntl(fd, F_SETPIPE_SZ, size)); }

// Never SPLICE_F_MORE: it holds the end of a transfer back.
ssize_t linux_splice(int from, int to, size_t count) {
  return CHECKED(splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
}

int linux_unsent_bytes(int fd) {
  int value = 0;
  int result = CHECKED(ioctl(fd, SIOCOUTQ, &value));
  return result < 0 ? result : value;
}

int linux_unread_bytes(int fd) {
  int value = 0;
  int result = CHECKED(ioctl(fd, SIOCINQ, &value));
  return result < 0 ? result : value;
}

int linux_peer_credentials(int fd, uint32_t *uid, uint32_t *gid, int32_t *pid) {
  struct ucred value;
  socklen_t length = sizeof(value);
  int result = CHECKED(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &value, &length));
  if (result < 0) return result;
  *uid = value.uid;
  *gid = value.gid;
  *pid = value.pid;
  return 0;
}

int linux_peer_groups(int fd, uint32_t *into, int capacity) {
  socklen_t length = (socklen_t)capacity * sizeof(gid_t);
  int result = CHECKED(getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, into, &length));
  return result < 0 ? result : (int)(length / sizeof(gid_t));
}

// ---- Child processes -------------------------------------------------------------------------------------------

int linux_spawn_shell(const char *command) {
  extern char **environ;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t usual, none;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, 2, 1);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  char *const arguments[] = {"sh", "-c", (char *)command, NULL};
  pid_t pid = 0;
  int error = posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error ? -error : pid;
}

int linux_spawn_guard(int group, int *keep) {
  extern char **environ;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int ends[2];
  char number[16];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  snprintf(number, sizeof number, "%d", group);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  // Out of reach of what a terminal sends to the group of its program.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  char *const arguments[] = {
      "sh", "-c", "read -r line || { kill -TERM -\"$0\"; sleep 2; kill -KILL -\"$0\"; }", number, NULL};
  pid_t pid = 0;
  int error = posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[0]);
  if (error) {
    close(ends[1]);
    return -error;
  }
  *keep = ends[1];
  return pid;
}

int linux_try_wait(int pid, int *code) {
  int status = 0;
  int result = CHECKED(waitpid(pid, &status, WNOHANG));
  if (result <= 0) return result;
  *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return 1;
}

int linux_signal_group(int pid, int number) { return CHECKED(kill(-pid, number)); }

static volatile sig_atomic_t interrupted_group;

static void pass_interrupt(int number) {
  if (interrupted_group > 0) kill(-interrupted_group, SIGTERM);
  // Blocked while this runs, so it ends the process as soon as this returns.
  signal(number, SIG_DFL);
  raise(number);
}

void linux_pass_interrupts_to(int pid) {
  interrupted_group = pid;
  const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  for (int i = 0; i < 3; i++) {
    struct sigaction action = {.sa_handler = pid > 0 ? pass_interrupt : SIG_DFL}, before;
    // Who started this with a signal ignored, nohup(1) say, wants it ignored.
    if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigemptyset(&action.sa_mask);
    sigaction(numbers[i], &action, NULL);
  }
}

// ---- Readiness

int linux_epoll_create(void) { return CHECKED(epoll_create1(EPOLL_CLOEXEC)); }

int linux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
  struct epoll_event event = {.events = events, .data.u64 = token};
  return CHECKED(epoll_ctl(epoll, operation, fd, &event));
}

int linux_epoll_wait(int epoll, struct epoll_event *into, int capacity, int timeout_milliseconds) {
  int count = epoll_wait(epoll, into, capacity, timeout_milliseconds);
  if (count >= 0) return count;
  return errno == EINTR ? 0 : -errno;
}

int linux_eventfd(void) { return CHECKED(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

int linux_eventfd_signal(int fd) {
  uint64_t one = 1;
  // EAGAIN: the counter is full, so the reader has been woken long ago.
  ssize_t result = CHECKED(write(fd, &one, sizeof(one)));
  return result < 0 && result != -EAGAIN ? (int)result : 0;
}

int linux_eventfd_drain(int fd) {
  uint64_t count;
  ssize_t result = CHECKED(read(fd, &count, sizeof(count)));
  return result < 0 && result != -EAGAIN ? (int)result : 0;
}

int linux_signalfd(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  int failure = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (failure != 0) return -failure;
  return CHECKED(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

int linux_signalfd_next(int fd, int *pid, uint32_t *uid) {
  struct signalfd_siginfo info;
  ssize_t result = CHECKED(read(fd, &info, sizeof(info)));
  if (result == -EAGAIN) return 0;
  if (result < 0) return (int)result;
  *pid = (int)info.ssi_pid;
  *uid = info.ssi_uid;
  return (int)info.ssi_signo;
}

// ---- Files

int linux_close(int fd) { return close(fd) < 0 ? -errno : 0; }

int linux_open(const char *path, int flags, uint32_t mode) { return CHECKED(open(path, flags | O_CLOEXEC, (mode_t)mode)); }

ssize_t linux_read(int fd, void *into, size_t capacity) { return CHECKED(read(fd, into, capacity)); }

ssize_t linux_write(int fd, const void *from, size_t count) { return CHECKED(write(fd, from, count)); }

int linux_sync(int fd) { return CHECKED(fsync(fd)); }

int linux_rename(const char *from, const char *to) { return CHECKED(rename(from, to)); }

int linux_unlink(const char *path) { return CHECKED(unlink(path)); }

int linux_make_folder(const char *path, uint32_t mode) { return CHECKED(mkdir(path, (mode_t)mode)); }

int linux_change_mode(const char *path, uint32_t mode) { return CHECKED(chmod(path, (mode_t)mode)); }

int linux_change_group(const char *path, uint32_t group) { return CHECKED(chown(path, (uid_t)-1, (gid_t)group)); }

int linux_try_lock(int fd) { return CHECKED(flock(fd, LOCK_EX | LOCK_NB)); }

int linux_stat(const char *path, uint32_t *mode, uint32_t *uid, uint32_t *gid, uint64_t *device, uint64_t *inode) {
  struct stat value;
  int result = CHECKED(stat(path, &value));
  if (result < 0) return result;
  *mode = value.st_mode;
  *uid = value.st_uid;
  *gid = value.st_gid;
  *device = value.st_dev;
  *inode = value.st_ino;
  return 0;
}

int64_t linux_group_named(const char *name) {
  size_t capacity = 16384;
  struct group entry, *found = NULL;
  for (;;) {
    char *buffer = malloc(capacity);
    if (buffer == NULL) return -ENOMEM;
    int failure = getgrnam_r(name, &entry, buffer, capacity, &found);
    int64_t id = found != NULL ? (int64_t)found->gr_gid : -ENOENT;
    free(buffer);
    if (failure == ERANGE && capacity < (1u << 24)) {
      capacity *= 4;
      continue;
    }
    return failure != 0 ? -failure : id;
  }
}

// ---- Process

uint64_t linux_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t linux_realtime_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void linux_format_time(int64_t microseconds, char *into) {
  int64_t rest = microseconds % 1000000;
  time_t seconds = microseconds / 1000000 - (rest < 0);
  struct tm parts;
  gmtime_r(&seconds, &parts);
  size_t length = strftime(into, 30, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(into + length, 8, ".%03dZ", (int)((rest < 0 ? rest + 1000000 : rest) / 1000));
}

int64_t linux_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
  if (limit.rlim_cur < limit.rlim_max) {
    struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  // RLIM_INFINITY does not fit the callers' arithmetic, and no process holds a thousand million descriptors.
  return limit.rlim_cur > 1000000000u ? 1000000000 : (int64_t)limit.rlim_cur;
}

int linux_processor_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) < 0) return (int)sysconf(_SC_NPROCESSORS_ONLN);
  return CPU_COUNT(&set);
}

void linux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int linux_online_processor_count(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }

int linux_page_size(void) { return (int)sysconf(_SC_PAGESIZE); }

void linux_ignore_broken_pipe(void) { signal(SIGPIPE, SIG_IGN); }

int linux_notify(const char *path, const char *message) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof(address.sun_path)) return -ENAMETOOLONG;
  memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = 0;
  int fd = CHECKED(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return fd;
  socklen_t size = offsetof(struct sockaddr_un, sun_path) + length;
  ssize_t sent = CHECKED(sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, size));
  close(fd);
  return sent < 0 ? (int)sent : 0;
}
