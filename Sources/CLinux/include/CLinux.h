// What the Glibc module hides or spells awkwardly, as plain functions.
//
// Contract of every function that returns `int` or `ssize_t` and can fail: the result on success (0 or more), the
// negated errno on failure. errno itself is never read from Swift, so nothing can overwrite it in between. EINTR is
// retried here, except where noted.
#ifndef BGPROXY_CLINUX_H
#define BGPROXY_CLINUX_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <termios.h>

// ---- Addresses ------------------------------------------------------------------------------------------------

/// A socket address of any family used here, with its length.
typedef struct linux_address {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
  } socket;
  socklen_t length;
} linux_address;

int linux_address_family(const linux_address *address);
/// The port in host order, or -1 where the family has none.
int linux_address_port(const linux_address *address);
void linux_address_set_port(linux_address *address, uint16_t port);
/// Fills in an AF_UNIX address. -ENAMETOOLONG where the path does not fit in sun_path.
int linux_address_local(linux_address *address, const char *path);
/// The wildcard address of AF_INET or AF_INET6.
void linux_address_wildcard(linux_address *address, int family, uint16_t port);
/// Writes `1.2.3.4:80`, `[::1]:80` or `unix:/path`, NUL-terminated; answers the length.
int linux_address_format(const linux_address *address, char *into, size_t capacity);
bool linux_address_equal(const linux_address *a, const linux_address *b);
/// getaddrinfo(3) for stream sockets. Answers the number of addresses stored, or a negated EAI_ code; where that is
/// EAI_SYSTEM, `system_error` holds the errno. `host` NULL with `passive`: the wildcard addresses.
int linux_resolve(const char *host, uint16_t port, bool passive, linux_address *into, int capacity, int *system_error);
const char *linux_resolve_error(int negated_eai);

// ---- Sockets --------------------------------------------------------------------------------------------------

/// A non-blocking, close-on-exec stream socket.
int linux_stream_socket(int family);
int linux_bind(int fd, const linux_address *address);
int linux_listen(int fd, int backlog);
/// connect(2); -EINPROGRESS is the usual answer for TCP. Not retried on EINTR (the connect goes on by itself).
int linux_connect(int fd, const linux_address *address);
/// accept4(2) with SOCK_NONBLOCK | SOCK_CLOEXEC. `client`, which may be NULL, gets a hash of the peer's address without its
/// port: of IPv6 the first 64 bits, since one client has as many addresses as it likes below them. AF_UNIX: 0.
int linux_accept(int fd, uint32_t *client);
int linux_local_address(int fd, linux_address *into);
int linux_peer_address(int fd, linux_address *into);
int linux_set_option(int fd, int level, int name, int value);
int linux_get_option(int fd, int level, int name);
int linux_set_timeout(int fd, int name, int64_t milliseconds);

/// What is set on a TCP socket beside TCP_NODELAY: tcp(7). Zero, or an empty name, stands for the system's default.
typedef struct linux_tcp_options {
  char congestion[16];
  /// Seconds of TCP_KEEPIDLE and TCP_KEEPINTVL, and TCP_KEEPCNT; an idle time of 0: no SO_KEEPALIVE.
  int32_t keepalive_idle;
  int32_t keepalive_interval;
  int32_t keepalive_count;
  /// Milliseconds.
  int32_t user_timeout;
  /// Seconds; only for a listening socket.
  int32_t defer_accept;
} linux_tcp_options;

/// The name has at most 15 bytes.
void linux_name_congestion(linux_tcp_options *options, const char *name);
/// TCP_CONGESTION: -ENOENT where the kernel has none of that name, -EPERM where this user may not choose it.
int linux_set_congestion(int fd, const char *name);
/// The name of the congestion control in force, NUL-terminated; `into` holds 16 bytes.
int linux_congestion(int fd, char *into);
/// Sets what is given. `resets`: what is not given is set to the system's default, for a socket that had options.
int linux_set_tcp_options(int fd, const linux_tcp_options *options, bool resets);
/// bind(2) of a socket that is going to connect: the port is only chosen then (IP_BIND_ADDRESS_NO_PORT, ip(7)), so
/// that one port can serve for connections to several targets.
int linux_bind_source(int fd, const linux_address *address);
/// SO_LINGER with zero time: the close that follows sends RST instead of FIN (socket(7)).
int linux_reset_on_close(int fd);
ssize_t linux_receive(int fd, void *into, size_t capacity);
/// recv(2) of one byte with MSG_PEEK: what a receive would find.
ssize_t linux_peek(int fd);
/// send(2) with MSG_NOSIGNAL.
ssize_t linux_send(int fd, const void *from, size_t count);
int linux_shutdown_write(int fd);
/// pipe2(2): non-blocking, close-on-exec. Answers 0.
int linux_pipe(int *read_end, int *write_end);
/// F_SETPIPE_SZ, pipe(7): answers the size in force, a power of two of pages.
int linux_set_pipe_size(int fd, int size);
/// splice(2) between a pipe and a socket, without waiting. -EAGAIN: the source is empty or the sink is full.
ssize_t linux_splice(int from, int to, size_t count);
/// Bytes not yet acknowledged by the peer (TCP), or not yet read by it (AF_UNIX): SIOCOUTQ, tcp(7).
int linux_unsent_bytes(int fd);
/// Bytes that wait to be read: SIOCINQ, tcp(7).
int linux_unread_bytes(int fd);
/// SO_PEERCRED of the process at the other end of an AF_UNIX socket, unix(7).
int linux_peer_credentials(int fd, uint32_t *uid, uint32_t *gid, int32_t *pid);
/// SO_PEERGROUPS: the peer's supplementary groups; answers how many.
int linux_peer_groups(int fd, uint32_t *into, int capacity);

// ---- Child processes -------------------------------------------------------------------------------------------

/// posix_spawn(3) of `/bin/sh -c command` in a process group of its own, with /dev/null as its input and what is this
/// process's standard error as its output; answers the process id.
int linux_spawn_shell(const char *command);
/// A process that ends this group, with SIGTERM and two seconds later with SIGKILL, when the last copy of `keep`, a
/// descriptor that closes with this process, is closed without a line having been written to it. Answers its id.
int linux_spawn_guard(int group, int *keep);
/// waitpid(2) without waiting: 0 while it runs, else 1, and `code` is its exit code, or 128 and the signal's number.
int linux_try_wait(int pid, int *code);
/// kill(2) of a process group.
int linux_signal_group(int pid, int number);
/// From now on SIGINT, SIGTERM and SIGHUP are passed on to this process group before they end this process; 0: to none.
void linux_pass_interrupts_to(int pid);

// ---- Readiness ------------------------------------------------------------------------------------------------

int linux_epoll_create(void);
int linux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token);
/// epoll_wait(2); EINTR answers 0, so that the caller looks at its clock.
int linux_epoll_wait(int epoll, struct epoll_event *into, int capacity, int timeout_milliseconds);
int linux_eventfd(void);
int linux_eventfd_signal(int fd);
int linux_eventfd_drain(int fd);
/// Blocks the given signals for this thread and those it starts, and answers a descriptor that receives them.
int linux_signalfd(const int *signals, int count);
/// The next pending signal's number, 0 if none. `pid` and `uid` are of who sent it, 0 where that was the kernel.
int linux_signalfd_next(int fd, int *pid, uint32_t *uid);

// ---- Terminals ------------------------------------------------------------------------------------------------

int linux_terminal_mode(int fd, struct termios *into);
int linux_set_terminal_mode(int fd, const struct termios *mode);
/// Changes a mode so that each key is read at once and shown by nobody. The keys of signals (Ctrl-C, Ctrl-Z) stay.
void linux_read_keys(struct termios *mode);
int linux_window_size(int fd, int *columns, int *rows);
/// Lets a signal that is blocked do to this process what it does by default: to end or to stop it. Returns when the
/// process goes on.
int linux_take_signal(int number);

// ---- Files ----------------------------------------------------------------------------------------------------

int linux_close(int fd);
int linux_open(const char *path, int flags, uint32_t mode);
ssize_t linux_read(int fd, void *into, size_t capacity);
ssize_t linux_write(int fd, const void *from, size_t count);
int linux_sync(int fd);
int linux_rename(const char *from, const char *to);
int linux_unlink(const char *path);
int linux_make_folder(const char *path, uint32_t mode);
int linux_change_mode(const char *path, uint32_t mode);
int linux_change_group(const char *path, uint32_t group);
/// flock(2), exclusive, not waiting: -EWOULDBLOCK where another holds it.
int linux_try_lock(int fd);
/// stat(2) of a path: type and permission bits, owner, size, device and inode.
int linux_stat(const char *path, uint32_t *mode, uint32_t *uid, uint32_t *gid, uint64_t *device, uint64_t *inode);
/// The id of a group by name: -ENOENT where there is none.
int64_t linux_group_named(const char *name);

// ---- Process --------------------------------------------------------------------------------------------------

uint64_t linux_monotonic_nanoseconds(void);
uint64_t linux_realtime_nanoseconds(void);
/// RFC 3339 in UTC with milliseconds, `2026-01-31T10:00:00.000Z`; `into` holds 40 bytes.
void linux_format_time(int64_t microseconds_since_1970, char *into);
/// Raises the soft descriptor limit to the hard one; answers the limit in force.
int64_t linux_raise_descriptor_limit(void);
/// Processors that this process may run on: sched_getaffinity(2).
int linux_processor_count(void);
/// Processors of the machine that are online: sysconf(3).
int linux_online_processor_count(void);
void linux_name_thread(const char *name);
void linux_ignore_broken_pipe(void);
/// Bytes of a page of memory.
int linux_page_size(void);
/// Sends one datagram to the AF_UNIX address that `path` names (a leading @ stands for an abstract one): sd_notify(3).
int linux_notify(const char *path, const char *message);

#endif
