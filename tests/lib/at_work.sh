#!/bin/bash
# SPDX-License-Identifier: MIT
# For tests that kill a process in the midst of a request. To be sourced.
#
#   at_work PROCESS    returns when it runs, or a second later: one that serves a slow guest is idle most of the time

at_work() {
	local stat until=$((SECONDS + 1))
	while [ $SECONDS -le $until ] && read -r stat <"/proc/$1/stat" 2>/dev/null; do
		[[ $stat != *") R "* ]] || return
	done
}
