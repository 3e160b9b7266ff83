package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopRequest is the reason of an orderly end.
type stopRequest struct{ why string }

func (s stopRequest) Error() string { return "asked to stop: " + s.why }

// unlessStopRequested turns the reason of an orderly end into success.
func unlessStopRequested(err error) error {
	if errors.As(err, &stopRequest{}) {
		return nil
	}
	return err
}

// watchForStopRequests calls stop on a signal, when the parent process ends,
// and, if so chosen, at the end of standard input.
func watchForStopRequests(o options, stop context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() { stop(stopRequest{fmt.Sprintf("signal: %v", <-signals)}) }()

	if !o.outliveParent {
		go func() {
			waitForParentToEnd(os.Getppid())
			stop(stopRequest{"the parent process ended"})
		}()
	}
	if o.exitWithStdin {
		go func() {
			waitForEndOf(os.Stdin)
			stop(stopRequest{"standard input reached its end"})
		}()
	}
}

// waitForParentToEnd returns when this process was given to another parent.
// Linux's parent-death signal would not do: it is sent when the *thread* that
// forked ends, which in a test runner is long before the process does.
func waitForParentToEnd(parent int) {
	for os.Getppid() == parent {
		time.Sleep(200 * time.Millisecond)
	}
}

func waitForEndOf(input io.Reader) {
	// An error ends the input as well as its end does.
	_, _ = io.Copy(io.Discard, input)
}

// lifeline ties a child process to this one: the child reads one end of a pipe
// and ends when the other is closed. The kernel closes it for us, however this
// process dies.
type lifeline struct {
	childEnd *os.File
	ourEnd   *os.File
}

func newLifeline() (*lifeline, error) {
	childEnd, ourEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create a pipe to a child process: %w", err)
	}
	return &lifeline{childEnd, ourEnd}, nil
}

// exitWithLifeline is the child's side, on standard input.
func exitWithLifeline() {
	go func() {
		waitForEndOf(os.Stdin)
		os.Exit(0)
	}()
}
