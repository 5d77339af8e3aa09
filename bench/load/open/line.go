//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type connection struct {
	fd int
	// Of the request that is under way: when it was due, and the node it names.
	due  time.Duration
	name string
	// What has come of its answer, when that comes in parts.
	answer []byte
}

// All connections, in the order in which they became free.
type line struct {
	free   []*connection
	busy   int
	known  map[int32]*connection
	epoll  int
	events []syscall.EpollEvent
	ready  []*connection
	buffer []byte
}

func connect(address string, count int) line {
	host, port, _ := strings.Cut(address, ":")
	to := &syscall.SockaddrInet4{}
	if _, err := fmt.Sscanf(host, "%d.%d.%d.%d", &to.Addr[0], &to.Addr[1], &to.Addr[2], &to.Addr[3]); err != nil {
		fail("not an IPv4 address: " + host)
	}
	to.Port, _ = strconv.Atoi(port)
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		fail("epoll: " + err.Error())
	}
	l := line{
		known: map[int32]*connection{}, epoll: epoll,
		events: make([]syscall.EpollEvent, 1024), buffer: make([]byte, 64*1024),
	}
	for range count {
		fd, err := open(to, epoll)
		if err != nil {
			fail(fmt.Sprintf("connection %d: %v", len(l.free), err))
		}
		c := &connection{fd: fd}
		l.known[int32(fd)] = c
		l.free = append(l.free, c)
	}
	return l
}

func open(to syscall.Sockaddr, epoll int) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Connect(fd, to); err != nil {
		return 0, err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return 0, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return 0, err
	}
	return fd, syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

// Those that have something to read, waited for at most so long.
func (l *line) readable(ms int) []*connection {
	count, err := syscall.EpollWait(l.epoll, l.events, ms)
	if err != nil && err != syscall.EINTR {
		fail("epoll: " + err.Error())
	}
	l.ready = l.ready[:0]
	for _, event := range l.events[:max(count, 0)] {
		if c := l.known[event.Fd]; c != nil {
			l.ready = append(l.ready, c)
		}
	}
	return l.ready
}

// What has come of an answer so far, good until the next read; false when the server hung up.
func (l *line) read(c *connection) ([]byte, bool) {
	n, err := syscall.Read(c.fd, l.buffer)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return c.answer, true
	}
	if n <= 0 {
		return nil, false
	}
	if len(c.answer) == 0 {
		return l.buffer[:n], true
	}
	return append(c.answer, l.buffer[:n]...), true
}

func (l *line) forget(c *connection) {
	delete(l.known, int32(c.fd))
	syscall.Close(c.fd)
}
