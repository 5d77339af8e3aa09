//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// Everything but the number of the node is the same in each request, and made once.
type request struct {
	before, after []byte
	prefix        string
	number        int
	bytes         []byte
}

// Names are the prefix and a number of so many digits.
const digits = 8

func newRequest(host, token, prefix string) request {
	opening, closing := `{"nodeName":"`+prefix, `","displayIp":"192.168.1.10"}`
	head := "POST /v1/allocations HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + token +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(opening)+digits+len(closing)) + "\r\n\r\n"
	return request{before: []byte(head + opening), after: []byte(closing), prefix: prefix}
}

// The next request, good until the one after it, and the name in it.
func (r *request) next() ([]byte, string) {
	number := fmt.Sprintf("%0*d", digits, r.number)
	r.number++
	r.bytes = append(append(append(r.bytes[:0], r.before...), number...), r.after...)
	return r.bytes, r.prefix + number
}

var (
	blankLine   = []byte("\r\n\r\n")
	lengthField = []byte("\r\ncontent-length: ")
)

// Head and body of an answer, if all of it has come.
func split(answer []byte) (head, body []byte, whole bool) {
	end := bytes.Index(answer, blankLine)
	if end < 0 {
		return nil, nil, false
	}
	head, body = answer[:end+2], answer[end+len(blankLine):]
	at := bytes.Index(head, lengthField)
	if at < 0 {
		fail("an answer that does not say how long it is:\n" + string(answer))
	}
	length := 0
	for _, c := range head[at+len(lengthField):] {
		if c < '0' || c > '9' {
			break
		}
		length = length*10 + int(c-'0')
	}
	return head, body, len(body) >= length
}
