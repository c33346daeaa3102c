//go:build !linux

package offheap

func hugePages([]byte) {}
