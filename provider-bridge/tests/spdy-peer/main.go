// spdy-peer runs one command through the kubelet port with the genuine client: client-go's SPDY executor, which is what
// kubectl and the API server use. It is the independent checker of the SPDY server, which shares no code with it.
//
// Standard input, output and error are passed through. Sizes given with -size are sent one after the other. The exit
// code is the command's; 250 means that the session itself failed, with the reason on standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

type sizes struct{ queue []remotecommand.TerminalSize }

func (s *sizes) Next() *remotecommand.TerminalSize {
	if len(s.queue) == 0 {
		return nil
	}
	size := s.queue[0]
	s.queue = s.queue[1:]
	return &size
}

func (s *sizes) String() string { return "" }

func (s *sizes) Set(text string) error {
	var size remotecommand.TerminalSize
	if _, err := fmt.Sscanf(text, "%dx%d", &size.Width, &size.Height); err != nil {
		return err
	}
	s.queue = append(s.queue, size)
	return nil
}

func main() {
	var (
		token    = flag.String("token", "", "bearer token")
		protocol = flag.String("protocol", "", "sub-protocol to offer; default: client-go's own list")
		stdin    = flag.Bool("stdin", false, "pass standard input")
		tty      = flag.Bool("tty", false, "ask for a terminal")
		resize   sizes
	)
	flag.Var(&resize, "size", "terminal size WIDTHxHEIGHT, may be repeated")
	flag.Parse()
	os.Exit(run(flag.Arg(0), flag.Args()[1:], *token, *protocol, *stdin, *tty, &resize))
}

func run(target string, command []string, token, protocol string, stdin, tty bool, resize *sizes) int {
	location, err := url.Parse(target)
	if err != nil {
		return failed(err)
	}
	query := url.Values{"command": command, "output": {"1"}}
	options := remotecommand.StreamOptions{Stdout: os.Stdout, Tty: tty}
	if stdin {
		query.Set("input", "1")
		options.Stdin = onlyReader{os.Stdin}
	}
	if tty {
		query.Set("tty", "1")
		options.TerminalSizeQueue = resize
	} else {
		query.Set("error", "1")
		options.Stderr = os.Stderr
	}
	location.RawQuery = query.Encode()

	config := &rest.Config{
		Host:            location.Host,
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	}
	executor, err := newExecutor(config, location, protocol)
	if err != nil {
		return failed(err)
	}
	err = executor.StreamWithContext(context.Background(), options)
	var exit exec.CodeExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	default:
		return failed(err)
	}
}

func newExecutor(config *rest.Config, location *url.URL, protocol string) (remotecommand.Executor, error) {
	if protocol == "" {
		return remotecommand.NewSPDYExecutor(config, "POST", location)
	}
	transport, upgrader, err := spdyTransport(config)
	if err != nil {
		return nil, err
	}
	protocols := strings.Split(protocol, ",")
	return remotecommand.NewSPDYExecutorForProtocols(transport, upgrader, "POST", location, protocols...)
}

// onlyReader hides that standard input is a file, as kubectl's streams do.
type onlyReader struct{ io.Reader }

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "session failed:", err)
	return 250
}
