//go:build linux

// An open-loop load generator: a request is sent when it is due, whether or not earlier ones were answered, and its time
// counts from then. So a server that falls behind is seen to.
//
// One thread, epoll and no HTTP library: it shares two cores with what it measures. Every name is sent once, and every
// answer is read and checked.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// A phase offers so many requests per second for so long; 0 is a closed loop, in which each connection sends its next
// request when it has the answer to the last.
type phase struct {
	rate   float64
	length time.Duration
}

type generator struct {
	request
	line
	tally
	start time.Time
}

func main() {
	address := flag.String("address", "127.0.0.1:8080", "an IPv4 address and a port")
	token := flag.String("token", "", "the bearer token")
	prefix := flag.String("prefix", "edge-", "what the names of the nodes begin with")
	connections := flag.Int("connections", 256, "how many there are")
	plan := flag.String("phases", "", "RATE:SECONDS,…; a rate of 0 is a closed loop")
	flag.Parse()
	runtime.LockOSThread()
	// It makes little garbage, and has no thread to spare for collecting it.
	debug.SetGCPercent(800)
	phases := read(*plan)
	g := &generator{request: newRequest(*address, *token, *prefix), line: connect(*address, *connections)}
	g.start = time.Now()
	begin := time.Duration(0)
	for _, p := range phases {
		if p.rate == 0 {
			g.closed(p)
		} else {
			g.open(p, begin)
		}
		begin += p.length
	}
	g.wait()
	g.report(phases)
}

func read(plan string) []phase {
	var phases []phase
	for _, word := range strings.Split(plan, ",") {
		var rate, seconds float64
		if _, err := fmt.Sscanf(word, "%g:%g", &rate, &seconds); err != nil {
			fail("not RATE:SECONDS: " + word)
		}
		phases = append(phases, phase{rate, time.Duration(seconds * float64(time.Second))})
	}
	return phases
}

func (g *generator) closed(p phase) {
	for end := time.Since(g.start) + p.length; time.Since(g.start) < end; g.receive(1) {
		for len(g.free) > 0 {
			g.send(time.Since(g.start))
		}
	}
}

// A request that goes out so much after it was due was held up by the generator, or by the want of a connection.
const tooLate = 50 * time.Millisecond

func (g *generator) open(p phase, begin time.Duration) {
	offered := int(p.rate * p.length.Seconds())
	for sent := 0; ; g.receive(1) {
		now := time.Since(g.start) - begin
		for ; sent < offered && len(g.free) > 0; sent++ {
			due := time.Duration(float64(sent) / p.rate * float64(time.Second))
			if due > now {
				break
			}
			if now-due > tooLate {
				g.Late++
			}
			g.send(begin + due)
		}
		if now >= p.length {
			g.Unsent += offered - sent
			return
		}
	}
}

// The longest that answers are waited for when nothing is sent any more.
const patience = 10 * time.Second

func (g *generator) wait() {
	for end := time.Now().Add(patience); g.busy > 0 && time.Now().Before(end); {
		g.receive(100)
	}
	g.Unanswered = g.busy
}

// The connection that has been free for longest is taken, so that all of them are used alike.
func (g *generator) send(due time.Duration) {
	c := g.free[0]
	g.free = g.free[1:]
	g.busy++
	c.due, c.answer = due, c.answer[:0]
	var bytes []byte
	bytes, c.name = g.next()
	g.Sent++
	if n, err := syscall.Write(c.fd, bytes); err != nil || n < len(bytes) {
		g.drop(c)
	}
}

func (g *generator) receive(ms int) {
	for _, c := range g.readable(ms) {
		answer, open := g.read(c)
		if !open {
			g.drop(c)
			continue
		}
		head, body, whole := split(answer)
		if !whole {
			c.answer = append(c.answer[:0], answer...)
			continue
		}
		g.judge(c, time.Since(g.start), head, body)
		g.busy--
		g.free = append(g.free, c)
	}
}

func (g *generator) drop(c *connection) {
	g.Broken++
	g.busy--
	g.forget(c)
}

func fail(words string) {
	fmt.Fprintln(os.Stderr, words)
	os.Exit(1)
}
