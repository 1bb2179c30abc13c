"""Latencies of whole networks on a device that has measured few of them, learned from other devices (`strategies.network_transfer`)."""
