#define _GNU_SOURCE
#include "CLinux.h"
#include "Checked.h"

#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

int linux_terminal_mode(int fd, struct termios *into) { return CHECKED(tcgetattr(fd, into)); }

int linux_set_terminal_mode(int fd, const struct termios *mode) { return CHECKED(tcsetattr(fd, TCSADRAIN, mode)); }

void linux_read_keys(struct termios *mode) {
  mode->c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
  // Otherwise Ctrl-S would stop the writer in the middle of a frame, deaf to all other keys.
  mode->c_iflag &= ~(tcflag_t)IXON;
  mode->c_cc[VMIN] = 1;
  mode->c_cc[VTIME] = 0;
}

int linux_window_size(int fd, int *columns, int *rows) {
  struct winsize size;
  int result = CHECKED(ioctl(fd, TIOCGWINSZ, &size));
  if (result < 0) return result;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 0;
}

int linux_take_signal(int number) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigemptyset(&action.sa_mask);
  if (sigaction(number, &action, NULL) < 0) return -errno;
  sigset_t one, before;
  sigemptyset(&one);
  sigaddset(&one, number);
  // Sent to this thread and not to the process: another one could take that while it is let through here.
  pthread_kill(pthread_self(), number);
  int failure = pthread_sigmask(SIG_UNBLOCK, &one, &before);
  if (failure == 0) failure = pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -failure;
}
