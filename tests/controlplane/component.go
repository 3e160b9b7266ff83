package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// componentFailure is an error of one component, shown with the end of its log.
type componentFailure struct {
	component string
	log       string
	cause     error
}

func (f *componentFailure) Error() string {
	return fmt.Sprintf("%s: %v\nThe end of %s:\n%s", f.component, f.cause, f.log, logTail(f.log))
}

func (f *componentFailure) Unwrap() error { return f.cause }

const logTailLines = 25

// logTail returns the last lines of a log, indented.
func logTail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("  (not readable: %v)", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "  (empty)"
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-logTailLines):]
	return "  " + strings.Join(lines, "\n  ")
}

const pollInterval = 50 * time.Millisecond

// waitFor repeats check until it returns nil. When ctx ends first, the error
// is the reason why it ended; a passed deadline blames the component and says
// what its last check said.
func waitFor(ctx context.Context, component, log string, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if errors.Is(cause, context.DeadlineExceeded) {
				return &componentFailure{component, log, fmt.Errorf("not ready after %s: %w", startLimit, err)}
			}
			return cause
		}
	}
}
