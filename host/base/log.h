/* SPDX-License-Identifier: MIT */
/*
 * Log lines by topic and level, to standard error. A line reads "gpu: scanout 1: no resource 7".
 * MULLION_LOG sets levels: "debug", or "gpu:debug,video:trace", or both. Thread: any.
 */
#ifndef MULLION_HOST_BASE_LOG_H
#define MULLION_HOST_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* Topics are a fixed list: a name per folder or device. */
enum log_topic {
	LOG_TOPIC_BASE,
	LOG_TOPIC_VIRTIO,
	LOG_TOPIC_GPU,
	LOG_TOPIC_DISPLAY,
	LOG_TOPIC_BLOCK,
	LOG_TOPIC_NET,
	LOG_TOPIC_CONSOLE,
	LOG_TOPIC_RNG,
	LOG_TOPIC_VMM,
	LOG_TOPIC_VHOST,
	LOG_TOPIC_INPUT,
	LOG_TOPIC_VIDEO,
	LOG_TOPIC_COUNT,
};

/*
 * Set levels from @spec (see above); NULL means the default: INFO for all. Returns 0, or -EINVAL after printing
 * the word that is neither a topic nor a level. Call before other threads run.
 */
int log_set_levels(const char *spec);

/* True if a line at @level would be printed; test it before expensive arguments. */
bool log_enabled(enum log_topic topic, enum log_level level);

void log_line(enum log_topic topic, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * A budget for lines that a guest can cause: 10 at once, then one a second; what was held back is counted and
 * reported with the next line that passes. One per device; zeroed storage is ready.
 */
struct log_limit {
	uint64_t last_ns;
	uint32_t used;
	uint32_t held_back;
};

/* A warning caused by the guest, within @limit. Thread: the one that owns @limit. */
void log_guest(enum log_topic topic, struct log_limit *limit, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* For callers that write lines themselves: may one more be written under @limit, of @burst at once and then one each @ns_per_line? */
bool log_limit_passes(struct log_limit *limit, uint32_t burst, uint64_t ns_per_line);

#endif
