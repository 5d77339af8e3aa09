package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	// In the order that the released CoreDNS has them in, which decides who answers first.
	dnsserver.Directives = []string{"ready", "health", "errors", "hosts", "file"}
	coremain.Run()
}
