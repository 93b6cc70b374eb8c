// SPDX-License-Identifier: MIT
#include "tests/lib/sandbox_plan.h"

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "tests/lib/elsewhere.h"

int sandbox_plan_work(struct sandbox *s, void *plan)
{
	const struct sandbox_plan *p = plan;
	int keep[] = {p->keep};
	int status = GOOD;

	/* cmocka's, which are of use in the process of the tests only. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGILL, SIG_DFL);
	if (sandbox_prepare(s, keep, 1))
		return STOPPED;
	if (p->before)
		status = p->before(s);
	if (status == GOOD && sandbox_lock(s))
		status = STOPPED;
	return status != GOOD || !p->act ? status : p->act(s);
}

int sandbox_plan_run(const struct sandbox_plan *p)
{
	struct sandbox_child child;
	struct sandbox *s;
	int status;

	if (sandbox_create(&p->config, &s))
		return -1001;
	if (sandbox_spawn(s, sandbox_plan_work, (void *)(uintptr_t)p, &child)) {
		sandbox_destroy(s);
		return -1002;
	}
	status = elsewhere_wait(child.pid);
	close(child.pidfd);
	sandbox_destroy(s);
	return status;
}
