"""Loaded before every test, and before torch."""

from stamp.threads import let_threads_sleep

let_threads_sleep()
