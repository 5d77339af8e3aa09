//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"time"
)

// The grain of the timeline.
const grain = 100 * time.Millisecond

// What came of the requests that were due in a moment. Times are microseconds since then.
type moment struct {
	created []uint32
	refused []uint32
}

type tally struct {
	moments []moment
	Sent    int `json:"sent"`
	// Refusals that do not say when to come again.
	Unhelpful int `json:"unhelpful"`
	// Answers of any other kind, and the first of them.
	Wrong      int    `json:"wrong"`
	FirstWrong string `json:"firstWrong"`
	// Connections that broke in the middle of a request.
	Broken int `json:"broken"`
	// Requests that went out too late, or not at all, because the generator or a connection was missing.
	Late       int `json:"late"`
	Unsent     int `json:"unsent"`
	Unanswered int `json:"unanswered"`
}

var (
	created     = []byte("HTTP/1.1 201 ")
	unavailable = []byte("HTTP/1.1 503 ")
	tooMany     = []byte("HTTP/1.1 429 ")
	problemType = []byte("\r\ncontent-type: application/problem+json")
	retryField  = []byte("\r\nretry-after: ")
	addressKey  = []byte(`"uniqueIp":"`)
)

func (t *tally) judge(c *connection, now time.Duration, head, body []byte) {
	at := int(c.due / grain)
	for len(t.moments) <= at {
		t.moments = append(t.moments, moment{})
	}
	m := &t.moments[at]
	took := uint32((now - c.due).Microseconds())
	switch {
	case bytes.HasPrefix(head, created) && bytes.Contains(body, []byte(`"`+c.name+`"`)) && bytes.Contains(body, addressKey):
		m.created = append(m.created, took)
	case (bytes.HasPrefix(head, unavailable) || bytes.HasPrefix(head, tooMany)) && bytes.Contains(head, problemType):
		m.refused = append(m.refused, took)
		if !bytes.Contains(head, retryField) {
			t.Unhelpful++
		}
	default:
		if t.Wrong == 0 {
			t.FirstWrong = string(head) + "\r\n" + string(body)
		}
		t.Wrong++
	}
}

// Count, median, 99th percentile and greatest of some times, in milliseconds.
type times struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func timesOf(values []uint32) times {
	if len(values) == 0 {
		return times{}
	}
	slices.Sort(values)
	at := func(share float64) float64 {
		return float64(values[min(len(values)-1, int(share*float64(len(values))))]) / 1000
	}
	return times{len(values), at(0.5), at(0.99), at(1)}
}

type outcome struct {
	Created times `json:"created"`
	Refused times `json:"refused"`
}

// One line of JSON: what came of each phase, of each moment, and what went wrong.
func (t *tally) report(phases []phase) {
	result := struct {
		*tally
		Phases  []outcome `json:"phases"`
		Moments []outcome `json:"moments"`
	}{tally: t}
	begin := time.Duration(0)
	for _, p := range phases {
		var all moment
		for i, m := range t.moments {
			if at := time.Duration(i) * grain; at >= begin && at < begin+p.length {
				all.created = append(all.created, m.created...)
				all.refused = append(all.refused, m.refused...)
			}
		}
		result.Phases = append(result.Phases, outcome{timesOf(all.created), timesOf(all.refused)})
		begin += p.length
	}
	for _, m := range t.moments {
		result.Moments = append(result.Moments, outcome{timesOf(m.created), timesOf(m.refused)})
	}
	json.NewEncoder(os.Stdout).Encode(result)
}
