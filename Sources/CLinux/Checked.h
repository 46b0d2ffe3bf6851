#ifndef BGPROXY_CHECKED_H
#define BGPROXY_CHECKED_H

#include <errno.h>

// Runs a call until it is not interrupted; its value is the result or the negated errno.
#define CHECKED(call)                                                                                                  \
  ({                                                                                                                   \
    __typeof__(call) result_;                                                                                          \
    do {                                                                                                               \
      result_ = (call);                                                                                                \
    } while (result_ < 0 && errno == EINTR);                                                                           \
    result_ < 0 ? -errno : result_;                                                                                    \
  })

#endif
