/* SPDX-License-Identifier: MIT */
/*
 * Threads of the library: signals are for the program's main thread, so these block them, except those that a thread
 * brings upon itself.
 */
#ifndef MULLION_HOST_BASE_THREAD_H
#define MULLION_HOST_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>

/* Like pthread_create(), with a negative errno. */
static inline int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
	sigset_t block;
	sigset_t old;
	int err;

	sigfillset(&block);
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&block, own[i]);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	err = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

#endif
